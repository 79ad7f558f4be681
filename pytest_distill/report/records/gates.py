"""Verdicts as a report holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_distill.report.records.record import LATER

if TYPE_CHECKING:
    from pytest_distill._util.units import Unit
    from pytest_distill.gates.verdict import Outcome, Relation


@dataclass(frozen=True, slots=True)
class IntervalRow:
    """Bounds of the observed number; a bound that does not exist is None."""

    one_sided_lower: float | None
    one_sided_upper: float | None
    lower: float | None
    upper: float | None
    confidence: float
    """Of the one-sided bounds; the two-sided interval is of 95 %."""
    method: str


@dataclass(frozen=True, slots=True)
class GapRow:
    """Which share of the distance from the SFT student to the teacher distilling closed."""

    recovered: float | None
    lower: float | None
    upper: float | None
    method: str


@dataclass(frozen=True, slots=True)
class GateRow:
    """One verdict, or a gate test without one; None where something is not known."""

    nodeid: str
    config: str | None
    gate: str | None
    """``own_assertion`` for a gate test that asks none and looks at a model; None for NOT RUN."""
    outcome: Outcome
    eval: str | None = None
    metric: str | None = None
    model: str | None = None
    observed: float | None = None
    """The number that was measured; also None where there is none."""
    infinite: bool = False
    """Whether `observed` is infinite."""
    required: float | None = None
    relation: Relation | None = None
    """How `observed` must stand to `required`; None where there is no verdict."""
    unit: Unit = ""
    """What the two are counted in; nothing for scores and ratios."""
    criterion: str | None = None
    """The criterion of ``distill.yaml`` that it is a part of."""
    confidence: float | None = None
    """How sure the verdict had to be; None where the observed number decides."""
    n: int | None = None
    slice: str | None = None
    at_tokens: int | None = field(default=None, metadata=LATER)
    """The budget of tokens within which the answers were looked at."""
    file: str | None = None
    """Where the gate was asked, else where its test is: relative to the repository, with ``/``."""
    line: int | None = None
    """From 1."""
    facts: tuple[str, ...] = ()
    """The two or three things that the verdict rests on, short."""
    basis: str = ""
    """All that it rests on, in words."""
    notes: tuple[str, ...] = ()
    """What a reader must know beside the numbers."""
    doubts: tuple[str, ...] = ()
    """Those of the notes that tell what is suspicious, so that the verdict is not firm."""
    message: str = ""
    """What the failing test says."""
    lost_examples: tuple[str, ...] = ()
    """After a failure: the first of the examples that the student lost, one line each."""
    lost_more: int = 0
    """How many more it lost."""
    waived: str | None = None
    """Who answers for the failure, why and until when."""
    excused: str | None = None
    """Why a gate that did not run keeps no student from shipping."""
    interval: IntervalRow | None = None
    clusters: int | None = None
    firm: bool | None = None
    needed: int | None = None
    lost: int | None = None
    won: int | None = None
    wins: int | None = None
    losses: int | None = None
    ties: int | None = None
    p_value: float | None = None
    test: str | None = None
    gap_recovered: GapRow | None = None
    above_chance: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    """What only this kind of gate tells."""
