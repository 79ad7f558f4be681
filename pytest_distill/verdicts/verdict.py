"""What a gate says of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Any, Literal

from pytest_distill.verdicts.numbers import ceil_text, floor_text, rounded_down


class Outcome(StrEnum):
    """The outcome of one gate."""

    PASSED = "PASSED"
    FAILED = "FAILED"
    INCONCLUSIVE = "INCONCLUSIVE"
    NOT_RUN = "NOT RUN"


Relation = Literal[">=", ">", "<="]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of one gate on one comparison, in built-in types: it crosses processes as JSON.

    Parameters
    ----------
    gate : str
        Name of the gate, e.g. ``quality_retained``.
    eval, metric, model : str
        What was compared, by which metric, and whom the verdict is about.
    observed, required : float
        The two numbers that decide; `observed` is unrounded.
    relation : {">=", ">", "<="}
        How `observed` must stand to `required`.
    passed : bool
        Whether it does. Decided on exact numbers, not on the two floats.
    n : int, optional
        Number of examples; None where only scores are known.
    slice : str, optional
        The slice that was looked at, e.g. ``lang=de``.
    notes : tuple of str
        What a reader must know beside the numbers.
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
    passed: bool
    n: int | None
    slice: str | None
    notes: tuple[str, ...]
    message: str
    waived: str | None = None

    @property
    def outcome(self) -> Outcome:
        """PASSED or FAILED."""
        return Outcome.PASSED if self.passed else Outcome.FAILED

    @property
    def stands(self) -> bool:
        """Whether the test may go on: it passed, or the failure is waived."""
        return self.passed or self.waived is not None

    def reaches(self, floor: float) -> bool:
        """Return whether `observed` is on the good side of a floor (a ceiling for ``<=``)."""
        return self.observed <= floor if self.relation == "<=" else self.observed >= floor

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-able values."""
        fields = asdict(self) | {"notes": list(self.notes), "outcome": str(self.outcome)}
        del fields["passed"]
        return fields


def observed_text(verdict: Mapping[str, Any]) -> str:
    """Return the observed number of a verdict, rounded towards failing."""
    rounding = ceil_text if verdict["relation"] == "<=" else floor_text
    return rounding(verdict["observed"])


def required_text(verdict: Mapping[str, Any]) -> str:
    """Return what was required, e.g. ``>= 0.95``."""
    return f"{verdict['relation']} {str(verdict['required']).removesuffix('.0')}"


def as_float(value: Fraction, relation: Relation) -> float:
    """Return the float nearest to an exact number that does not look better than it."""
    return -rounded_down(-value) if relation == "<=" else rounded_down(value)
