"""A hub on loopback: repositories with commits, branches and tags, and what may go wrong there.

It speaks as much of the hub's API as huggingface_hub, transformers and datasets ask for, and writes
down what was asked. Weights are served as the hub serves them: a redirect to another host, which
must not be told the token.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

Files = Mapping[str, bytes]
EXPIRED = "hf_of_yesterday"
"""A token that the hub no longer knows."""

_LARGE = (".safetensors", ".bin", ".gguf", ".h5", ".msgpack", ".onnx", ".parquet")
_API = re.compile(
    r"/api/(?P<kind>models|datasets)/(?P<repo>[^/]+/[^/]+|[^/]+)"
    r"(/(?P<what>revision|tree|paths-info)/(?P<revision>[^/]+)(/(?P<path>.*))?)?"
)
_FILE = re.compile(
    r"/(?P<kind>datasets/)?(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)"
)


class Request(NamedTuple):
    """What a client asked for."""

    method: str
    path: str
    token: str | None
    begin: int = 0
    """The first byte of the range that it wants."""


@dataclass
class Fault:
    """What happens instead of an answer, so many times, where a path holds a text.

    Parameters
    ----------
    part : str
        The text.
    status : int
        Which status is answered, 200 with a page for people; 0 for the answer as it is, but cut
        or stalled.
    after : int
        After how many bytes the connection is cut, or nothing more is sent.
    stalls : bool
        Whether the connection stays open without another byte.
    times : int
        How many requests it befalls.
    """

    part: str
    status: int = 0
    after: int = 0
    stalls: bool = False
    times: int = 1_000_000
    begun: threading.Event = field(default_factory=threading.Event)
    """Set once it has befallen a request."""


@dataclass
class Repository:
    """The commits of one repository, its branches and tags, and who may read it."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    token: str | None = None
    gated: bool = False

    def find(self, revision: str) -> str | None:
        """Return the commit that a branch, a tag or all its 40 digits name."""
        return revision if revision in self.commits else self.names.get(revision)


def folder_files(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder by their path in it."""
    found = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in found}


class Hub:
    """The hub; `url` is its endpoint."""

    def __init__(self) -> None:
        self.repositories: dict[tuple[str, str], Repository] = {}
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.store: dict[str, bytes] = {}
        self.url = self.cdn = ""
        self.calls: dict[str, Callable[[], object]] = {}
        """What is done, once, when something whose path holds a text is asked for."""
        self.released = threading.Event()
        """Set where stalled connections are to end."""

    def commit(
        self, repo: str, files: Files, *, kind: str = "models", branch: str = "main", tag: str = ""
    ) -> str:
        """Put a commit of these files on a branch; return its 40 digits."""
        of = self.repositories.setdefault((kind, repo), Repository())
        told = "".join(f"{name} {_sha(data)}\n" for name, data in sorted(files.items()))
        commit = hashlib.sha1(f"{repo}\n{told}".encode()).hexdigest()  # noqa: S324 - as git does
        of.commits[commit] = dict(files)
        of.names[branch] = commit
        if tag:
            of.names[tag] = commit
        self.store |= {_sha(data): data for data in files.values()}
        return commit

    def protect(self, repo: str, token: str, *, kind: str = "models", gated: bool = True) -> None:
        """Let only those read a repository who have the token."""
        of = self.repositories[kind, repo]
        of.token, of.gated = token, gated

    def fault(self, part: str, **about: Any) -> Fault:
        """Let something go wrong from now on."""
        self.faults.append(made := Fault(part, **about))
        return made

    def asked(self, part: str = "", method: str = "") -> list[Request]:
        """Return what was asked for, where the path holds a text and the method is the one."""
        return [r for r in self.requests if part in r.path and r.method.startswith(method)]

    def downloaded(self, repo: str) -> set[str]:
        """Return the paths of a model's files whose bytes were asked for."""
        every = {
            k: v for c in self.repositories["models", repo].commits.values() for k, v in c.items()
        }
        asked = {request.path for request in self.asked(method="GET")}
        small = {m["path"] for p in asked if (m := _FILE.fullmatch(p)) and m["repo"] == repo}
        return small | {name for name, data in every.items() if f"CDN/{_sha(data)}" in asked}

    def forget(self) -> None:
        """Forget what was asked, and let nothing go wrong any more."""
        self.requests.clear()
        self.faults.clear()

    def of_the_store(self, data: bytes) -> str:
        """Return by which path a large file is asked for."""
        return f"CDN/{_sha(data)}"


@contextmanager
def serving() -> Iterator[Hub]:
    """Run a hub, and the host that its large files lie on, until the block ends."""
    hub = Hub()
    servers = [
        ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub, cdn=cdn)) for cdn in (False, True)
    ]
    hub.url, hub.cdn = (  # by another name: clients of 1.x compare hosts without their ports
        f"http://{host}:{server.server_address[1]}"
        for host, server in zip(("127.0.0.1", "localhost"), servers, strict=True)
    )
    threads = [threading.Thread(target=s.serve_forever, args=(0.05,), daemon=True) for s in servers]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        hub.released.set()
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _entry(path: str, data: bytes) -> dict[str, Any]:
    about = {"type": "file", "path": path, "size": len(data), "oid": _sha(data)[:40]}
    if path.endswith(_LARGE):
        about["lfs"] = {"oid": _sha(data), "size": len(data), "pointerSize": 134}
    return about


def _listing(files: Files, under: str, *, recursive: bool) -> list[dict[str, Any]]:
    """Return what lies in a folder of a commit, with all that is below it or without."""
    prefix = f"{under}/" if under else ""
    inside = {path: data for path, data in files.items() if path.startswith(prefix)}
    parents = {str(p) for path in inside for p in Path(path).parents if str(p) != "."}
    parents = {p for p in parents if p.startswith(prefix) and p != under}
    entries = [
        {"type": "directory", "path": p, "size": 0, "oid": _sha(p.encode())[:40]} for p in parents
    ]
    entries += [_entry(path, data) for path, data in inside.items()]
    direct = [e for e in entries if "/" not in str(e["path"]).removeprefix(prefix)]
    return sorted(entries if recursive else direct, key=lambda e: str(e["path"]))


def _handler(hub: Hub, *, cdn: bool) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

        def do_HEAD(self) -> None:
            self._take()

        def do_GET(self) -> None:
            self._take()

        def do_POST(self) -> None:
            self._take()

        def _take(self) -> None:
            self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            split = urlsplit(self.path)
            path = split.path
            authorization = self.headers.get("Authorization")
            token = authorization.removeprefix("Bearer ") if authorization else None
            request = Request(self.command, ("CDN" if cdn else "") + path, token, self._begin())
            hub.requests.append(request)
            for part in [part for part in hub.calls if part in request.path]:
                hub.calls.pop(part)()
            fault = next((f for f in hub.faults if f.part in request.path and f.times > 0), None)
            if fault is not None and (fault.status or (fault.stalls and not fault.after)):
                fault.times -= 1
                fault.begun.set()
                if fault.stalls:
                    hub.released.wait()
                    self.close_connection = True
                    return
                self._refuse(fault.status, "", "Something went wrong there")
                return
            if token == EXPIRED:
                self._refuse(401, "", "Invalid credentials in Authorization header")
                return
            if cdn:
                self._bytes(hub.store[path.removeprefix("/")], {}, fault)
                return
            query = parse_qs(split.query)
            if match := _API.fullmatch(path):
                self._api(match, token, query)
            elif match := _FILE.fullmatch(path):
                self._file(match, token, fault)
            else:
                self._refuse(404, "", "No such page")

        def _repository(
            self, kind: str, repo: str, token: str | None, *, listing: bool
        ) -> Repository | None:
            """Return a repository that may be read; answer why not where there is none.

            What a gated one holds may be listed by everybody.
            """
            found = hub.repositories.get((kind, repo))
            if found is None:
                self._refuse(404 if token else 401, "RepoNotFound", "Repository not found")
            elif found.token not in (None, token) and not (found.gated and listing):
                code = "GatedRepo" if found.gated else "RepoNotFound"
                hidden = 403 if found.gated else 404
                self._refuse(hidden if token else 401, code, f"Access to {repo} is restricted.")
            else:
                return found
            return None

        def _commit(self, repository: Repository, revision: str) -> str | None:
            commit = repository.find(unquote(revision))
            if commit is None:
                self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return commit

        def _api(self, match: re.Match[str], token: str | None, query: dict[str, Any]) -> None:
            repository = self._repository(match["kind"], match["repo"], token, listing=True)
            if repository is None:
                return
            commit = self._commit(repository, match["revision"] or "main")
            if commit is None:
                return
            files = repository.commits[commit]
            if match["what"] == "tree":
                recursive = query.get("recursive", ["false"])[0].lower() == "true"
                listed = _listing(files, unquote(match["path"] or ""), recursive=recursive)
                if listed or not match["path"]:
                    self._json(listed)
                else:
                    self._refuse(404, "EntryNotFound", f"{match['path']} does not exist")
            elif match["what"] == "paths-info":
                paths = parse_qs(self.body.decode())["paths"]
                every = {e["path"]: e for e in _listing(files, "", recursive=True)}
                self._json([every[path] for path in paths if path in every])
            else:
                names = [{"rfilename": name} for name in files]
                self._json({"id": match["repo"], "sha": commit, "siblings": names})

        def _file(self, match: re.Match[str], token: str | None, fault: Fault | None) -> None:
            repository = self._repository(
                "datasets" if match["kind"] else "models", match["repo"], token, listing=False
            )
            commit = None if repository is None else self._commit(repository, match["revision"])
            if repository is None or commit is None:
                return
            path = unquote(match["path"])
            about = {"X-Repo-Commit": commit}
            data = repository.commits[commit].get(path)
            if data is None:
                self._refuse(404, "EntryNotFound", f"{path} does not exist", about)
            elif path.endswith(_LARGE):
                about |= {"X-Linked-Size": str(len(data)), "X-Linked-ETag": f'"{_sha(data)}"'}
                self._head(
                    302, about | {"Location": f"{hub.cdn}/{_sha(data)}", "Content-Length": "0"}
                )
            else:
                self._bytes(data, about | {"ETag": f'"{_sha(data)[:40]}"'}, fault)

        def _bytes(self, data: bytes, about: dict[str, str], fault: Fault | None) -> None:
            """Send a file or its range, as much of it as a fault lets through."""
            begin = self._begin()
            part = data[begin:]
            about = about | {"Content-Length": str(len(part)), "Accept-Ranges": "bytes"}
            if begin:
                about["Content-Range"] = f"bytes {begin}-{len(data) - 1}/{len(data)}"
            self._head(206 if begin else 200, about)
            if self.command == "HEAD":
                return
            if fault is None:
                self.wfile.write(part)
                return
            fault.times -= 1
            self.wfile.write(part[: fault.after])
            self.wfile.flush()
            fault.begun.set()
            if fault.stalls:
                hub.released.wait()
            self.close_connection = True

        def _begin(self) -> int:
            wanted = re.match(r"bytes=(\d+)-", self.headers.get("Range") or "")
            return int(wanted[1]) if wanted else 0

        def _json(self, value: object) -> None:
            body = json.dumps(value).encode()
            self._head(200, {"Content-Type": "application/json", "Content-Length": str(len(body))})
            self.wfile.write(body)

        def _refuse(
            self, status: int, code: str, message: str, about: Mapping[str, str] | None = None
        ) -> None:
            page = (
                b"<html>Log in first</html>"
                if status == 200
                else json.dumps({"error": message}).encode()
            )
            body = b"" if self.command == "HEAD" else page
            told = {"X-Error-Code": code} if code else {}
            told |= {"X-Error-Message": message, "Content-Length": str(len(body))}
            self._head(status, told | dict(about or {}))
            self.wfile.write(body)

        def _head(self, status: int, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()

    return Handler
