"""What GitHub gives an action: its REST API, the event, the run, the log and the step outputs.

The standard library alone: the second workflow runs it where nothing is installed.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

PAUSES = (0.5, 2.0)
"""Seconds before a request is tried again that the server failed to answer."""

BUSY = 500
"""A status from here on, like `LIMITED`, is the server's and may go away."""

LIMITED = 429
TIMEOUT = 30
PAGES = 100
"""At most so many pages of a list are read, of 100 entries each."""

_NEXT = re.compile(r'<([^>]+)>; *rel="next"')

Event = Mapping[str, Any]


class ApiError(Exception):
    """The API did not do what it was asked for.

    Parameters
    ----------
    status : int
        Of the answer; 0 where there was none.
    what : str
        What was asked, and what the server said.
    """

    def __init__(self, status: int, what: str) -> None:
        super().__init__(what)
        self.status = status

    @property
    def may_go_away(self) -> bool:
        """Whether the same request may succeed later."""
        return not self.status or self.status == LIMITED or self.status >= BUSY


class Api:
    """The REST API of one repository.

    Parameters
    ----------
    url : str
        E.g. ``https://api.github.com``.
    repository : str
        ``OWNER/NAME``.
    token : str
        Who asks.
    """

    def __init__(self, url: str, repository: str, token: str) -> None:
        self._base = url.rstrip("/")
        self._repository = f"{self._base}/repos/{urllib.parse.quote(repository)}"
        self._token = token

    @classmethod
    def of_run(cls) -> Api:
        """Return the API that the runner names; the token stands in ``GITHUB_TOKEN``."""
        url = os.environ.get("GITHUB_API_URL") or "https://api.github.com"
        return cls(url, os.environ["GITHUB_REPOSITORY"], os.environ.get("GITHUB_TOKEN", ""))

    def get(self, path: str) -> Any:
        """Return an object below the repository's address."""
        return self._object(lambda: self._ask("GET", f"{self._repository}/{path}"))

    def pages(self, path: str, key: str = "") -> Iterator[dict[str, Any]]:
        """Yield the entries of a list, page by page; `key` names it where it lies in an object."""
        address = f"{self._repository}/{path}{'&' if '?' in path else '?'}per_page=100"
        for _ in range(PAGES):
            found, link = self._list(address, key)
            yield from found
            following = _NEXT.search(link)
            # The token goes nowhere else, whatever the server names as its next page.
            if following is None or not following[1].startswith(f"{self._base}/"):
                return
            address = following[1]

    def write(self, method: str, path: str, body: Mapping[str, Any]) -> Any:
        """Create or change an object; never tried again, since it may have happened."""
        return self._object(lambda: self._ask(method, f"{self._repository}/{path}", body), tries=1)

    def download(self, path: str, most: int) -> bytes:
        """Return a file of at most so many bytes; it may lie on a host that must not see the token.

        Raises
        ------
        ApiError
            It is larger, or cannot be had.
        """

        def read() -> bytes:
            with self._open("GET", f"{self._repository}/{path}") as answer:
                return bytes(answer.read(most + 1))

        data: bytes = _again(read)
        if len(data) > most:
            raise ApiError(0, f"{path} has more than {most:,} bytes")
        return data

    def viewer(self) -> str | None:
        """Return the login of whom the token belongs to; None where the server doesn't tell.

        The REST API tells it to people alone, GraphQL also to apps such as GitHub Actions.
        """
        address = os.environ.get("GITHUB_GRAPHQL_URL")
        if not address:
            return None
        try:
            answer = self._object(
                lambda: self._ask("POST", address, {"query": "query { viewer { login } }"})
            )
            return str(answer["data"]["viewer"]["login"])
        except (ApiError, LookupError, TypeError):
            return None

    def _list(self, address: str, key: str) -> tuple[list[dict[str, Any]], str]:
        answer, link = _again(lambda: self._ask("GET", address))
        entries = answer.get(key) if key and isinstance(answer, dict) else answer
        if not isinstance(entries, list):
            raise ApiError(0, f"GET {address}: no list")
        return [entry for entry in entries if isinstance(entry, dict)], link

    def _object(self, ask: Callable[[], tuple[Any, str]], tries: int = len(PAUSES) + 1) -> Any:
        answer, _ = _again(ask, tries)
        return answer

    def _ask(
        self, method: str, address: str, body: Mapping[str, Any] | None = None
    ) -> tuple[Any, str]:
        """Return what JSON says, and the header ``Link``."""
        with self._open(method, address, body) as answer:
            data, link = answer.read(), answer.headers.get("Link", "")
        try:
            return json.loads(data), link
        except ValueError:
            raise ApiError(0, f"{method} {address}: no JSON") from None

    def _open(self, method: str, address: str, body: Mapping[str, Any] | None = None) -> Any:
        request = urllib.request.Request(  # noqa: S310 (the runner's own address)
            address,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "Accept": "application/vnd.github+json",
                "Content-Type": "application/json",
                "User-Agent": "pytest-distill",
                "X-GitHub-Api-Version": "2022-11-28",
            },
        )
        if self._token:
            # Not sent on where a redirect leads to another host.
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        try:
            return urllib.request.urlopen(request, timeout=TIMEOUT)  # noqa: S310
        except urllib.error.HTTPError as error:
            with error:
                raise ApiError(
                    error.code, f"{method} {address}: {error.code} {_reason(error)}"
                ) from None
        except (OSError, http.client.HTTPException) as error:
            raise ApiError(0, f"{method} {address}: {error}") from None


def _again(ask: Callable[[], Any], tries: int = len(PAUSES) + 1) -> Any:
    """Return what is answered; a server that is busy, or not there, is asked again."""
    for pause in (*PAUSES[: tries - 1], None):
        try:
            return ask()
        except ApiError as error:
            if pause is None or not error.may_go_away:
                raise
        except (OSError, http.client.HTTPException) as error:  # the answer was cut off
            if pause is None:
                raise ApiError(0, str(error)) from None
        time.sleep(pause)
    raise AssertionError


def _reason(error: urllib.error.HTTPError) -> str:
    """Return what the server says of an error."""
    try:
        return str(json.loads(error.read(10_000))["message"])
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError):
        return str(error.reason)


def event() -> Event:
    """Return what set the workflow off; empty where the runner doesn't tell."""
    try:
        found = json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
    except (OSError, ValueError, LookupError):
        return {}
    return found if isinstance(found, dict) else {}


def part(found: Any, *keys: str) -> Any:
    """Return what stands under the keys, one in another; None where one is missing."""
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def run_address() -> str:
    """Return the address of this run."""
    server = os.environ.get("GITHUB_SERVER_URL") or "https://github.com"
    run = os.environ.get("GITHUB_RUN_ID", "")
    return f"{server}/{os.environ['GITHUB_REPOSITORY']}/actions/runs/{run}"


def say(level: str, text: str) -> None:
    """Write a line into the log and beside the run: a ``notice``, ``warning`` or ``error``."""
    escaped = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    print(f"::{level} title=pytest-distill::{escaped}", flush=True)


def set_outputs(outputs: Mapping[str, str]) -> None:
    """Set the outputs of the step; none may hold a line break, which would begin another."""
    lines = []
    for name, value in outputs.items():
        if "\n" in value or "\r" in value:
            raise ValueError(f"{name}: a line break in {value!r}")
        lines.append(f"{name}={value}\n")
    with Path(os.environ["GITHUB_OUTPUT"]).open("a", encoding="utf-8") as file:
        file.writelines(lines)
