"""One try of a request: what is sent over a connection of its own, and what comes back."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urljoin

from pytest_distill.engines.openai.addresses import origin
from pytest_distill.engines.openai.replies import (
    Again,
    Moved,
    Patience,
    RefusedTry,
    Reply,
    reply_of,
)
from pytest_distill.engines.openai.safety import Key
from pytest_distill.errors import one_line

_MOST_MOVES = 5
_FEW = 10


class Line:
    """Sends one try to one server.

    Parameters
    ----------
    http : module
        httpx2 or httpx.
    client : httpx2.AsyncClient
        Knows the key.
    key : Key
        What must not be in what is told.
    """

    def __init__(self, http: Any, client: Any, key: Key) -> None:
        self._http, self._client, self._key = http, client, key
        self._urls: dict[str, Any] = {}

    async def send(self, url: str, content: bytes, seconds: float) -> Reply:
        """Return what a server replies; redirects are followed where they lead to the same one."""
        to = url
        try:
            async with asyncio.timeout(seconds):
                for _ in range(_MOST_MOVES):
                    reply = await self._post(to, content)
                    if not isinstance(reply, Moved):
                        return reply
                    if not reply.keeps_method or not _leads_back(to, reply.to):
                        return reply
                    to = urljoin(to, reply.to)
                return RefusedTry(None, "was redirected without end")
        except TimeoutError:
            why = f"had no whole answer within timeouts.total, {seconds:g} s"
            return Again(why, Patience.REQUEST, may_be_paid=True)

    async def _post(self, url: str, content: bytes) -> Reply:
        http = self._http
        choices = url.endswith("completions")
        request = {"content": content, "headers": {"Content-Type": "application/json"}}
        try:
            async with (
                _closed_where_cancelled(url) as extensions,
                self._client.stream(
                    "POST", self._url(url), **request, extensions=extensions
                ) as got,
            ):
                return await reply_of(got, self._key, choices=choices)
        except http.InvalidURL:
            return RefusedTry(None, "was redirected to what is no URL")
        except (http.ConnectError, http.ConnectTimeout, http.ProxyError) as error:
            return self._not_sent(error)
        except http.ReadTimeout:
            why = "was not answered within timeouts.first_byte, nor went on so long"
            return Again(why, Patience.REQUEST, may_be_paid=True)
        except (http.TransportError, http.DecodingError, OSError, EOFError) as error:
            why = f"had its answer cut off: {self.shown(str(error) or type(error).__name__)}"
            return Again(why, Patience.REQUEST, may_be_paid=True)

    def _url(self, url: str) -> Any:
        """Return a URL as the client takes it; the few of every run are read once."""
        if len(self._urls) < _FEW and url not in self._urls:
            self._urls[url] = self._http.URL(url)
        return self._urls.get(url, url)

    def _not_sent(self, error: Exception) -> Reply:
        """Return what it means that there is no connection."""
        why = f"could not be sent: {self.shown(str(error) or type(error).__name__)}"
        causes = list(_causes(error))
        if any(isinstance(cause, ssl.SSLCertVerificationError) for cause in causes):
            return RefusedTry(None, f"{why}; SSL_CERT_FILE names a file of certificates to trust")
        if "WRONG_VERSION_NUMBER" in str(error):
            return RefusedTry(None, f"{why}; the server does not speak https there")
        return Again(why, Patience.ADDRESS)

    def shown(self, text: str) -> str:
        """Return a text of the server's, in one line and without the key."""
        return one_line(self._key.hidden_in(text)[:300])


@asynccontextmanager
async def _closed_where_cancelled(url: str) -> AsyncIterator[dict[str, Any]]:
    """Close a connection whose handshake of TLS is cancelled: the client leaves it open.

    Gives what a request is to be sent with, so that its connection is known.
    """
    if origin(url)[0] == "http":
        yield {}
        return
    opened: list[Any] = []

    async def trace(event: str, about: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            opened.append(about["return_value"])

    try:
        yield {"trace": trace}
    except asyncio.CancelledError:
        for stream in opened:
            await stream.aclose()
        raise


def _leads_back(url: str, to: str) -> bool:
    """Whether a redirect leads to the server that was asked, by the same scheme."""
    try:
        return origin(urljoin(url, to)) == origin(url)
    except ValueError:
        return False


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it came of."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
