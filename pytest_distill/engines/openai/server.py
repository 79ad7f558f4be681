"""The connection to one server: sends calls, and tries again where that may help."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from pytest_distill._util.format import count_text
from pytest_distill._util.packages import Package
from pytest_distill.engines.openai.addresses import host_of, is_here, origin
from pytest_distill.engines.openai.answered import Seen
from pytest_distill.engines.openai.calls import Call, CallRefusedError
from pytest_distill.engines.openai.line import Line
from pytest_distill.engines.openai.money import Purse
from pytest_distill.engines.openai.options import OpenAIOptions
from pytest_distill.engines.openai.pacing import MOST_TRIES, Pace, StoppedError, Tries, spread
from pytest_distill.engines.openai.replies import (
    ASKED_CODING,
    Again,
    Moved,
    Patience,
    RefusedTry,
    Reply,
    WholeAnswer,
)
from pytest_distill.engines.openai.safety import Key, key_of, variable
from pytest_distill.errors import ModelError

_HTTP = Package("httpx2", "httpx2", "openai")
_OTHER_HTTP = Package("httpx", "httpx2", "openai")
_TENACITY = Package("tenacity", "tenacity", "openai")
_LOGGERS = ("httpx2", *(f"httpcore2.{of}" for of in ("connection", "http11", "proxy", "socks")))
"""Of the package that speaks HTTP; without the 2 those of its older one."""
_SERVER_SECONDS = 20.0
_REQUEST_SECONDS = 2.0
"""The longest pauses before another try, for a server that is away and for a bad answer."""


@asynccontextmanager
async def connected(
    name: str, options: OpenAIOptions, purse: Purse, seen: Seen | None = None
) -> AsyncIterator[Sender]:
    """Give what sends calls to the server, as long as the block lasts.

    Each request has a connection of its own: a response that a server sends twice would otherwise
    be taken for the answer to the next request.

    Parameters
    ----------
    name : str
        The model's, for messages.
    options : OpenAIOptions
        Where the server is, and how it is asked.
    purse : Purse
        Counts what is spent.
    seen : Seen, optional
        The answers of this engine so far.

    Raises
    ------
    ModelError
        Where the key is missing.
    """
    http = (_HTTP if _HTTP.is_installed else _OTHER_HTTP).load("engine: openai")
    key = key_of(name, options)
    try:
        client = _client(http, key, options)
    except (ImportError, OSError, ValueError, http.InvalidURL):
        raise ModelError(
            f"model '{name}': what the environment says of proxies or certificates cannot be used: "
            "look at HTTPS_PROXY, ALL_PROXY, SSL_CERT_FILE and SSL_CERT_DIR"
        ) from None
    with key.kept_from_logs([*_LOGGERS, *(name.replace("2", "", 1) for name in _LOGGERS)]):
        async with client:
            yield Sender(name, options, Line(http, client, key), purse, seen or Seen())


def _client(http: Any, key: Key, options: OpenAIOptions) -> Any:
    """Return what speaks HTTP to one server, over a new connection for each request."""
    times = options.timeouts
    limits = http.Limits(max_connections=None, max_keepalive_connections=0)
    own: dict[str, Any] = {"limits": limits}
    if is_here(options.base_url):  # what is on this machine is not behind a proxy
        if origin(options.base_url)[0] == "http":
            # Reading the certificates of all authorities takes a while.
            own["verify"] = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        own = {"transport": http.AsyncHTTPTransport(**own)}
    return http.AsyncClient(
        headers={**key.headers, "Connection": "close", "Accept-Encoding": ASKED_CODING},
        timeout=http.Timeout(times.first_byte, connect=times.connect, pool=None),
        follow_redirects=False,
        **own,
    )


class Sender:
    """Sends calls.

    Parameters
    ----------
    name : str
        The model's, for messages.
    options : OpenAIOptions
        Where the server is, and how it is asked.
    line : Line
        Sends one try.
    purse : Purse
        Counts what is spent.
    seen : Seen
        The answers so far.
    """

    def __init__(
        self, name: str, options: OpenAIOptions, line: Line, purse: Purse, seen: Seen
    ) -> None:
        self.pace = Pace(options.max_concurrency)
        self._name, self._options = name, options
        self._line, self._purse, self._seen = line, purse, seen
        self._tenacity = _TENACITY.load("engine: openai")

    async def __call__(self, call: Call) -> Mapping[str, Any]:
        """Return the JSON of the answer to a call.

        Raises
        ------
        ModelError
            Where the server refuses, answers badly every time, or not before the deadline.
        """
        tries = Tries(call, self._content(call), self._options.timeouts.deadline)
        reply = await self._try(tries)
        if isinstance(reply, Again):
            reply = await self._tried_again(tries, reply)
        if isinstance(reply, WholeAnswer):
            return reply.json
        problem = self._problem(tries, reply)
        if isinstance(reply, RefusedTry) and reply.status is not None:
            raise CallRefusedError(problem, reply.status, reply.why)
        raise ModelError(problem)

    async def _tried_again(self, tries: Tries, first: Again) -> Reply:
        """Return what comes of further tries, after one that failed."""
        failed = iter([first])

        async def again() -> Reply:
            return next(failed, None) or await self._try(tries)

        retrying = self._tenacity.AsyncRetrying(
            retry=self._tenacity.retry_if_result(lambda reply: isinstance(reply, Again)),
            stop=lambda state: self._is_over(tries, state.outcome.result()),
            wait=self._pause,
            sleep=self.pace.rest,
            retry_error_callback=lambda state: state.outcome.result(),
        )
        reply: Reply = await retrying(again)
        return reply

    async def _try(self, tries: Tries) -> Reply:
        """Send a call once, when the server can take it."""
        try:
            async with asyncio.timeout_at(tries.ends_at) as limit, self.pace.turn():
                limit.reschedule(tries.begin())
                reply = await self._counted(tries)
        except TimeoutError:
            return tries.last or Again("was not answered", Patience.SERVER)
        except StoppedError:
            tries.stopped = True
            return tries.last or Again("was not sent", Patience.SERVER)
        if isinstance(reply, Again):
            tries.failed(reply, self.pace.answered)
        return reply

    async def _counted(self, tries: Tries) -> Reply:
        """Send a call once, and count what that cost, whatever happens."""
        if tries.call.aside:
            return await self._once(tries)
        reserved = await self._purse.reserve(tries.call)
        try:
            reply = await self._once(tries)
        except BaseException:
            reserved.unknown()
            raise
        if isinstance(reply, WholeAnswer | Again) and reply.json is not None:
            reserved.paid(reply.json)
        elif isinstance(reply, Again) and reply.may_be_paid:
            reserved.unknown()
        else:
            reserved.free()
        return reply

    async def _once(self, tries: Tries) -> Reply:
        sent_at = time.monotonic()
        seconds = self._options.timeouts.total
        reply = await self._line.send(self._url(tries.call), tries.content, seconds)
        if isinstance(reply, WholeAnswer) and self._seen.is_of_another(reply.json, tries.content):
            why = "was answered with the answer to another request, told by its id"
            reply = Again(why, Patience.REQUEST, may_be_paid=True)
        if isinstance(reply, WholeAnswer):
            self.pace.answer()
        elif isinstance(reply, Again) and reply.patience is not Patience.REQUEST:
            self.pace.busy(sent_at, reply.why, reply.pause)
        return reply

    def _url(self, call: Call) -> str:
        return f"{self._options.base_url.rstrip('/')}/{call.path}"

    def _content(self, call: Call) -> bytes:
        """Return what is sent: a key of `extra_body` that is null leaves out what is ours."""
        said = {"model": self._options.model, **call.body, **self._options.extra_body}
        return json.dumps({k: v for k, v in said.items() if v is not None}).encode()

    def _is_over(self, tries: Tries, reply: Again) -> bool:
        """Whether another try is of no use, or too late."""
        if tries.stopped or tries.bad >= MOST_TRIES or tries.ends_at is None:
            return True
        return asyncio.get_running_loop().time() + (reply.pause or 0.0) >= tries.ends_at

    def _pause(self, state: Any) -> float:
        """Return how long to wait before another try."""
        reply: Again = state.outcome.result()
        of_server = reply.patience is not Patience.REQUEST
        step, most = (0.25, _SERVER_SECONDS) if of_server else (0.05, _REQUEST_SECONDS)
        grown: float = self._tenacity.wait_random_exponential(multiplier=step, max=most)(state)
        return grown if reply.pause is None else max(spread(reply.pause), grown)

    def _problem(self, tries: Tries, reply: Again | RefusedTry | Moved) -> str:
        """Return what to say of a call that has no answer."""
        begin, id = f"model '{self._name}' at {host_of(self._options.base_url)}: ", tries.call.id
        if isinstance(reply, RefusedTry):
            return begin + self._refusal(tries.call, reply)
        if isinstance(reply, Moved):
            return (
                f"{begin}example '{id}' was redirected to {self._line.shown(reply.to)}, and that "
                "is not followed: write where the server is into base_url"
            )
        if tries.bad >= MOST_TRIES:
            ask = reply.patience is Patience.ADDRESS
            remedy = ": does the server run, and is base_url right?" if ask else ""
            told = f"{reply.why} ({tries.count} tries, the last one told)"
            return f"{begin}example '{id}' {told}{remedy}"
        deadline = self._options.timeouts.deadline
        asked = f"; it asks to wait for {reply.pause:,.0f} s" if reply.pause else ""
        return (
            f"{begin}example '{id}' has no answer within timeouts.deadline, {deadline:g} s, after "
            f"{count_text(tries.count, 'try', 'tries')}; at last it {reply.why}{asked}"
        )

    def _refusal(self, call: Call, reply: RefusedTry) -> str:
        told = f"example '{call.id}' {reply.why}"
        if reply.status in (401, 403):
            if self._options.api_key_env is None:
                return f"{told}; no key was sent: name the variable that holds it as 'api_key_env'"
            return f"{told}; the key is that of {variable(self._options)}"
        if reply.status == 404:
            return (
                f"{told}; asked was {self._url(call)} for the model '{self._options.model}': one "
                "of base_url and model is wrong"
            )
        return told
