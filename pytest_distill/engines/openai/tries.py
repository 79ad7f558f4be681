"""How often one call was tried, and how often it still may be."""

from __future__ import annotations

import asyncio

from pytest_distill.engines.openai.calls import Call
from pytest_distill.engines.openai.replies import Again, Patience

MOST_TRIES = 10
"""Of one request that the server answers badly, though it answers: with a fault in every fifth
answer, one in ten million requests needs more."""


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
