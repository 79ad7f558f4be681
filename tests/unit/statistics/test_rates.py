"""Means per label or token: their intervals against scipy and against their own promises."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_1samp

from pytest_distill.verdicts.statistics import Judgement, Rate, clopper_pearson


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


def test_a_flawless_share_is_not_certain() -> None:
    """58 of 58 do not show 0.95, 59 of 59 do."""
    for n, shown in ((58, Judgement.UNCLEAR), (59, Judgement.RETAINED)):
        rate = shares(n, n)
        assert rate.judge(rate.interval(), Fraction("0.95")) is shown


def test_a_ceiling_is_judged_from_above() -> None:
    """0 of 59 shows at most 0.05, 12 of 59 shows more, and 3 of 59 shows neither."""
    judged = []
    for hits in (0, 12, 3):
        rate = shares(hits, 59, higher=False)
        judged.append(rate.judge(rate.interval(), Fraction("0.05")))
    assert judged == [Judgement.RETAINED, Judgement.NOT_RETAINED, Judgement.UNCLEAR]


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


def test_texts_of_one_length_have_the_plain_t_bound_on_the_cheap_side() -> None:
    """The upper bound of a floor's mean is scipy's one-sided t bound."""
    values = np.random.default_rng(1).uniform(0.5, 0.8, 25)
    rate = Rate(values, values, np.ones(25), True, 0.0)
    expected = ttest_1samp(values, 0, alternative="less").confidence_interval(0.95).high
    assert rate.interval(0.95).one_sided_upper == pytest.approx(expected)


def test_the_dear_side_has_a_worst_case_example() -> None:
    """The lower bound is the t bound of the sample with a 0 appended."""
    values = np.random.default_rng(2).uniform(0.8, 0.9, 25)
    rate = Rate(values, values, np.ones(25), True, 0.0)
    appended = np.append(values, 0.0)
    expected = ttest_1samp(appended, 0, alternative="greater").confidence_interval(0.95).low
    assert rate.interval(0.95).one_sided_lower == pytest.approx(expected)


def test_a_mean_without_a_worst_value_counts_its_worst_example_twice() -> None:
    """The upper bound of a divergence is the t bound of the sample with its greatest twice."""
    values = np.random.default_rng(3).exponential(0.2, 40)
    rate = Rate(values, values, np.ones(40), False, None, math.inf)
    twice = np.append(values, values.max())
    expected = ttest_1samp(twice, 0, alternative="less").confidence_interval(0.95).high
    assert rate.interval(0.95).one_sided_upper == pytest.approx(expected)
    assert rate.interval().method == "t with the worst example twice"


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
    assert known.judge(known.interval(), Fraction(100)) is Judgement.NOT_RETAINED
    maybe = Rate(finite, infinite, np.ones(4), False, None, math.inf)
    assert maybe.judge(maybe.interval(), Fraction(100)) is Judgement.UNCLEAR
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
    rate = Rate(np.zeros(90), np.zeros(90), np.ones(90), False, 1.0, clusters=[0, 1, 2] * 30)
    assert rate.judge(rate.interval(), Fraction(1)) is Judgement.UNCLEAR


def test_the_number_needed_would_do() -> None:
    """So many examples of the same kind settle what these leave open."""
    values = np.array([0.05, 0.15] * 10)
    rate = Rate(values, values, np.ones(20), False, None, math.inf)
    assert rate.judge(rate.interval(), Fraction("0.11")) is Judgement.UNCLEAR
    needed = rate.needed(0.11)
    assert needed is not None
    more = np.tile(values, needed // 20 + 1)
    larger = Rate(more, more, np.ones(len(more)), False, None, math.inf)
    assert larger.judge(larger.interval(), Fraction("0.11")) is Judgement.RETAINED
