"""How a number decides: by itself, or by its bounds where a confidence is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Protocol, TypeVar

from pytest_distill._util.format import ceil_text, floor_text, percent_text
from pytest_distill._util.numbers import Ratio
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.errors import ComparisonError, EvaluationError
from pytest_distill.gates.verdict import Evidence, Outcome, Relation
from pytest_distill.statistics import FloorTest, Judgement, RetentionInterval
from pytest_distill.statistics.quantiles import QuantileInterval

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


@dataclass(frozen=True, slots=True)
class Decision:
    """An observed number, and how it was decided.

    Parameters
    ----------
    observed : Fraction or float
        Exact; a float where it is infinite or NaN (there is none), or of inexact parts.
    relation : {">=", ">", "<="}
        How it must stand to the limit.
    limit : Fraction
        Of the gate.
    outcome : Outcome
        What was decided.
    confidence : float, optional
        How sure the verdict is; None where the observed number decided.
    evidence : Evidence
        What it rests on.
    bounds : RetentionInterval or QuantileInterval, optional
        Which decide where there is a confidence.
    """

    observed: Ratio
    relation: Relation
    limit: Fraction
    outcome: Outcome
    confidence: float | None = None
    evidence: Evidence = field(default_factory=Evidence)
    bounds: RetentionInterval | QuantileInterval | None = None

    def headline(
        self,
        limit: object,
        what: str,
        *beside: str,
        text: Callable[[Ratio], str] | None = None,
    ) -> str:
        """Return the first line of a message: ``assert 0.94 >= 0.95 quality retained (accuracy)``.

        It has the number that decided; a bound stands beside the observed one.

        Parameters
        ----------
        limit
            As it was written.
        what : str
            What the number is.
        *beside : str
            What stands behind it in brackets.
        text : callable, optional
            How the number is told; by default with four decimals, rounded towards failing.
        """
        rounded = text or (ceil_text if self.relation == "<=" else floor_text)
        number, bound = rounded(self.observed), ""
        if self.bound is not None:
            name, value = self.bound
            bound, number = f"{name}; observed {number}", rounded(value)
        return headline(number, self.relation, limit, what, *beside, bound)

    @property
    def bound(self) -> tuple[str, float] | None:
        """The bound that decided, after its name; None where the observed number did."""
        if self.confidence is None or self.bounds is None:
            return None
        lower = (self.relation != "<=") is not (self.outcome is Outcome.FAILED)
        value = self.bounds.one_sided_lower if lower else self.bounds.one_sided_upper
        return f"{'lower' if lower else 'upper'} {percent_text(self.confidence)} bound", value


def headline(number: str, relation: str, limit: object, what: str, *beside: str) -> str:
    """Return the first line of a message, see `Decision.headline`, with what is not empty."""
    told = ", ".join(part for part in beside if part)
    return f"assert {number} {relation} {limit} {what}{f' ({told})' if told else ''}"


def observed(number: Ratio, relation: Relation, limit: Fraction) -> Decision:
    """Decide by a number that is known."""
    return Decision(number, relation, limit, within(number, number, relation, limit))


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
    best: Ratio | None = None,
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
    best : Fraction or float, optional
        The best that the number may be, where `observed` is the worst and it lies between them.
        More examples of the same kind would not make the two meet: nothing is firm then.

    Raises
    ------
    ComparisonError
        Where there are no examples to be sure by.
    """
    other = observed if best is None else best
    low, high = (other, observed) if relation == "<=" else (observed, other)
    seen = within(low, high, relation, limit)
    if estimate is None:
        if confidence is not None:
            raise no_examples(comparison)
        return Decision(observed, relation, limit, seen)
    level = confidence or CONFIDENCE
    shown = OUTCOMES[estimate.test(float(limit)).judge(level)]
    evidence = Evidence(interval=estimate.interval(level))
    if best is None:
        firm = shown is seen
        needed = None if firm else estimate.needed(float(limit), level)
        evidence = replace(evidence, firm=firm, needed=needed)
    outcome = seen if confidence is None else shown
    return Decision(
        observed, relation, limit, outcome, confidence, evidence, bounds=evidence.interval
    )
