"""What a report is made of. The JSON report is these records, and ``schema.json`` their schema.

The standard library alone: a report that says that the run did not end is written when pytest
starts. An infinite number is None, since JSON has no word for it; NaN is an error.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from pytest_distill.report.records.comparisons import (
    BudgetRow,
    CalibrationRow,
    ComparisonRow,
    Frontier,
    PairRow,
    RecommendationRow,
    RetainedRow,
)
from pytest_distill.report.records.gates import GateRow
from pytest_distill.report.records.models import EvaluationRow, FiguresRow, ModelRow
from pytest_distill.report.records.record import LATER
from pytest_distill.report.records.since import BaselineRow, ChangeRow, GateChangeRow, GoldChangeRow

SCHEMA: Literal[2] = 2

UNFINISHED = "the run did not end"
"""What a report says from the start of a run to its end."""

Shipping = Literal["SHIP", "DO NOT SHIP", "INCOMPLETE"]


@dataclass(frozen=True, slots=True)
class LooksRow:
    """How often a gold set was looked at."""

    config: str
    eval: str
    students: int
    """How many student checkpoints are known to have been judged on it; there may be more."""
    confidence: float
    """Of each one's bound, if all of them together are to be wrong at most one time in 20."""


@dataclass(frozen=True, slots=True)
class JudgedRow:
    """Who was judged on the gold set of an eval, as one process knows it."""

    config: str
    eval: str
    students: tuple[str, ...]
    """Digests; one that was judged in this run and has none is not among them."""


@dataclass(frozen=True, slots=True)
class Reason:
    """Something that stands in the way of a SHIP, or what a SHIP is of."""

    text: str
    names: tuple[str, ...] = ()
    """The node ids, files or gates that it is about."""


@dataclass(frozen=True, slots=True)
class Report:
    """All that a run found out, and what it comes to. A format tells it and computes nothing."""

    schema: Literal[2] = SCHEMA
    outcome: Shipping = "INCOMPLETE"
    """SHIP only when every gate ran and passed, and nothing else went wrong."""
    reason: str = UNFINISHED
    """The words of all `reasons`."""
    culprits: tuple[str, ...] = ()
    """The names of all `reasons`."""
    reasons: tuple[Reason, ...] = ()
    scope: tuple[str, ...] = ()
    """Of a SHIP: the files, projects and students that it is of, where that is not all."""
    tally: tuple[str, ...] = ()
    """How many gates passed, and what became of the others, in words."""
    models: tuple[ModelRow, ...] = ()
    comparisons: tuple[ComparisonRow, ...] = ()
    budgets: tuple[BudgetRow, ...] = field(default=(), metadata=LATER)
    evaluations: tuple[EvaluationRow, ...] = ()
    figures: tuple[FiguresRow, ...] = ()
    frontiers: tuple[Frontier, ...] = ()
    retained: tuple[RetainedRow, ...] = field(default=(), metadata=LATER)
    """By the headline metric of each eval, the students first; of many slices the worst."""
    pairs: tuple[PairRow, ...] = field(default=(), metadata=LATER)
    """The students against the others, by the same metric."""
    calibration: tuple[CalibrationRow, ...] = field(default=(), metadata=LATER)
    recommendations: tuple[RecommendationRow, ...] = ()
    gates: tuple[GateRow, ...] = ()
    baselines: tuple[BaselineRow, ...] = ()
    changes: tuple[ChangeRow, ...] = ()
    gold_changes: tuple[GoldChangeRow, ...] = ()
    gate_changes: tuple[GateChangeRow, ...] = ()
    looks: tuple[LooksRow, ...] = ()
    worth: tuple[str, ...] = ()
    """Sentences: whether SFT is beaten, where it does alone, what is recommended."""
    remarks: tuple[str, ...] = ()
    """What to know of files that were skipped or left out."""
