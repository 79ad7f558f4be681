"""The exact tests of two proportions, against an enumeration of everything that may be observed."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import scipy.special
import scipy.stats
from numpy.typing import NDArray

import pytest_distill.statistics.unconditional as unconditional
from pytest_distill.statistics.difference import ProportionDifference
from pytest_distill.statistics.proportions import ProportionRetention
from pytest_distill.statistics.results import Judgement
from pytest_distill.statistics.score import difference_statistic, score_statistic
from pytest_distill.statistics.superiority import mcnemar_p, proportion_test
from pytest_distill.statistics.unconditional import (
    MISSED,
    MISSED_AT_LEAST,
    MOST,
    above_tail,
    below_tail,
    difference_tail,
)

Array = NDArray[np.float64]
ALPHA = 0.05


@cache
def outcomes(n: int) -> tuple[Array, Array, Array]:
    """Return the first and the second count of every pair with a sum up to n, and log n! / ..."""
    first, second = np.array([(i, j) for i in range(n + 1) for j in range(n + 1 - i)]).T
    log_ways = (
        math.lgamma(n + 1)
        - scipy.special.gammaln(first + 1)
        - scipy.special.gammaln(second + 1)
        - scipy.special.gammaln(n - first - second + 1)
    )
    return first.astype(float), second.astype(float), log_ways


def probabilities(n: int, first: Array, second: Array) -> Array:
    """Return the trinomial probability of every outcome, a row for each pair of probabilities."""
    i, j, log_ways = outcomes(n)
    p, q = (np.clip(each, 0, 1)[:, None] for each in (first, second))
    log = log_ways + scipy.special.xlogy(i, p) + scipy.special.xlogy(j, q)
    return np.asarray(np.exp(log + scipy.special.xlogy(n - i - j, np.clip(1 - p - q, 0, 1))))


def brute_force(
    n: int,
    rows: int,
    extreme: NDArray[np.bool_],
    other: Callable[[Array], Array],
    open: tuple[float, float],
) -> float:
    """Return the greatest probability of what is extreme, over a dense grid of the open parameter.

    Kept to scipy's exact interval of it, whose chance to miss is added: a smaller one where that
    would be most of it.
    """

    def within(missed: float) -> float:
        ci = scipy.stats.binomtest(rows, n).proportion_ci(1 - missed, method="exact")
        ends = min(max(ci.low, open[0]), open[1]), max(min(ci.high, open[1]), open[0])
        q = np.linspace(*ends, 2000)
        return min(1.0, float(probabilities(n, other(q), q)[:, extreme].sum(axis=1).max()) + missed)

    p = within(MISSED)
    return p if p > 2 * MISSED else min(within(MISSED_AT_LEAST), 2 * MISSED)


@pytest.mark.parametrize("m", [0.7, 0.9, 0.98, 1.0, 1.2, 2.0])
@pytest.mark.parametrize(
    "counts", [(18, 2, 1), (12, 0, 0), (9, 5, 9), (0, 4, 7), (30, 1, 4), (2, 12, 0), (25, 0, 3)]
)
def test_p_of_a_ratio_by_brute_force(counts: tuple[int, int, int], m: float) -> None:
    """Both tails are the greatest sum over all outcomes at least as extreme, ties included."""
    u = sum(counts)
    bottom, top, _ = outcomes(u)
    found = score_statistic(u - bottom - top, bottom, top, m)
    observed = float(score_statistic(*counts, m))

    def other(q: Array) -> Array:
        return 1 - m * (1 - q)

    open = max(0.0, 1 - 1 / m), m / (1 + m)
    below = brute_force(u, counts[2], found >= observed - 1e-8, other, open)
    above = brute_force(u, counts[2], found <= observed + 1e-8, other, open)
    assert below_tail(*counts, m) == pytest.approx(below, rel=2e-3, abs=1e-6)
    assert above_tail(*counts, m) == pytest.approx(above, rel=2e-3, abs=1e-6)
    assert below + above >= 1


@pytest.mark.parametrize("gain", [0.005, 0.05, 0.3])
@pytest.mark.parametrize(
    ("wins", "losses", "n"), [(9, 2, 40), (0, 0, 25), (4, 0, 30), (20, 10, 45), (3, 9, 20)]
)
def test_p_of_a_difference_by_brute_force(wins: int, losses: int, n: int, gain: float) -> None:
    """It is the greatest sum over all outcomes at least as extreme."""
    won, lost, _ = outcomes(n)
    extreme = difference_statistic(won, lost, n, gain) >= (
        float(difference_statistic(wins, losses, n, gain)) - 1e-8
    )
    expected = brute_force(n, losses, extreme, lambda q: q + gain, (0.0, (1 - gain) / 2))
    assert difference_tail(wins, losses, n, gain) == pytest.approx(expected, rel=2e-3, abs=1e-6)


@pytest.mark.parametrize("confidence", [0.9999, 0.99999, 0.999999])
def test_evidence_beyond_the_chance_to_miss(confidence: float) -> None:
    """However sure a verdict must be, enough examples show it, and its bounds say the same."""
    ratio = ProportionRetention(700, 20, 40, 40)
    assert ratio.test(0.9).judge(confidence) is Judgement.RETAINED
    assert ratio.interval(confidence).one_sided_lower >= 0.9
    assert ratio.test(2.0).judge(confidence) is Judgement.NOT_RETAINED
    assert ratio.interval(confidence).one_sided_upper < 2


@pytest.mark.parametrize("confidence", [0.6, 0.95, 0.99, 0.999, 0.99999])
@pytest.mark.parametrize("floor", [0.8, 0.9, 0.98])
def test_the_least_number_is_where_a_flawless_student_passes(
    floor: float, confidence: float
) -> None:
    """With so many examples one without a loss passes, and with one fewer it does not."""
    least = ProportionRetention(10, 0, 0, 0).least(floor, confidence)
    assert least is not None
    found = [ProportionRetention(least - fewer, 0, 0, 0).test(floor) for fewer in (0, 1)]
    assert [test.judge(confidence) for test in found] == [Judgement.RETAINED, Judgement.UNCLEAR]


def size(n: int, large: bool, rejects: Callable[[int, int], bool], other: Array, q: Array) -> float:
    """Return the greatest probability to reject, over pairs of probabilities of the two counts.

    In every row of the second count, what is rejected begins at one end of the first (`large`: the
    upper one), and its number is found by bisection.
    """
    total = np.zeros(len(q))
    share = np.clip(other / (1 - q), 0, 1)
    for row in range(n + 1):
        rest = n - row
        low, high = 0, rest + 1
        while low < high:
            middle = (low + high) // 2
            holds = rejects(rest - middle if large else middle, row)
            low, high = (middle + 1, high) if holds else (low, middle)
        tail = (
            scipy.stats.binom.sf(rest - low, rest, share)
            if large
            else (scipy.stats.binom.cdf(low - 1, rest, share))
        )
        total += scipy.stats.binom.pmf(row, n, q) * tail
    return float(total.max())


@pytest.mark.parametrize("floor", [0.9, 0.95, 0.98, 0.99])
@pytest.mark.parametrize("u", [7, 29, 60, 120])
def test_the_size_of_the_test_of_a_ratio(u: int, floor: float) -> None:
    """Neither side errs in more than 5 %, whatever is open, at the floor and off it."""
    for tail, ratios in (
        (below_tail, (floor, floor - 0.01, floor - 0.1)),
        (above_tail, (floor, floor + 0.004, floor + 0.1)),
    ):
        grids = [np.linspace(max(0.0, 1 - 1 / m), m / (1 + m), 700) for m in ratios]
        other = [1 - m * (1 - q) for m, q in zip(ratios, grids, strict=True)]

        def rejects(
            bottom: int, top: int, tail: Callable[[int, int, int, float], float] = tail
        ) -> bool:
            return tail(u - bottom - top, bottom, top, floor) <= ALPHA

        found = size(u, tail is above_tail, rejects, np.concatenate(other), np.concatenate(grids))
        assert found <= ALPHA
        assert found > 0.02 or floor**u > ALPHA


def test_p_of_a_ratio_falls_with_every_loss_less() -> None:
    """Of 24 examples: in every row p is monotone, so that what is rejected has no holes."""
    for m in (0.9, 1.1):
        for won in range(25):
            ps = [below_tail(24 - won - b, b, won, m) for b in range(25 - won)]
            assert ps == sorted(ps)
            ps = [above_tail(24 - won - b, b, won, m) for b in range(25 - won)]
            assert ps == sorted(ps, reverse=True)


def test_p_of_a_ratio_falls_with_every_win_more() -> None:
    """A win beside the same losses never counts against the student, but for the rounding of p."""
    for m in (0.9, 1.0):
        for lost in range(25):
            ps = np.array([below_tail(24 - lost - c, lost, c, m) for c in range(25 - lost)])
            assert (np.diff(ps) <= MISSED).all()


@pytest.mark.parametrize("gain", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("n", [8, 25, 60, 150])
def test_the_size_of_the_test_of_a_difference(n: int, gain: float) -> None:
    """It errs in no more than 5 %, at the gain and under it."""
    grids = [np.linspace(0.0, (1 - true) / 2, 500) for true in (gain, gain / 2, 0.0)]
    wins = [q + true for q, true in zip(grids, (gain, gain / 2, 0.0), strict=True)]
    found = size(
        n,
        True,
        lambda won, lost: difference_tail(won, lost, n, gain) <= ALPHA,
        np.concatenate(wins),
        np.concatenate(grids),
    )
    assert 0.01 < found <= ALPHA


def test_p_of_a_difference_falls_with_every_win_more() -> None:
    """Of 24 examples: in every row p is monotone, so that what is rejected has no holes."""
    for lost in range(25):
        ps = [difference_tail(won, lost, 24, 0.05) for won in range(25 - lost)]
        assert ps == sorted(ps, reverse=True)


@pytest.mark.parametrize(("floor", "needed"), [(0.9, 29), (0.95, 59), (0.98, 149), (0.99, 299)])
def test_a_flawless_student_passes_from_there_on(floor: float, needed: int) -> None:
    """So many that the teacher gets right, and not one fewer: floor**needed <= .05."""
    assert floor**needed <= ALPHA < floor ** (needed - 1)
    for right, judgement in ((needed - 1, Judgement.UNCLEAR), (needed, Judgement.RETAINED)):
        test = ProportionRetention(right, 0, 0, 5).test(floor)
        assert test.p_retained == pytest.approx(floor**right + MISSED)
        assert test.judge(0.95) is judgement


def test_one_p_looks_at_few_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 20,000 examples it takes under 200,000 binomial tails: a few hundredths of a second."""
    looked = 0

    def counting(tail: Callable[..., Array]) -> Callable[..., Array]:
        def counted(k: Array, n: Array, p: Array) -> Array:
            nonlocal looked
            looked += np.broadcast(k, n, p).size
            return tail(k, n, p)

        return counted

    for name in ("bdtr", "bdtrc"):
        monkeypatch.setattr(unconditional, name, counting(getattr(scipy.special, name)))
    for counts in ((9000, 6000, 5000), (19000, 600, 400), (20000, 0, 0)):
        for tail in (below_tail, above_tail):
            looked = 0
            tail(*counts, 0.95)
            assert 0 < looked < 200_000


@pytest.mark.parametrize("counts", [(17000, 1700, 1300), (10000, 5300, 4700), (19000, 700, 300)])
def test_exact_and_normal_meet(counts: tuple[int, int, int]) -> None:
    """With 20,000 examples and one more p is nearly the same, on both sides of the change."""
    a, b, c = counts
    ratio = ProportionRetention(a, b, c, 0).observed
    for z in (-1.7, 1.7):
        # A floor at which the statistic is about z.
        floor = ratio - z * math.sqrt(b + c) / (a + b)
        exact = ProportionRetention(a, b, c, 100).test(floor)
        normal = ProportionRetention(a + 1, b, c, 100).test(floor)
        assert sum(counts) == MOST
        assert exact.p_retained == pytest.approx(normal.p_retained, rel=0.02)
        assert exact.p_below == pytest.approx(normal.p_below, rel=0.02)


@pytest.mark.parametrize(("wins", "losses"), [(1150, 850), (5300, 4700)])
def test_exact_and_normal_gains_meet(wins: int, losses: int) -> None:
    """The same of the test of a gain."""
    for z in (-1.7, 1.7):
        gain = (wins - losses - z * math.sqrt(wins + losses)) / MOST
        found = (ProportionDifference(wins, losses, n) for n in (MOST, MOST + 1))
        exact, normal = (difference.p_retained(gain) for difference in found)
        assert exact == pytest.approx(normal, rel=0.02)


def test_counts_of_any_size() -> None:
    """A million million examples are judged as the normal law says."""
    huge = ProportionRetention(9 * 10**11, 6 * 10**10, 4 * 10**10, 10**11)
    for floor in (huge.observed - 6e-7, huge.observed + 6e-7):
        test = huge.test(floor)
        expected = scipy.stats.norm.sf(float(score_statistic(9e11, 6e10, 4e10, floor)))
        assert test.p_retained == pytest.approx(expected)
        assert test.p_retained + test.p_below == pytest.approx(1)
    interval = huge.interval()
    assert interval.one_sided_lower < huge.observed < interval.one_sided_upper
    difference = ProportionDifference(6 * 10**10, 59999 * 10**6, 10**12)
    assert 0 < difference.p_retained(1e-7) < 1


@pytest.mark.parametrize("n", [2**31 - 1, 2**31, 2**33, 10**12])
def test_mcnemar_beyond_32_bits(n: int) -> None:
    """P is no NaN where the counts are large, and what the normal law says."""
    for z in (-2.0, 0.0, 1.7, 4.0):
        wins = n // 2 + round(z * math.sqrt(n) / 2)
        expected = scipy.stats.norm.sf((2 * wins - 1 - n) / math.sqrt(n))
        assert mcnemar_p(wins, n - wins) == pytest.approx(expected, rel=1e-3)
        assert mcnemar_p(wins, n - wins, mid_p=True) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("n", [10**6, 10**7, 10**7 + 1])
def test_mcnemar_of_many_coins_is_the_binomial_test(n: int) -> None:
    """Below, and just above where the normal law takes over, p is scipy's exact test."""
    for z in (-1.0, 1.7, 4.0):
        wins = n // 2 + round(z * math.sqrt(n) / 2)
        expected = scipy.stats.binomtest(wins, n, alternative="greater").pvalue
        assert mcnemar_p(wins, n - wins) == pytest.approx(expected, rel=1e-3)


def test_a_gain_that_is_asked_for_is_tested_exactly() -> None:
    """The test of 0/1 scores with a `min_gain` is the exact one up to 20,000 examples."""
    student = np.repeat([1.0, 0.0, 1.0], [6, 1, 33])
    sft = np.repeat([0.0, 1.0, 1.0], [6, 1, 33])
    assert proportion_test(student, sft, 0.02).p_value == difference_tail(6, 1, 40, 0.02)
    normal = scipy.stats.norm.sf(float(difference_statistic(6, 1, 40, 0.02)))
    assert proportion_test(student, sft, 0.02).p_value > normal
