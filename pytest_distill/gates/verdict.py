"""What a gate says of a comparison, and what it rests on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

from pytest_distill._util.numbers import Ratio, rounded_down
from pytest_distill._util.units import Unit
from pytest_distill.evals.tasks.repeats import budget_text
from pytest_distill.statistics import GapRecovered, PairedTest, RetentionInterval


class Outcome(StrEnum):
    """The outcome of one gate."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_RUN = "NOT RUN"


FIRM = "firm"
"""What the basis of a verdict says where its bounds agree with the outcome."""
IN_DOUBT = "not firm: see what is suspicious"


class Doubt(str):
    """A note that keeps a verdict from being called firm, whatever its bounds say."""

    __slots__ = ()


Relation = Literal[">=", ">", "<="]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a verdict rests on; None where it is not known or does not apply.

    Parameters
    ----------
    interval : RetentionInterval, optional
        Bounds of the ratio.
    firm : bool, optional
        Whether the bounds agree with the outcome; where not, it is within noise.
    needed : int, optional
        About how many examples would settle it, if the observed numbers are the true ones.
    lost, won : int, optional
        Flips.
    paired : PairedTest, optional
        The comparison with the SFT student.
    gap : GapRecovered, optional
        Which share of the gap between SFT student and teacher distilling closed.
    above_chance : float, optional
        Retention of what is above guessing.
    """

    interval: RetentionInterval | None = None
    firm: bool | None = None
    needed: int | None = None
    lost: int | None = None
    won: int | None = None
    paired: PairedTest | None = None
    gap: GapRecovered | None = None
    above_chance: float | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of the interval, or of the test."""
        found = self.interval or self.paired
        return found.notes if found else ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of one gate.

    Parameters
    ----------
    gate : str
        Name of the gate, e.g. ``quality_retained``.
    eval, metric, model : str
        What was compared, by which metric, and whom the verdict is about.
    observed, required : float
        The number that was measured, unrounded, and the one that it is held against. Infinite, or
        NaN where there is none.
    relation : {">=", ">", "<="}
        How `observed` must stand to `required`.
    outcome : Outcome
        Decided on exact numbers, or on bounds where `confidence` is given.
    confidence : float, optional
        How sure the verdict must be; None where the observed numbers decide.
    n : int, optional
        Number of examples; None where only scores are known.
    slice : str, optional
        The slice that was looked at, e.g. ``lang=de``.
    evidence : Evidence
        What it rests on.
    notes : tuple of str
        What a reader must know beside the numbers. Where one of them is a `Doubt` the verdict is
        not firm, in its evidence, its facts, its basis and its message.
    message : str
        What a failing test says. Its first line starts with ``assert``.
    waived : str, optional
        Who answers for the failure, why and until when; None where nobody does.
    """

    gate: str
    eval: str
    metric: str
    model: str
    observed: float
    required: float
    relation: Relation
    outcome: Outcome
    confidence: float | None
    n: int | None
    slice: str | None
    notes: tuple[str, ...]
    message: str
    evidence: Evidence = field(default_factory=Evidence)
    details: Mapping[str, Any] = field(default_factory=dict)
    """What only this kind of gate has to tell, JSON-able: slices, aggregates, overlapping ids."""
    basis: str = ""
    """What it rests on, in words."""
    facts: tuple[str, ...] = ()
    """The two or three of these that a reader wants at a glance, short."""
    waived: str | None = None
    excused: str | None = None
    """Why a gate that did not run keeps no student from shipping."""
    unit: Unit = ""
    """What `observed` and `required` are counted in; nothing for scores and ratios."""
    criterion: str | None = None
    """The criterion of ``distill.yaml`` that this is a part of."""
    at_tokens: int | None = None
    """The budget of tokens within which the answers were looked at."""

    def __post_init__(self) -> None:
        if not any(isinstance(note, Doubt) for note in self.notes) or not self.evidence.firm:
            return
        lines = [f"  {IN_DOUBT}" if x == f"  {FIRM}" else x for x in self.message.split("\n")]
        changed = {
            "evidence": replace(self.evidence, firm=False),
            "basis": "; ".join(not_firm(self.basis.split("; "))),
            "facts": not_firm(self.facts),
            "message": "\n".join(lines),
        }
        for name, value in changed.items():
            object.__setattr__(self, name, value)

    @property
    def called(self) -> str:
        """What a waiver calls the gate."""
        return called(self.gate, self.at_tokens)

    @property
    def passed(self) -> bool:
        """Whether the outcome is PASSED."""
        return self.outcome is Outcome.PASSED

    @property
    def stands(self) -> bool:
        """Whether the test may go on: it passed, or the failure is waived or excused."""
        return self.passed or self.waived is not None or self.excused is not None

    def reaches(self, floor: float) -> bool:
        """Return whether `observed` is on the good side of a floor (a ceiling for ``<=``)."""
        return self.observed <= floor if self.relation == "<=" else self.observed >= floor


def called(gate: str, at_tokens: int | None) -> str:
    """Return what ``waivers:`` and ``required_gates:`` call a gate, also one within a budget."""
    return f"{gate} {budget_text(at_tokens)}".rstrip()


def not_firm(parts: Iterable[str]) -> tuple[str, ...]:
    """Return what a verdict rests on, with a doubt where it called itself firm."""
    return tuple(IN_DOUBT if part == FIRM else part for part in parts)


def as_float(value: Ratio, relation: Relation) -> float:
    """Return the float nearest to an exact number that does not look better than it."""
    if isinstance(value, float):
        return value
    return 0.0 - rounded_down(-value) if relation == "<=" else rounded_down(value)


def finite(value: float | None) -> float | None:
    """Return a number that JSON can hold; None for an infinite one."""
    return value if value is not None and math.isfinite(value) else None


def json_ratio(value: Ratio | None) -> float | None:
    """Return a ratio for JSON, no better than it is; None for an infinite one or none."""
    return None if value is None else finite(as_float(value, ">="))
