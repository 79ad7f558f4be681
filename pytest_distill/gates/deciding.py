"""How a number decides: by itself, or by its bounds where a confidence is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol, TypeVar

from pytest_distill._util.format import ceil_text, floor_text, percent_text
from pytest_distill._util.numbers import Ratio
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.errors import ComparisonError, EvaluationError
from pytest_distill.gates.verdict import Evidence, Outcome, Relation, as_float
from pytest_distill.statistics import FloorTest, Judgement, RetentionInterval

OUTCOMES = {
    Judgement.RETAINED: Outcome.PASSED,
    Judgement.NOT_RETAINED: Outcome.FAILED,
    Judgement.UNCLEAR: Outcome.INCONCLUSIVE,
}
CONFIDENCE = 0.95
"""Of the bounds that are shown beside an observed verdict."""

Found = TypeVar("Found")


class Estimate(Protocol):
    """What the examples say of one number, and of a limit that it keeps or not."""

    def interval(self, confidence: float = 0.95) -> RetentionInterval:
        """Return the number's bounds."""

    def test(self, limit: float, /) -> FloorTest:
        """Return the p-values at the limit."""

    def needed(self, limit: float, confidence: float = 0.95, /) -> int | None:
        """Return about how many examples would settle it; None where no number would."""


class Bounds(Protocol):
    """One-sided bounds of a number."""

    @property
    def one_sided_lower(self) -> float:
        """The lower one."""

    @property
    def one_sided_upper(self) -> float:
        """The upper one."""


@dataclass(frozen=True, slots=True)
class Decision:
    """An observed number, and how it was decided.

    Parameters
    ----------
    observed : Fraction or float
        Exact; a float where it is infinite or NaN (there is none), or of inexact parts.
    relation : {">=", ">", "<="}
        How it must stand to the limit.
    outcome : Outcome
        What was decided.
    confidence : float, optional
        How sure the verdict is; None where the observed number decided.
    evidence : Evidence
        What it rests on.
    """

    observed: Ratio
    relation: Relation
    outcome: Outcome
    confidence: float | None = None
    evidence: Evidence = field(default_factory=Evidence)

    @property
    def as_float(self) -> float:
        """The observed number as the nearest float that does not look better than it."""
        if isinstance(self.observed, float):
            return self.observed
        return as_float(self.observed, self.relation)

    def deciding(self, text: Callable[[Ratio], str] | None = None) -> tuple[str, str]:
        """Return the number that decided, and what to say beside it: of a bound, which it is.

        Parameters
        ----------
        text : callable, optional
            How the number is told; by default with four decimals, rounded towards failing.
        """
        rounded = text or (ceil_text if self.relation == "<=" else floor_text)
        interval = self.evidence.interval
        if self.confidence is None or interval is None:
            return rounded(self.observed), ""
        seen = rounded(self.observed)
        return deciding_bound(interval, self.relation, self.outcome, self.confidence, seen, rounded)


def deciding_bound(
    bounds: Bounds,
    relation: Relation,
    outcome: Outcome,
    confidence: float,
    observed: str,
    text: Callable[[float], str],
) -> tuple[str, str]:
    """Return the bound that decided, and which one it is, with the observed number."""
    lower = (relation != "<=") is not (outcome is Outcome.FAILED)
    bound = bounds.one_sided_lower if lower else bounds.one_sided_upper
    side = "lower" if lower else "upper"
    return text(bound), f"{side} {percent_text(confidence)} bound; observed {observed}"


def within(low: Ratio, high: Ratio, relation: Relation, limit: Fraction) -> Outcome:
    """Return whether a number between two bounds keeps a limit: both do, neither does, or unclear.

    A number that is known is both bounds.
    """
    if relation == ">=":
        keeps, breaks = low >= limit, high < limit
    else:
        keeps, breaks = high <= limit, low > limit
    if keeps:
        return Outcome.PASSED
    return Outcome.FAILED if breaks else Outcome.INCONCLUSIVE


def unless_observed(
    confidence: float | None, look: Callable[[], Found]
) -> tuple[Found | None, tuple[str, ...]]:
    """Return what the examples say; beside an observed verdict a note where they say nothing.

    Also where a metric of the user's cannot be asked about parts of the examples.

    Raises
    ------
    ComparisonError, EvaluationError
        Where that is so and a confidence is asked for.
    """
    try:
        return look(), ()
    except (ComparisonError, EvaluationError) as error:
        if confidence is not None:
            raise
        return None, (f"no interval: {error}",)


def no_examples(comparison: Comparison) -> ComparisonError:
    """Return the error about a confidence where only scores are known."""
    return ComparisonError(
        f"'{comparison.eval}' has reported scores: without examples there is no confidence; ask "
        "with confidence=None"
    )


def decide(
    estimate: Estimate | None,
    observed: Ratio,
    relation: Relation,
    limit: Fraction,
    confidence: float | None,
    comparison: Comparison,
) -> Decision:
    """Decide by the observed number, or with a confidence by what the examples say.

    Parameters
    ----------
    estimate : Estimate, optional
        What the examples say; None where there are none.
    observed : Fraction or float
        The exact number.
    relation : {">=", "<="}
        How it must stand to the limit.
    limit : Fraction
        Of the gate.
    confidence : float, optional
        How sure the verdict must be; None lets the observed number decide.
    comparison : Comparison
        Where there are no examples.

    Raises
    ------
    ComparisonError
        Where there are no examples to be sure by.
    """
    seen = within(observed, observed, relation, limit)
    if estimate is None:
        if confidence is not None:
            raise no_examples(comparison)
        return Decision(observed, relation, seen)
    level = confidence or CONFIDENCE
    shown = OUTCOMES[estimate.test(float(limit)).judge(level)]
    firm = shown is seen
    evidence = Evidence(
        interval=estimate.interval(level),
        firm=firm,
        needed=None if firm else estimate.needed(float(limit), level),
    )
    return Decision(observed, relation, seen if confidence is None else shown, confidence, evidence)
