"""What one attempt at a test asked and how it ended; the standard library alone knows it.

pytest builds reports of it, and plugins that repeat tests drop, rename or replace those. So an
attempt is written down while it runs, and every attempt is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

ENDS = ("passed", "xfailed", "skipped", "failed", "error")
"""How setup, call or teardown can end, the worse the later."""


@dataclass
class Attempt:
    """Setup, call and teardown of a test, once.

    Parameters
    ----------
    verdicts : list of dict
        As `Verdict.to_dict` gives them, each with the shown path of its ``distill.yaml``.
    errors : list of dict
        Gates that were asked and gave no verdict: ``gate``, and ``why`` in one line.
    ends : dict
        Phase -> one of `ENDS`, and why in one line. A phase is ``setup``, ``call``, ``teardown``
        or one of its subtests, numbered, that ended worse than by passing.
    looked : bool
        Whether it took something of a model: its own assertions are then about that.
    """

    verdicts: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    ends: dict[str, tuple[str, str]] = field(default_factory=dict)
    looked: bool = False

    @property
    def ended(self) -> tuple[str | None, str]:
        """The worst end among its phases, and why; None where the test was cut off."""
        worst = max(self.ends.values(), key=lambda end: ENDS.index(end[0]), default=("passed", ""))
        if worst[0] == "passed" and "call" not in self.ends:
            return None, "cut off"
        return worst


@dataclass
class TestRun:
    """One item's turn: several attempts where a plugin repeats it.

    Parameters
    ----------
    config : str, optional
        Shown path of the ``distill.yaml`` that holds for the test.
    attempts : list of Attempt
        In the order in which they were made.
    """

    __test__ = False

    config: str | None = None
    attempts: list[Attempt] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> TestRun:
        """Return the run of `to_dict`, before or after it was JSON."""
        attempts = [
            Attempt(
                attempt["verdicts"],
                attempt["errors"],
                {phase: (end[0], end[1]) for phase, end in attempt["ends"].items()},
                attempt["looked"],
            )
            for attempt in told["attempts"]
        ]
        return cls(told["config"], attempts)
