"""How a number decides, and how its headline is told."""

from __future__ import annotations

from fractions import Fraction

import pytest

from pytest_distill.errors import ComparisonError, EvaluationError
from pytest_distill.gates.deciding import Decision, decide, unless_observed, within
from pytest_distill.gates.verdict import Outcome, Relation
from pytest_distill.statistics.proportions import ProportionRetention
from pytest_distill.statistics.results import RetentionInterval
from tests.unit.conftest import MakeComparison

BOUNDS = RetentionInterval(0.2, 0.8, 0.1, 0.9, 0.95, "by hand", 10)


@pytest.mark.parametrize(
    ("relation", "shown"), [(">=", "0.6666"), (">", "0.6666"), ("<=", "0.6667")]
)
def test_a_number_is_rounded_towards_failing(relation: Relation, shown: str) -> None:
    """Down where it must be high, up where it must be low."""
    decision = Decision(Fraction(2, 3), relation, Fraction(1, 2), Outcome.PASSED)
    assert (
        decision.headline("0.50", "kept", "", "acc") == f"assert {shown} {relation} 0.50 kept (acc)"
    )


@pytest.mark.parametrize(
    ("relation", "outcome", "bound"),
    [
        (">=", Outcome.PASSED, "lower"),
        (">=", Outcome.INCONCLUSIVE, "lower"),
        (">=", Outcome.FAILED, "upper"),
        (">", Outcome.PASSED, "lower"),
        (">", Outcome.FAILED, "upper"),
        ("<=", Outcome.PASSED, "upper"),
        ("<=", Outcome.INCONCLUSIVE, "upper"),
        ("<=", Outcome.FAILED, "lower"),
    ],
)
def test_the_bound_that_decided_is_told(relation: Relation, outcome: Outcome, bound: str) -> None:
    """What passes does so by its worse bound, what fails by its better one."""
    decision = Decision(Fraction(1, 2), relation, Fraction(1, 2), outcome, 0.95, bounds=BOUNDS)
    value = "0.2000" if bound == "lower" else "0.8000"
    told = f"assert {value} {relation} 0.5 kept ({bound} 95 % bound; observed 0.5000)"
    assert decision.headline(0.5, "kept") == told


def test_bounds_that_did_not_decide_are_not_in_the_headline() -> None:
    """Without a confidence the observed number did, though bounds are known."""
    decision = Decision(Fraction(1, 2), ">=", Fraction(1, 2), Outcome.PASSED, bounds=BOUNDS)
    assert decision.headline(0.5, "kept") == "assert 0.5000 >= 0.5 kept"


@pytest.mark.parametrize("relation", [">=", "<="])
def test_a_limit_between_the_bounds_is_unclear(relation: Relation) -> None:
    """Neither on one of them."""
    assert within(Fraction(4), Fraction(6), relation, Fraction(5)) is Outcome.INCONCLUSIVE


@pytest.mark.parametrize("error", [ComparisonError, EvaluationError])
def test_what_examples_cannot_tell_is_a_note_where_no_confidence_is_asked(
    error: type[Exception],
) -> None:
    """Else the error itself."""

    def fails() -> None:
        raise error("too few")

    assert unless_observed(None, fails) == (None, ("no interval: too few",))
    with pytest.raises(error, match="too few"):
        unless_observed(0.95, fails)
    assert unless_observed(0.95, lambda: 3) == (3, ())


@pytest.mark.parametrize(
    ("relation", "worst", "best"), [(">=", "0.90", "0.97"), ("<=", "0.97", "0.90")]
)
def test_a_number_that_is_known_to_lie_between_two_is_held_by_both(
    make_comparison: MakeComparison, relation: Relation, worst: str, best: str
) -> None:
    """Clear of the limit on one side, or unclear; never taken for one of them."""
    comparison = make_comparison("ab", "ab", "ab")
    ends = Fraction(worst), Fraction(best)
    found = {
        limit: decide(None, ends[0], relation, Fraction(limit), None, comparison, ends[1]).outcome
        for limit in ("0.89", "0.90", "0.95", "0.97", "0.98")
    }
    keeps, breaks = Outcome.PASSED, Outcome.FAILED
    low, high = (keeps, breaks) if relation == ">=" else (breaks, keeps)
    edges = (keeps, Outcome.INCONCLUSIVE) if relation == ">=" else (Outcome.INCONCLUSIVE, keeps)
    assert found == {
        "0.89": low,
        "0.90": edges[0],
        "0.95": Outcome.INCONCLUSIVE,
        "0.97": edges[1],
        "0.98": high,
    }


def test_without_examples_the_observed_number_decides_alone(
    make_comparison: MakeComparison,
) -> None:
    """A confidence is refused there."""
    comparison = make_comparison("ab", "ab", "ab")
    decision = decide(None, Fraction(1), ">=", Fraction(1), None, comparison)
    assert (decision.outcome, decision.bounds, decision.evidence.firm) == (
        Outcome.PASSED,
        None,
        None,
    )
    with pytest.raises(ComparisonError, match="without examples there is no confidence"):
        decide(None, Fraction(1), ">=", Fraction(1), 0.95, comparison)


def test_a_verdict_is_firm_where_the_bounds_say_the_same(make_comparison: MakeComparison) -> None:
    """With a confidence they decide; else what is needed to settle it is told."""
    comparison = make_comparison("ab", "ab", "ab")
    few, many = ProportionRetention(9, 1, 0, 0), ProportionRetention(950, 50, 0, 0)
    limit = Fraction(4, 5)
    weak = decide(few, Fraction(9, 10), ">=", limit, None, comparison)
    assert (weak.outcome, weak.evidence.firm) == (Outcome.PASSED, False)
    assert weak.evidence.needed == few.needed(0.8, 0.95)
    assert weak.bounds == few.interval(0.95)
    unclear = decide(few, Fraction(9, 10), ">=", limit, 0.9, comparison)
    assert (unclear.outcome, unclear.bounds) == (Outcome.INCONCLUSIVE, few.interval(0.9))
    firm = decide(many, Fraction(19, 20), ">=", limit, 0.95, comparison)
    assert (firm.outcome, firm.evidence.firm, firm.evidence.needed) == (Outcome.PASSED, True, None)
    between = decide(few, Fraction(9, 10), ">=", limit, None, comparison, Fraction(1))
    assert (between.evidence.firm, between.evidence.needed) == (None, None)
