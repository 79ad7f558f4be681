"""What gates on a number have in common: whether the bounds agree with it, and what they say."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Protocol, TypeVar

from pytest_distill._util.format import ceil_text, floor_text, percent_text
from pytest_distill._util.numbers import Ratio
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.errors import ComparisonError, EvaluationError
from pytest_distill.gates.verdict import Evidence, Outcome, Relation, decided
from pytest_distill.statistics import FloorTest, Judgement, RetentionInterval

OUTCOMES = {
    Judgement.RETAINED: Outcome.PASSED,
    Judgement.NOT_RETAINED: Outcome.FAILED,
    Judgement.UNCLEAR: Outcome.INCONCLUSIVE,
}
CONFIDENCE = 0.95
"""Of the bounds that are shown beside an observed verdict."""

Found = TypeVar("Found")


class Judged(Protocol):
    """The evidence on one number, and a limit that it keeps or not."""

    def interval(self, confidence: float = 0.95) -> RetentionInterval:
        """Return the number's bounds."""

    def test(self, limit: float, /) -> FloorTest:
        """Return the p-values at the limit."""

    def needed(self, limit: float, confidence: float = 0.95, /) -> int | None:
        """Return about how many examples would settle it; None where no number would."""


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


def decide(
    found: Judged | None,
    limit: Fraction,
    confidence: float | None,
    *,
    holds: bool,
    comparison: Comparison,
) -> tuple[Outcome, Evidence]:
    """Return the outcome, by the observed number or with a confidence, and what it rests on.

    Parameters
    ----------
    found : Judged, optional
        What the examples say; None where there are none.
    limit : Fraction
        Of the gate.
    confidence : float, optional
        How sure the verdict must be; None lets the observed number decide.
    holds : bool
        Whether the observed number keeps the limit.
    comparison : Comparison
        Where there are no examples.

    Raises
    ------
    ComparisonError
        Where there are no examples to be sure by.
    """
    if found is None:
        if confidence is not None:
            raise ComparisonError(
                f"'{comparison.eval}' has reported scores: without examples there is no "
                "confidence; ask with confidence=None"
            )
        return decided(holds), Evidence()
    sure = confidence or CONFIDENCE
    shown = OUTCOMES[found.test(float(limit)).judge(sure)]
    firm = shown is decided(holds)
    evidence = Evidence(
        interval=found.interval(sure),
        firm=firm,
        needed=None if firm else found.needed(float(limit), sure),
    )
    return (decided(holds) if confidence is None else shown), evidence


def deciding_number(
    observed: Ratio,
    relation: Relation,
    outcome: Outcome,
    evidence: Evidence,
    confidence: float | None,
) -> tuple[str, str]:
    """Return the number that decided, and what stands behind it in the headline of a message.

    It is the observed one, or with a confidence the bound, which is then named.
    """
    rounded = floor_text if relation == ">=" else ceil_text
    seen = rounded(observed)
    if confidence is None or evidence.interval is None:
        return seen, ""
    lower = (relation == ">=") is not (outcome is Outcome.FAILED)
    bound = evidence.interval.one_sided_lower if lower else evidence.interval.one_sided_upper
    return rounded(bound), bound_words(confidence, seen, lower=lower)


def bound_words(confidence: float, observed: str, *, lower: bool) -> str:
    """Return what is said of a bound that decides, beside the observed number."""
    return f"{'lower' if lower else 'upper'} {percent_text(confidence)} bound; observed {observed}"
