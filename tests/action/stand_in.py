"""GitHub on loopback: as much of its API as the action asks for, and what may go wrong there."""

from __future__ import annotations

import io
import json
import re
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

REPOSITORY = "team/models"
FORK = "stranger/models"
BOT = "github-actions[bot]"
HEAD, BASE, FORKED_AT = "a" * 40, "b" * 40, "c" * 40
LONGEST = 65_536


class Request(NamedTuple):
    """What was asked."""

    method: str
    path: str
    token: str | None


@dataclass
class Fault:
    """An answer that stands in for another, so many times, where a request begins with a text.

    Parameters
    ----------
    part : str
        Method and path, such as ``POST /repos/team/models/issues``.
    status : int
        What is answered; 0 hangs up.
    times : int
        How many requests it befalls.
    happens : bool
        Whether what was asked happens, so that only the answer is lost.
    """

    part: str
    status: int
    times: int = 1_000_000
    happens: bool = False


@dataclass
class Hub:
    """A repository with a pull request, its comments, and the artifacts of its runs.

    Parameters
    ----------
    viewer : str, optional
        Whom the token belongs to; None where the server doesn't tell.
    page : int
        How many entries a page of a list has, whatever was asked for.
    """

    viewer: str | None = BOT
    page: int = 100
    comments: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    """Number of a pull request -> its comments."""
    pulls: list[dict[str, Any]] = field(default_factory=list)
    artifacts: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    """Run -> its artifacts, with their bytes under ``data``."""
    merge_base: str | None = FORKED_AT
    faults: list[Fault] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    url: str = ""
    storage: str = ""
    """Where artifacts lie: another host, which must not see the token."""

    def add_pull(self, number: int = 7, head: str = HEAD, repository: str = REPOSITORY) -> None:
        """Open a pull request."""
        owner = repository.partition("/")[0]
        self.pulls.append(
            {
                "number": number,
                "head": {
                    "sha": head,
                    "label": f"{owner}:smaller",
                    "repo": {"full_name": repository},
                },
                "base": {"ref": "main", "sha": BASE},
            }
        )

    def add_comment(self, body: str, author: str = BOT, number: int = 7) -> int:
        """Write a comment and return its id."""
        id = 1 + sum(map(len, self.comments.values()))
        written = {"id": id, "body": body, "user": {"login": author}}
        self.comments.setdefault(number, []).append(written)
        return id

    def add_artifact(self, files: Mapping[str, str] | bytes, name: str, run: int = 55) -> None:
        """Upload the files, or the bytes of an archive."""
        data = files if isinstance(files, bytes) else archive_of(files)
        kept = self.artifacts.setdefault(run, [])
        kept.append({"id": 900 + len(kept), "name": name, "expired": False, "data": data})

    def bodies(self, number: int = 7) -> list[str]:
        """Return what the comments say."""
        return [str(comment["body"]) for comment in self.comments.get(number, [])]

    def asked(self, method: str) -> list[str]:
        """Return the paths that were asked for by a method."""
        return [request.path for request in self.requests if request.method == method]


def archive_of(files: Mapping[str, str]) -> bytes:
    """Return a zip archive."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return data.getvalue()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_PATCH(self) -> None:
        self._answer("PATCH")

    def _answer(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = Request(method, self.path, self.headers.get("Authorization"))
        self.hub.requests.append(asked)
        fault = self._fault(f"{method} {self.path}")
        if fault is not None and not fault.happens:
            self._fail(fault)
            return
        given = json.loads(body) if body else {}
        for pattern, act in self._ways():
            found = re.fullmatch(pattern, f"{method} {urlsplit(self.path).path}")
            if found:
                answer = act(given, *found.groups())
                if fault is not None:
                    self._fail(fault)
                elif isinstance(answer, list):
                    self._list(answer)
                elif isinstance(answer, int):
                    self._send(answer, {"message": "Validation Failed"})
                elif answer is not None:
                    self._send(200, answer)
                return
        self._send(404, {"message": "Not Found"})

    def _ways(self) -> list[tuple[str, Callable[..., Any]]]:
        repository = f"/repos/{REPOSITORY}"
        return [
            ("POST /graphql", self._viewer),
            (rf"GET {repository}/pulls", self._pulls),
            (rf"GET {repository}/pulls/(\d+)", self._pull),
            (rf"GET {repository}/compare/({BASE}\.\.\.\w+)", self._compare),
            (rf"GET {repository}/issues/(\d+)/comments", self._comments),
            (rf"POST {repository}/issues/(\d+)/comments", self._create),
            (rf"PATCH {repository}/issues/comments/(\d+)", self._update),
            (rf"GET {repository}/actions/runs/(\d+)/artifacts", self._artifacts),
            (rf"GET {repository}/actions/artifacts/(\d+)/zip", self._moved),
            (r"GET /storage/(\d+)", self._data),
        ]

    def _fault(self, asked: str) -> Fault | None:
        for fault in self.hub.faults:
            if asked.startswith(fault.part) and fault.times:
                fault.times -= 1
                return fault
        return None

    def _fail(self, fault: Fault) -> None:
        if fault.status:
            self._send(fault.status, {"message": f"fault\n::error::{fault.status}"})
        else:
            self.close_connection = True

    def _viewer(self, _: Any) -> Any:
        if self.hub.viewer is None:
            return {"errors": [{"message": "not told"}]}
        return {"data": {"viewer": {"login": self.hub.viewer}}}

    def _pulls(self, _: Any) -> Any:
        wanted = parse_qs(urlsplit(self.path).query)
        assert wanted["state"] == ["open"]
        return [p for p in self.hub.pulls if p["head"]["label"] == wanted["head"][0]]

    def _pull(self, _: Any, number: str) -> Any:
        return next((p for p in self.hub.pulls if p["number"] == int(number)), 404)

    def _compare(self, _: Any, __: str) -> Any:
        return {"merge_base_commit": {"sha": self.hub.merge_base}} if self.hub.merge_base else 404

    def _comments(self, _: Any, number: str) -> Any:
        return list(self.hub.comments.get(int(number), []))

    def _create(self, given: Any, number: str) -> Any:
        if len(given["body"]) > LONGEST:
            return 422
        id = self.hub.add_comment(given["body"], self.hub.viewer or BOT, int(number))
        return {"id": id}

    def _update(self, given: Any, id: str) -> Any:
        if len(given["body"]) > LONGEST:
            return 422
        for comment in chain.from_iterable(self.hub.comments.values()):
            if comment["id"] == int(id):
                comment["body"] = given["body"]
                return {"id": comment["id"]}
        return 404

    def _artifacts(self, _: Any, run: str) -> Any:
        kept = self.hub.artifacts.get(int(run), [])
        told = [{k: v for k, v in entry.items() if k != "data"} for entry in kept]
        return {"total_count": len(told), "artifacts": told}

    def _moved(self, _: Any, id: str) -> None:
        self.send_response(302)
        self.send_header("Location", f"{self.hub.storage}/storage/{id}")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _data(self, _: Any, id: str) -> None:
        kept = chain.from_iterable(self.hub.artifacts.values())
        data = next(entry["data"] for entry in kept if entry["id"] == int(id))
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _list(self, entries: list[Any]) -> None:
        page = int(parse_qs(urlsplit(self.path).query).get("page", ["1"])[0])
        begin, end = (page - 1) * self.hub.page, page * self.hub.page
        plain = re.sub(r"[?&]page=\d+", "", self.path)
        joined = "&" if "?" in plain else "?"
        more = f'<{self.hub.url}{plain}{joined}page={page + 1}>; rel="next"'
        self._send(200, entries[begin:end], more if end < len(entries) else None)

    def _send(self, status: int, answer: Any, link: str | None = None) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        if link:
            self.send_header("Link", link)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serve a hub, and its storage under another name, while the context lasts."""
    handler = type("Handler", (_Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_port}"
        hub.storage = f"http://localhost:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()
