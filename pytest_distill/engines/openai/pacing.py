"""How many requests are on their way at once, when, and how often each is tried."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pytest_distill.engines.openai.calls import Call
from pytest_distill.engines.openai.replies import Again, Patience

_WORTH_TELLING = 5.0
"""Seconds: a server that was waited for longer is worth a word."""
_SPREAD = 0.1
"""By which share of a pause it is longer for some, so that not all come back at once."""

MOST_TRIES = 10
"""Of one request that the server answers badly, though it answers: with a fault in every fifth
answer, one in ten million requests needs more."""


class StoppedError(Exception):
    """Nothing further is sent: the run has ended with an error."""


class Pace:
    """Lets requests go, fewer at once where the server has more than it can take.

    An answer raises how many may be on their way by one for each so many answers; a server that
    is too busy halves it, once for all that were on their way together. One request waits for as
    long as the server says that it should; where a second one is refused with no answer between,
    the server means everybody, and all wait.

    Parameters
    ----------
    most : int
        How many may be on their way at most.

    Attributes
    ----------
    answered : int
        How many answers came so far.
    """

    def __init__(self, most: int) -> None:
        self.answered = 0
        self._most, self._limit = most, float(most)
        self._going = 0
        self._cut_at = self._open_at = -math.inf
        self._refused = 0  # in a row, with no answer between
        self._busy_since: float | None = None
        self._why = ""
        self._waited = 0.0
        self._stopped = False
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until a further request may be sent; it is on its way as long as the block lasts.

        Raises
        ------
        StoppedError
            Where nothing further is sent.
        """
        while not self._stopped and (
            self._going >= int(self._limit) or time.monotonic() < self._open_at
        ):
            pause = self._open_at - time.monotonic()
            await self._change(pause if pause > 0 else None)
        if self._stopped:
            raise StoppedError
        self._going += 1
        try:
            yield
        finally:
            self._going -= 1
            self._tell()

    async def rest(self, seconds: float) -> None:
        """Wait before a further try; no longer than until all is stopped."""
        until = time.monotonic() + seconds
        while not self._stopped and (left := until - time.monotonic()) > 0:
            await self._change(left)

    def answer(self) -> None:
        """Take note that the server answered: it can take more."""
        self.answered += 1
        self._refused = 0
        if self._busy_since is not None:
            self._waited = max(self._waited, time.monotonic() - self._busy_since)
            self._busy_since = None
        self._limit = min(self._limit + 1 / self._limit, float(self._most))
        self._tell()

    def busy(self, sent_at: float, why: str, pause: float | None) -> None:
        """Take note that the server could not take a request.

        Parameters
        ----------
        sent_at : float
            When the request was sent, as of ``time.monotonic()``.
        why : str
            What the server said.
        pause : float, optional
            How long it asks to be left alone, in seconds.
        """
        now = time.monotonic()
        self._why, self._refused = why, self._refused + 1
        if self._busy_since is None:
            self._busy_since = now
        if sent_at > self._cut_at:
            self._limit, self._cut_at = max(1.0, self._limit / 2), now
        if pause is not None and self._refused > 1:
            self._open_at = max(self._open_at, now + pause)

    def stop(self) -> None:
        """Let nothing further go."""
        self._stopped = True
        self._tell()

    @property
    def status(self) -> str:
        """What is waited for, for a line of progress; empty where the server answers."""
        if self._busy_since is None:
            return ""
        seconds = time.monotonic() - self._busy_since
        return f"waiting for the server for {seconds:.0f} s: {self._why}" if seconds >= 1 else ""

    @property
    def told(self) -> str:
        """How long the server was waited for, where that is worth a word; else empty."""
        if self._waited < _WORTH_TELLING:
            return ""
        return f"the server was waited for up to {self._waited:.0f} s in a row: {self._why}"

    async def _change(self, seconds: float | None) -> None:
        """Wait until something changed, or so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _tell(self) -> None:
        """Wake all who wait, so that they look again."""
        self._changed.set()
        self._changed = asyncio.Event()


def spread(seconds: float) -> float:
    """Return a pause that is a little longer, by chance."""
    return seconds * (1 + _SPREAD * random.random())  # noqa: S311 (guards nothing)


class Tries:
    """The tries of one call.

    Parameters
    ----------
    call : Call
        What is sent.
    content : bytes
        How.
    deadline : float
        How long all tries and pauses may take, in seconds.

    Attributes
    ----------
    count : int
        How many there were.
    bad : int
        How many failed in a way that may be this call's own.
    last : Again, optional
        What became of the last one that failed.
    stopped : bool
        Whether nothing further is sent.
    ends_at : float, optional
        When the last one ends, by the event loop's clock; None before the first.
    """

    def __init__(self, call: Call, content: bytes, deadline: float) -> None:
        self.call, self.content = call, content
        self.count = self.bad = 0
        self.last: Again | None = None
        self.stopped = False
        self.ends_at: float | None = None
        self._deadline = deadline
        self._answered = 0

    def begin(self) -> float:
        """Count a try, and return when the last one ends: the deadline runs from the first on."""
        if self.ends_at is None:
            self.ends_at = asyncio.get_running_loop().time() + self._deadline
        self.count += 1
        return self.ends_at

    def failed(self, reply: Again, answered: int) -> None:
        """Take note of a try that failed, when so many other requests had been answered."""
        others = self.last is not None and answered > self._answered
        self.bad += {
            Patience.SERVER: False,
            Patience.GATEWAY: others,
            Patience.ADDRESS: not answered,
            Patience.REQUEST: True,
        }[reply.patience]
        self.last, self._answered = reply, answered
