"""What a server replied to one try: an answer, a reason to try again, or one to give up."""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any

from pytest_distill.engines.openai.safety import Key
from pytest_distill.errors import one_line

MOST_BYTES = 64 * 2**20
"""Of an answer, once it is unpacked."""
_MOST_OF_AN_ERROR = 64 * 2**10
_MOST_READ = 4_000
_MOST_SHOWN = 300
ASKED_CODING = "gzip"
_CODINGS = ("", "identity", ASKED_CODING)
_BROKE = re.compile(
    rb"insufficient[ _-](user[ _-])?(quota|balance|credit|fund)|exceeded_current_quota"
    rb"|billing[ _-](hard[ _-]limit|not[ _-]active)|out of credit",
    re.IGNORECASE,
)
"""What a 429 says where the account is empty, which waiting does not mend."""
_BROKEN = frozenset({"abort", "aborted", "cancelled", "canceled", "error"})
"""What servers give as the reason of an end that is none: something failed on the way."""


class Patience(Enum):
    """How often a try is worth another."""

    SERVER = "until the server is there again"
    GATEWAY = "so too, but where others are answered it is this request"
    ADDRESS = "so too where the server was there before, else its address is wrong"
    REQUEST = "a few times"


@dataclass(frozen=True, slots=True)
class WholeAnswer:
    """The JSON of a whole answer."""

    json: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Again:
    """A try that failed, where another may not.

    Parameters
    ----------
    why : str
        What happened, as the end of a sentence.
    patience : Patience
        How often it's tried again.
    may_be_paid : bool
        Whether the model may have seen it.
    pause : float, optional
        How long the server asks to be left alone, in seconds.
    json : mapping, optional
        An answer that cannot be used.
    """

    why: str
    patience: Patience
    may_be_paid: bool = False
    pause: float | None = None
    json: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class RefusedTry:
    """A try that failed, as every other would.

    Parameters
    ----------
    status : int, optional
        What the server answered; None where it was not asked.
    why : str
        What happened, as the end of a sentence.
    """

    status: int | None
    why: str


@dataclass(frozen=True, slots=True)
class Moved:
    """Where the server wants to be asked instead."""

    to: str
    keeps_method: bool


Reply = WholeAnswer | Again | RefusedTry | Moved


class UnreadableError(Exception):
    """A body has more bytes than any model writes, or is packed as nobody asked for."""


async def reply_of(response: Any, key: Key, *, choices: bool) -> Reply:
    """Read a response that has begun, and say what it is.

    Parameters
    ----------
    response : httpx2.Response
        Its body is not read yet.
    key : Key
        What must not be in it.
    choices : bool
        Whether a whole answer has ``choices``.
    """
    status = response.status_code
    if status == 200:
        try:
            return _answer(await _body(response, MOST_BYTES), key, choices=choices)
        except UnreadableError as problem:
            return Again(f"was answered with {problem}", Patience.REQUEST, may_be_paid=True)
    if 300 <= status < 400 and "location" in response.headers:
        return Moved(response.headers["location"], keeps_method=status in (301, 302, 307, 308))
    try:
        body = await _body(response, _MOST_OF_AN_ERROR, cut=True)
    except UnreadableError:
        body = b""
    return _error(response, _said(body, key), broke=_BROKE.search(body) is not None)


def _error(response: Any, said: str, *, broke: bool) -> Reply:
    """Return what an answer without 200 is; who is `broke` has nothing to wait for."""
    status = response.status_code
    why = f"was answered {status}{said}"
    pause = seconds_of(response.headers.get("retry-after"))
    if status in (429, 503) and not broke:
        return Again(why, Patience.SERVER, pause=pause)
    if status in (502, 504) or status > 504:
        return Again(why, Patience.GATEWAY, may_be_paid=True, pause=pause)
    if status >= 500 or status in (409, 425):
        return Again(why, Patience.REQUEST, pause=pause)
    if status == 408 or status < 300:
        return Again(why, Patience.REQUEST, may_be_paid=True, pause=pause)
    return RefusedTry(status, why)


def seconds_of(said: str | None) -> float | None:
    """Return how long a ``Retry-After`` asks to wait: seconds, or a date; None where it's neither.

    Parameters
    ----------
    said : str, optional
        The header's value.
    """
    if said is None:
        return None
    try:
        seconds = float(said)
    except ValueError:
        try:
            when = parsedate_to_datetime(said)
            when = when if when.tzinfo else when.replace(tzinfo=UTC)
            seconds = (when - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError, OverflowError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _answer(body: bytes, key: Key, *, choices: bool) -> Reply:
    """Return what the body of a 200 is."""
    try:
        found = key.taken_from(json.loads(body))
    except (ValueError, RecursionError):
        why = f"was answered with what is not JSON{_said(body, key)}"
        return Again(why, Patience.REQUEST, may_be_paid=True)
    if not isinstance(found, dict):
        why = f"was answered with JSON that is no mapping{_said(body, key)}"
        return Again(why, Patience.REQUEST, may_be_paid=True)
    if choices and (lacking := _lacking(found)):
        return Again(f"was answered {lacking}{_said(body, key)}", Patience.REQUEST, json=found)
    return WholeAnswer(found)


def _lacking(found: Mapping[str, Any]) -> str:
    """Return why an answer is none, as a part of a sentence; empty where it is one."""
    given = found.get("choices")
    if not (isinstance(given, list) and given and all(isinstance(one, dict) for one in given)):
        return "without choices"
    ends = [one.get("finish_reason") for one in given]
    if found.get("error") or any(isinstance(end, str) and end.lower() in _BROKEN for end in ends):
        return "with an error"
    return ""


async def _body(response: Any, most: int, *, cut: bool = False) -> bytes:
    """Return a body, unpacked: never more than so many bytes of it are in memory.

    Parameters
    ----------
    response : httpx2.Response
        Its body is not read yet.
    most : int
        How many bytes it may have.
    cut : bool
        Whether its beginning will do where it has more.

    Raises
    ------
    UnreadableError
        Where it has more, or is packed in a way that was not asked for.
    """
    coding = response.headers.get("content-encoding", "").strip().lower()
    if coding not in _CODINGS:
        raise UnreadableError(f"a body that is packed as '{one_line(coding)[:40]}', unasked")
    unpack = _Gzip().parts if coding == ASKED_CODING else lambda part: iter((part,))
    body = bytearray()
    async with aclosing(response.aiter_raw()) as raw:
        async for packed in raw:
            for part in unpack(packed):
                body += part
                if len(body) > most and not cut:
                    raise UnreadableError(f"more than {most // 2**20} MiB")
                if len(body) > most:
                    return bytes(body[:most])
    return bytes(body)


class _Gzip:
    """Unpacks a body, a MiB at a time: a few bytes may stand for very many."""

    def __init__(self) -> None:
        self._unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)

    def parts(self, packed: bytes) -> Iterator[bytes]:
        """Yield what some bytes stand for."""
        while packed:
            try:
                yield self._unpack.decompress(packed, 2**20)
            except zlib.error:
                raise UnreadableError("a body that is not packed as it says") from None
            packed = self._unpack.unconsumed_tail


def _said(body: bytes, key: Key) -> str:
    """Return the server's own words as the end of a sentence, in one line and without the key."""
    text = body[:_MOST_READ].decode(errors="replace")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if isinstance(found, dict):
        text = _words(found) or text
    shown = key.hidden_in(" ".join(text.split()))
    cut = shown if len(shown) <= _MOST_SHOWN else f"{shown[:_MOST_SHOWN]} [...]"
    return f": {one_line(cut)}" if cut else ""


def _words(found: Mapping[str, Any]) -> str:
    """Return what the servers that we know call an error's message, and its code."""
    error = found.get("error", found.get("detail", found.get("message")))
    if not isinstance(error, dict):
        return error if isinstance(error, str) else ""
    message, code = error.get("message"), error.get("code")
    named = f" ({code})" if isinstance(code, str) and code else ""
    return f"{message}{named}" if isinstance(message, str) else ""
