"""The difference of paired 0/1 scores, against formulas by hand and enumerations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from pytest_distill.statistics.difference import ProportionDifference, proportion_difference
from pytest_distill.statistics.scoring import Scoring

ALPHA = 0.05


def tango(b: int, c: int, n: int, delta: float) -> float:
    """Return Tango's statistic as printed in (1998), section 2: b - c - n delta over its root."""
    a_coefficient = 2 * n
    b_coefficient = -b - c + (2 * n - b + c) * delta
    c_coefficient = -c * delta * (1 - delta)
    q = (math.sqrt(b_coefficient**2 - 4 * a_coefficient * c_coefficient) - b_coefficient) / (
        2 * a_coefficient
    )
    return (b - c - n * delta) / math.sqrt(n * (2 * q + delta * (1 - delta)))


@pytest.mark.parametrize(
    ("wins", "losses", "n"), [(12, 15, 200), (3, 9, 40), (0, 4, 60), (60, 20, 500), (1, 1, 30)]
)
def test_the_interval_is_tangos(wins: int, losses: int, n: int) -> None:
    """Its ends are where the published statistic is the normal quantile, found by a root finder."""
    interval = ProportionDifference(wins, losses, n).interval()
    z, observed = scipy.stats.norm.ppf(0.975), (wins - losses) / n
    lower = scipy.optimize.brentq(lambda d: tango(wins, losses, n, d) - z, -0.999, observed - 1e-9)
    upper = scipy.optimize.brentq(lambda d: tango(wins, losses, n, d) + z, observed + 1e-9, 0.999)
    assert interval.lower == pytest.approx(lower, abs=1e-9)
    assert interval.upper == pytest.approx(upper, abs=1e-9)
    assert interval.one_sided_lower > interval.lower
    assert interval.one_sided_upper < interval.upper


@pytest.mark.parametrize("limit", [-0.1, -0.05, -0.01])
def test_the_error_rates_are_at_most_nominal(limit: float) -> None:
    """All outcomes of 30 examples, weighed exactly at the limit: neither side errs above 5 %."""
    n = 30
    outcomes = [(w, b) for w in range(n + 1) for b in range(n + 1 - w)]
    tests = {pair: ProportionDifference(*pair, n).test(limit) for pair in outcomes}
    passed = [pair for pair, test in tests.items() if test.p_retained <= ALPHA]
    failed = [pair for pair, test in tests.items() if test.p_below <= ALPHA]
    for losses in (-limit, -limit + 0.005, -limit + 0.02, 0.15, 0.3, 0.45):
        wins = max(losses + limit, 0.0)
        law = scipy.stats.multinomial(n, [wins, losses, 1 - wins - losses])
        for wrong in (passed, failed):
            assert sum(law.pmf([w, b, n - w - b]) for w, b in wrong) <= ALPHA


def test_an_equal_student_passes_where_the_examples_suffice() -> None:
    """Without any difference a margin m is shown from the n on with (1 - m)^n <= 5 %."""
    least = math.ceil(math.log(ALPHA) / math.log(0.99))
    assert least == 299
    assert ProportionDifference(0, 0, least).test(-0.01).p_retained <= ALPHA
    assert ProportionDifference(0, 0, least - 1).test(-0.01).p_retained > ALPHA
    assert ProportionDifference(0, 0, 100).needed(-0.01) == least


@pytest.mark.parametrize(("wins", "losses", "n"), [(4, 9, 120), (0, 0, 60), (30, 22, 900)])
def test_bounds_and_p_values_agree(wins: int, losses: int, n: int) -> None:
    """A limit just outside of a bound is refuted at its level, and one well inside is not."""
    found = ProportionDifference(wins, losses, n)
    interval = found.interval(0.95)
    for bound, side in ((interval.one_sided_lower, 1), (interval.one_sided_upper, -1)):
        outside, inside = found.test(bound - side * 1e-9), found.test(bound + side * 5e-3)
        p = (outside.p_retained, outside.p_below)[side < 0]
        assert p <= ALPHA + 1e-9
        assert (inside.p_retained, inside.p_below)[side < 0] > ALPHA


def test_many_examples_are_told_by_the_normal_law() -> None:
    """Above 20,000 examples the p-value is the normal tail of the statistic."""
    found = ProportionDifference(500, 540, 50_000).test(-0.002)
    z = tango(500, 540, 50_000, -0.002)
    assert found.p_retained == pytest.approx(scipy.stats.norm.sf(z))
    assert found.p_below == pytest.approx(scipy.stats.norm.cdf(z))


def test_limits_that_nothing_breaks_or_keeps() -> None:
    """No difference is below -1, and none is above 1."""
    found = ProportionDifference(3, 2, 10)
    assert found.test(-1.0).p_retained == 0.0
    assert found.test(1.0).p_below == 0.0
    assert found.test(1.0).p_retained == 1.0


def test_where_no_number_of_examples_settles_it() -> None:
    """At the limit itself more of the same never tells."""
    assert ProportionDifference(2, 3, 100).needed(-0.01) is None


def test_scores_are_counted_by_direction() -> None:
    """Of a metric where lower is better a 0 in place of a 1 is a win."""
    now, before = np.array([0.0, 0.0, 1.0]), np.array([1.0, 0.0, 1.0])
    assert proportion_difference(now, before) == ProportionDifference(0, 1, 3)
    lower = proportion_difference(now, before, higher_is_better=False)
    assert lower == ProportionDifference(1, 0, 3)
    with pytest.raises(ValueError, match="other than 0 and 1"):
        proportion_difference([0.5], [1.0])


def test_a_mean_of_bounded_scores_keeps_its_level() -> None:
    """Rare catastrophes under a true drop at the margin pass at most 5 % of the time."""
    random, passed, draws, n, margin = np.random.default_rng(0), 0, 400, 200, 0.01
    for _ in range(draws):
        before = random.uniform(0.5, 1.0, n)
        catastrophe = random.random(n) < margin / 0.75  # each costs 0.75 on average
        now = np.where(catastrophe, 0.0, before)
        test = Scoring((0.0, 1.0)).gain_test(now, before)
        passed += test.test(-margin).p_retained <= ALPHA
    assert passed / draws <= ALPHA + 2 * math.sqrt(ALPHA * (1 - ALPHA) / draws)


def test_the_interval_of_real_scores_is_students() -> None:
    """Far from the ends it is the t interval of the differences, but for the unseen example."""
    random = np.random.default_rng(0)
    before = random.normal(0.5, 0.1, 4000).clip(0, 1)
    now = (before + random.normal(-0.02, 0.05, 4000)).clip(0, 1)
    interval = Scoring((0.0, 1.0)).gain_test(now, before).interval()
    expected = scipy.stats.t.interval(
        0.95, 3999, loc=(now - before).mean(), scale=scipy.stats.sem(now - before)
    )
    assert interval.lower == pytest.approx(expected[0], abs=1e-3)
    assert interval.upper == pytest.approx(expected[1], abs=1e-3)
    assert interval.lower < expected[0]
    assert interval.upper > expected[1]
