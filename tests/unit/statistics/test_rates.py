"""Means per label or token: their intervals against scipy and against their own promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binomtest, norm, t

from pytest_distill.statistics.rates import Rate, clopper_pearson
from pytest_distill.statistics.results import Judgement


def shares(hits: int, n: int, *, higher: bool = True) -> Rate:
    """Return the rate of `hits` among n single examples."""
    values = (np.arange(n) < hits).astype(float)
    return Rate(values, values, np.ones(n), higher, 0.0 if higher else 1.0)


@pytest.mark.parametrize(("hits", "n"), [(0, 7), (7, 7), (3, 10), (940, 1000)])
@pytest.mark.parametrize("level", [0.8, 0.95, 0.975])
def test_a_share_has_the_exact_binomial_bounds(hits: int, n: int, level: float) -> None:
    """Each side is scipy's one-sided Clopper-Pearson bound."""
    lower, upper = clopper_pearson(hits, n, level)
    above = binomtest(hits, n, alternative="greater").proportion_ci(level, method="exact")
    below = binomtest(hits, n, alternative="less").proportion_ci(level, method="exact")
    assert lower == pytest.approx(above.low)
    assert upper == pytest.approx(below.high)


def judged(rate: Rate, limit: float) -> Judgement:
    """Return what is shown of a limit with 95 % confidence."""
    return rate.test(limit).judge(0.95)


@pytest.mark.parametrize("higher", [True, False])
@pytest.mark.parametrize("limit", [0.01, 0.05, 0.5, 0.95])
@pytest.mark.parametrize(("hits", "n"), [(0, 7), (7, 7), (3, 10), (940, 1000)])
def test_p_of_a_share_is_the_binomial_test(hits: int, n: int, limit: float, higher: bool) -> None:
    """Both sides are scipy's exact binomial test, turned round for a ceiling."""
    found = shares(hits, n, higher=higher).test(limit)
    above = binomtest(hits, n, limit, alternative="greater").pvalue
    below = binomtest(hits, n, limit, alternative="less").pvalue
    kept, broken = (above, below) if higher else (below, above)
    assert found.p_retained == pytest.approx(kept)
    assert found.p_below == pytest.approx(broken)


def test_a_flawless_share_is_not_certain() -> None:
    """58 of 58 do not show 0.95, 59 of 59 do."""
    assert judged(shares(58, 58), 0.95) is Judgement.UNCLEAR
    assert judged(shares(59, 59), 0.95) is Judgement.RETAINED


def test_a_ceiling_is_judged_from_above() -> None:
    """0 of 59 shows at most 0.05, 12 of 59 shows more, and 3 of 59 shows neither."""
    found = [judged(shares(hits, 59, higher=False), 0.05) for hits in (0, 12, 3)]
    assert found == [Judgement.RETAINED, Judgement.NOT_RETAINED, Judgement.UNCLEAR]


def test_examples_and_not_tokens_are_drawn() -> None:
    """A thousand tokens a text make the interval of ten texts no narrower."""
    rng = np.random.default_rng(0)
    means = rng.uniform(0.7, 0.9, 10)
    few, many = (
        Rate(means * size, means * size, np.full(10, float(size)), True, 0.0).interval()
        for size in (1, 1000)
    )
    assert few.lower == pytest.approx(many.lower)
    assert few.upper == pytest.approx(many.upper)


def bound(values: NDArray[np.float64], unseen: float, side: str) -> float:
    """Return the 95 % t bound of a mean with the unseen value counted 1 + (z^2 - 1) / 4 times."""
    weight = 1 + (norm.isf(0.05) ** 2 - 1) / 4
    weights, values = np.append(np.ones(len(values)), weight), np.append(values, unseen)
    total, mean = weights.sum(), np.average(values, weights=weights)
    error = np.sqrt(np.average((values - mean) ** 2, weights=weights) / (total - 1))
    return float(mean + (1 if side == "upper" else -1) * t.isf(0.05, total - 1) * error)


def test_a_mean_has_a_worst_and_a_best_example() -> None:
    """The lower bound is the t bound with a 0 counted, the upper one with a 1."""
    values = np.random.default_rng(2).uniform(0.6, 0.9, 25)
    interval = Rate(values, values, np.ones(25), True, 0.0).interval(0.95)
    assert interval.one_sided_lower == pytest.approx(bound(values, 0.0, "lower"))
    assert interval.one_sided_upper == pytest.approx(bound(values, 1.0, "upper"))
    assert interval.method == "t with a worst-case example"


def test_the_side_that_breaks_a_ceiling_has_a_best_example() -> None:
    """Where lower is better the upper bound counts a 1, the lower one a 0."""
    values = np.random.default_rng(2).uniform(0.2, 0.6, 25)
    interval = Rate(values, values, np.ones(25), False, 1.0).interval(0.95)
    assert interval.one_sided_lower == pytest.approx(bound(values, 0.0, "lower"))
    assert interval.one_sided_upper == pytest.approx(bound(values, 1.0, "upper"))


def test_a_mean_without_a_worst_value_counts_one_twice_as_far() -> None:
    """The upper bound of a divergence counts an example twice as far off as the greatest."""
    values = np.random.default_rng(3).exponential(0.2, 40)
    rate = Rate(values, values, np.ones(40), False, None, math.inf)
    mean = values.mean()
    unseen = mean + 2 * (values.max() - mean)
    assert rate.interval(0.95).one_sided_upper == pytest.approx(bound(values, unseen, "upper"))
    assert rate.interval().method == "t with a guess at the worst example"


def test_texts_of_unequal_length_count_by_it() -> None:
    """The example that was not seen has typical length, and ten effective texts are needed."""
    units = np.array([5.0] * 30 + [80.0] * 3)
    sums = 0.9 * units
    rate = Rate(sums, sums, units, True, 0.0)
    effective = units.sum() ** 2 / (units**2).sum()
    assert effective < 10
    assert judged(rate, 0.2) is Judgement.UNCLEAR
    assert "too few to tell" in rate.interval().notes[0]
    equal = Rate(np.full(33, 4.5), np.full(33, 4.5), np.full(33, 5.0), True, 0.0)
    assert judged(equal, 0.2) is Judgement.RETAINED


def test_bounds_that_are_apart_give_the_outer_interval() -> None:
    """The lower bound is that of the low sums, the upper that of the high ones."""
    rng = np.random.default_rng(4)
    low, units = rng.uniform(1, 2, 30), rng.integers(3, 9, 30).astype(float)
    high = low + 0.5
    both = Rate(low, high, units, True, 0.0).interval()
    alone = [Rate(x, x, units, True, 0.0).interval() for x in (low, high)]
    assert (both.lower, both.upper) == (alone[0].lower, alone[1].upper)


def test_an_infinite_example_makes_a_divergence_infinite() -> None:
    """No ceiling is kept, and that is certain; where it only may be infinite it is not."""
    finite = np.array([0.1, 0.2, 0.3, 0.2])
    infinite = np.array([0.1, 0.2, np.inf, 0.2])
    known = Rate(infinite, infinite, np.ones(4), False, None, math.inf)
    assert known.observed == (math.inf, math.inf)
    whole = known.interval()
    assert (whole.one_sided_lower, whole.one_sided_upper) == (math.inf, math.inf)
    assert (whole.lower, whole.upper) == (math.inf, math.inf)
    assert judged(known, 100.0) is Judgement.NOT_RETAINED
    maybe = Rate(finite, infinite, np.ones(4), False, None, math.inf)
    assert judged(maybe, 100.0) is Judgement.UNCLEAR
    assert maybe.needed(100.0) is None


def test_clusters_are_the_units() -> None:
    """Examples that are copies of each other are no more evidence than one of each."""
    values = np.random.default_rng(5).uniform(0.5, 1.0, 50)
    one = Rate(values, values, np.ones(50), True, 0.0, clusters=list(range(50))).interval()
    copies = np.repeat(values, 8)
    groups = np.repeat(np.arange(50), 8).tolist()
    many = Rate(copies, copies, np.ones(400), True, 0.0, clusters=groups).interval()
    assert many.one_sided_lower == pytest.approx(one.one_sided_lower)
    assert (many.n, many.clusters) == (400, 50)


def test_few_clusters_tell_nothing() -> None:
    """Under ten there is no confident verdict, for a ceiling neither."""
    few = Rate(np.zeros(90), np.zeros(90), np.ones(90), False, 1.0, clusters=[0, 1, 2] * 30)
    assert judged(few, 1.0) is Judgement.UNCLEAR
    clusters = [i % 30 for i in range(90)]
    enough = Rate(np.zeros(90), np.zeros(90), np.ones(90), False, 1.0, clusters=clusters)
    assert judged(enough, 1.0) is Judgement.RETAINED


def test_the_number_needed_would_do() -> None:
    """So many examples of the same kind settle what these leave open."""
    values = np.array([0.05, 0.15] * 10)
    rate = Rate(values, values, np.ones(20), False, None, math.inf)
    assert judged(rate, 0.11) is Judgement.UNCLEAR
    needed = rate.needed(0.11)
    assert needed is not None
    more = np.tile(values, needed // 20 + 1)
    larger = Rate(more, more, np.ones(len(more)), False, None, math.inf)
    assert judged(larger, 0.11) is Judgement.RETAINED
    surer = rate.needed(0.11, 0.999)
    assert surer is not None
    assert surer > needed


@pytest.mark.parametrize(("hits", "n"), [(0, 7), (7, 7), (31, 40)])
def test_the_interval_of_a_share_for_the_report_is_two_sided(hits: int, n: int) -> None:
    """Whatever confidence a verdict asks for, the report has scipy's two-sided 95 % interval."""
    found = shares(hits, n).interval(0.8)
    expected = binomtest(hits, n).proportion_ci(0.95, method="exact")
    assert (found.lower, found.upper) == pytest.approx((expected.low, expected.high))
    one_sided = binomtest(hits, n, alternative="greater").proportion_ci(0.8, method="exact")
    assert found.one_sided_lower == pytest.approx(one_sided.low)
    assert (found.confidence, found.n, found.clusters) == (0.8, n, None)
