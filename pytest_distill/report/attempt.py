"""What one attempt at a test asked and how it ended; the standard library alone knows it.

pytest builds reports of it, and plugins that repeat tests drop, rename or replace those. So an
attempt is written down while it runs, and none is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_distill.report.records.gates import GateRow

ENDS = ("passed", "xfailed", "skipped", "failed", "error")
"""How setup, call or teardown can end, the worse the later."""


@dataclass(frozen=True)
class GateError:
    """A gate that was asked and gave no verdict: why, of which criterion, and on which line."""

    gate: str
    why: str
    criterion: str | None = None
    line: int | None = None


@dataclass
class Attempt:
    """Setup, call and teardown of a test, once.

    Parameters
    ----------
    verdicts : list of GateRow
        Of the gates that were asked.
    errors : list of GateError
        Of the gates that were asked and gave none.
    ends : dict
        Phase -> one of `ENDS`, and why in one line. A phase is ``setup``, ``call``, ``teardown``
        or one of its subtests, numbered, that ended worse than by passing.
    looked : bool
        Whether it took something of a model: its own assertions are then about that.
    """

    verdicts: list[GateRow] = field(default_factory=list)
    errors: list[GateError] = field(default_factory=list)
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
    nodeid : str
        The item's.
    name : str
        Tells this turn of the item from all others of the run, those of other workers too.
    config : str, optional
        Shown path of the ``distill.yaml`` that holds for the test.
    file, line : str and int, optional
        Where the test is; the file relative to the repository, with ``/``.
    attempts : list of Attempt
        In the order in which they were made.
    """

    __test__ = False

    nodeid: str = ""
    name: str = ""
    config: str | None = None
    file: str | None = None
    line: int | None = None
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def last(self) -> Attempt:
        """The attempt that runs, or ran last."""
        if not self.attempts:
            self.attempts.append(Attempt())
        return self.attempts[-1]
