"""What asking a cluster came to, in words: for the bar while it goes on, and for the report."""

from __future__ import annotations

import time
from dataclasses import dataclass

from pytest_distill._util.format import count_text


@dataclass(eq=False)
class Tally:
    """What was asked of a cluster in one run, over all evals of a model.

    Parameters
    ----------
    name : str
        The model's.
    """

    name: str
    actors: int = 0
    nodes: int = 0
    answered: int = 0
    nodes_lost: int = 0
    begun_anew: int = 0
    asked_again: int = 0

    @property
    def told(self) -> str:
        """A sentence for the report; empty where nothing was asked."""
        if not self.answered:
            return ""
        by = f"{count_text(self.actors, 'actor')} on {count_text(self.nodes, 'node')}"
        told = f"{self.name}: {count_text(self.answered, 'answer')} came from {by} of a Ray cluster"
        lost = [
            *([f"{_were(self.nodes_lost, 'node')} lost"] if self.nodes_lost else []),
            *([f"{_were(self.begun_anew, 'actor')} started anew"] if self.begun_anew else []),
        ]
        if not lost and not self.asked_again:
            return told
        again = f"{_were(self.asked_again, 'example')} asked again, each is counted once"
        return f"{told}; {', '.join([*lost, again])}"


def _were(count: int, noun: str) -> str:
    return f"{count_text(count, noun)} {'was' if count == 1 else 'were'}"


@dataclass(eq=False)
class CallProgress:
    """How far one call of an engine is.

    Parameters
    ----------
    actors : int
        How many are expected.
    """

    actors: int
    ready: int = 0
    answered: int = 0
    waiting: str = ""
    _began: float | None = None

    @property
    def status(self) -> str:
        """How many actors answer and how fast, in a few words."""
        if self.waiting:
            return self.waiting
        actors = f"{self.ready} of {count_text(self.actors, 'actor')}"
        seconds = 0.0 if self._began is None else time.monotonic() - self._began
        return f"{actors}, {self.answered / seconds:,.1f} examples/s" if seconds else actors

    def count(self) -> None:
        """Take note of one more answer; the rate is that since the first one."""
        if self._began is None:
            self._began = time.monotonic()
        else:
            self.answered += 1
