"""What a report holds of what changed since the baseline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pytest_distill.report.records.comparisons import ByMetric


@dataclass(frozen=True, slots=True)
class BaselineRow:
    """The accepted run that this one is held against."""

    config: str
    path: str
    made: float
    """Seconds since 1970."""
    commit: str | None
    """Of the accepted run, where it was known."""
    ancestor: bool | None = None
    """Whether it is one that the commit checked out now comes from; None where git can't tell."""
    notes: tuple[str, ...] = ()
    """What makes it another than this run's: its gold set, its models, its age."""


@dataclass(frozen=True, slots=True)
class ChangeRow(ByMetric):
    """A model now and in the baseline, on the examples that both runs have."""

    model: str
    role: str
    before: float
    now: float
    difference: float
    """`now` less `before`, of paired examples."""
    lower: float | None
    upper: float | None
    """Two-sided 95 % interval of `difference`; a bound that does not exist is None."""
    n: int
    """How many examples both runs have."""
    wins: int | None = None
    losses: int | None = None
    """Examples that are better and worse now; None where the metric scores no examples."""
    same: bool | None = None
    """Whether it is the same checkpoint; None where a digest is not known."""


@dataclass(frozen=True, slots=True)
class GoldChangeRow:
    """What became of the gold set of an eval since the baseline, in examples."""

    config: str
    eval: str
    common: int
    added: int
    gone: int
    relabelled: int


@dataclass(frozen=True, slots=True)
class GateChangeRow:
    """A gate that the baseline has otherwise, or that only one of the two has."""

    config: str
    nodeid: str
    about: str
    """Which gate, on what, in words."""
    change: Literal["added", "removed", "lowered", "raised"]
    """Of the gate, or of what it requires; ``lowered`` is less strict, ``raised`` stricter."""
    before: str
    now: str
    """What was and is required, in words; empty where there was no such gate."""
