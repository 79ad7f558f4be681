"""The score interval of paired 0/1 scores."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from pytest_distill.verdicts.statistics import (
    Judgement,
    NoRatioError,
    ProportionRetention,
    Retention,
    intervals,
    mean_retention,
    proportion_retention,
    score_statistic,
)

Z = scipy.stats.norm.ppf(0.95)


def score_by_optimiser(a: int, b: int, c: int, d: int, m: float) -> float:
    """Return the score statistic with the constrained likelihood maximised numerically.

    Probabilities x (both), y (teacher only), z = m y - (1 - m) x (student only, by the constraint
    x + z = m (x + y)) and 1 - x - y - z. Given them, n S - m n T has variance
    n ((1 - m)^2 x + m^2 y + z), its mean being 0.
    """
    n = a + b + c + d

    def minus_log_likelihood(free: tuple[float, float]) -> float:
        x, y = free
        z = m * y - (1 - m) * x
        cells = (x, y, z, 1 - x - y - z)
        if min(cells) < 0:
            return math.inf
        counts = (a, b, c, d)
        return -sum(
            k * math.log(p) if p > 0 else (math.inf if k else 0.0)
            for k, p in zip(counts, cells, strict=True)
            if k
        )

    # A start inside: x and y in the ratio that leaves half of the allowed room to z.
    y0 = 0.4
    start = [0.5 * m * y0 / abs(1 - m) if m < 1 else 0.3, y0]
    scale = 0.9 / (sum(start) + m * start[1] - (1 - m) * start[0])
    found = scipy.optimize.minimize(
        minus_log_likelihood,
        [v * min(scale, 1.0) for v in start],
        method="Nelder-Mead",
        options={"xatol": 1e-12, "fatol": 1e-13, "maxiter": 20_000, "maxfev": 20_000},
    )
    x, y = found.x
    variance = n * ((1 - m) ** 2 * x + m**2 * y + m * y - (1 - m) * x)
    return float(((a + c) - m * (a + b)) / math.sqrt(variance))


@pytest.mark.parametrize("m", [0.5, 0.9, 0.98, 1.1, 2.0])
@pytest.mark.parametrize(
    "counts", [(80, 10, 5, 5), (30, 3, 6, 11), (5, 9, 2, 4), (12, 1, 1, 0), (3, 4, 8, 5)]
)
def test_score_against_a_numerical_maximum(counts: tuple[int, int, int, int], m: float) -> None:
    """The closed form equals the score at the likelihood's maximum under the constraint."""
    expected = score_by_optimiser(*counts, m)
    assert float(score_statistic(*counts[:3], m)) == pytest.approx(expected, rel=1e-4)


def test_score_at_one_is_mcnemars() -> None:
    """At the ratio 1 the statistic is (c - b) / sqrt(b + c)."""
    assert float(score_statistic(50, 9, 4, 1)) == pytest.approx(-5 / math.sqrt(13))


def test_score_at_the_edges() -> None:
    """Where numerator and variance vanish the statistic is 0; at the ratio 0 it is infinite."""
    assert float(score_statistic(10, 0, 0, 1)) == 0
    assert float(score_statistic(0, 0, 0, 0.9)) == 0
    assert float(score_statistic(10, 1, 1, 0)) == math.inf


def small_tables(most: int) -> Iterator[tuple[int, int, int]]:
    """Yield a, b, c with a + b + c up to `most` and a teacher that is right at times."""
    for a, b, c in itertools.product(range(most + 1), repeat=3):
        if a + b + c <= most and a + b:
            yield a, b, c


def test_score_falls_as_the_ratio_grows() -> None:
    """So that the accepted ratios are an interval, of every table of up to 12 examples."""
    ratios = np.linspace(0.001, 6, 1500)
    tables = np.array(list(small_tables(12)))
    a, b, c = tables.T[:, :, None]
    scores = score_statistic(a, b, c, ratios)
    assert (np.diff(scores, axis=1) < 1e-9).all()


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_bounds_are_where_the_test_turns(confidence: float) -> None:
    """The statistic is z at the lower and -z at the upper bound, for every small table."""
    z = scipy.stats.norm.ppf(confidence)
    for a, b, c in small_tables(5):
        interval = ProportionRetention(a, b, c, 3).interval(confidence)
        if a + c:
            lower = float(score_statistic(a, b, c, interval.one_sided_lower))
            assert lower == pytest.approx(z, abs=1e-5)
        upper = float(score_statistic(a, b, c, interval.one_sided_upper))
        assert upper == pytest.approx(-z, abs=1e-5)
        assert interval.lower <= (a + c) / (a + b) <= interval.upper


def test_teacher_perfect_is_wilson() -> None:
    """Where the teacher is always right the interval is Wilson's for the student's accuracy."""
    for right, n in [(95, 100), (45, 50), (1, 3), (899, 1000), (20, 20)]:
        wilson = scipy.stats.binomtest(right, n).proportion_ci(method="wilson")
        two_sided = ProportionRetention(right, n - right, 0, 0).interval()
        assert two_sided.lower == pytest.approx(wilson.low)
        if right < n and wilson.high**2 <= right / n:
            assert two_sided.upper == pytest.approx(wilson.high)
        one_sided = scipy.stats.binomtest(right, n, alternative="greater").proportion_ci(
            method="wilson"
        )
        assert two_sided.one_sided_lower == pytest.approx(one_sided.low)


def test_student_never_right() -> None:
    """The lower bound is 0 and the upper one z^2 / b, by hand: the score is -sqrt(b m)."""
    interval = ProportionRetention(0, 10, 0, 5).interval()
    assert interval.one_sided_lower == interval.lower == 0
    assert interval.one_sided_upper == pytest.approx(Z**2 / 10)


def test_no_discordant_example() -> None:
    """The bounds are a / (a + z^2) and its inverse, and never 1."""
    interval = ProportionRetention(90, 0, 0, 10).interval()
    assert interval.one_sided_lower == pytest.approx(90 / (90 + Z**2))
    assert interval.one_sided_upper == pytest.approx((90 + Z**2) / 90)


def test_many_at_once_are_each_alone() -> None:
    """The intervals of many ratios at once, of 0/1 and other scores, are those of each alone."""
    tables = [ProportionRetention(a, b, c, 3) for a, b, c in small_tables(4)]
    ratios: list[Retention] = [*tables[:9], mean_retention([0.5, 0.9], [0.6, 0.8]), *tables[9:]]
    assert intervals(ratios, 0.9) == [ratio.interval(0.9) for ratio in ratios]
    assert intervals([]) == []


def test_swapping_the_models_inverts_the_interval() -> None:
    """The interval of teacher / student is the inverse of that of student / teacher."""
    one, other = (ProportionRetention(70, *bc, 10).interval() for bc in ((12, 8), (8, 12)))
    assert one.one_sided_lower == pytest.approx(1 / other.one_sided_upper)
    assert one.upper == pytest.approx(1 / other.lower)


@pytest.mark.parametrize("n", [5, 8, 12])
@pytest.mark.parametrize(
    ("teacher", "retention", "copied"),
    [(0.6, 0.9, 0.2), (0.6, 1.0, 0.9), (0.9, 0.9, 0.2), (0.9, 0.9, 0.9), (0.9, 0.95, 0.2),
     (0.97, 0.95, 0.9), (0.97, 1.0, 0.2)],
)  # fmt: skip
def test_exact_coverage(n: int, teacher: float, retention: float, copied: float) -> None:
    """By enumeration of all tables, the lower bound lies above the truth at most 5.5 % of the time.

    The nominal 5 % is not guaranteed at such sizes: the test is exact only in the limit.
    """
    student = retention * teacher
    both = student * teacher + copied * (min(student, teacher) - student * teacher)
    cells = [both, teacher - both, student - both, 1 - student - teacher + both]
    tables = np.array([t for t in itertools.product(range(n + 1), repeat=4) if sum(t) == n])
    probability = scipy.stats.multinomial.pmf(tables, n, np.clip(cells, 0, 1))
    a, b, c, _ = tables.T
    wrong = score_statistic(a, b, c, retention) >= Z
    assert probability.sum() == pytest.approx(1)
    assert probability[wrong].sum() <= 0.055


def test_p_values() -> None:
    """The two p-values are the two tails of the statistic, and agree with the bounds."""
    retention = ProportionRetention(80, 10, 5, 5)
    test = retention.test(0.9)
    score = float(score_statistic(80, 10, 5, 0.9))
    assert test.p_retained == pytest.approx(scipy.stats.norm.sf(score))
    assert test.p_below == pytest.approx(scipy.stats.norm.cdf(score))
    lower = retention.interval().one_sided_lower
    assert retention.test(lower).p_retained == pytest.approx(0.05)


def test_counts_scores() -> None:
    """Scores of 0 and 1 are counted, and the ratio turned round where lower is better."""
    student, teacher = [1, 1, 0, 0, 1], [1, 1, 1, 0, 0]
    assert proportion_retention(student, teacher) == ProportionRetention(2, 1, 1, 1)
    turned = proportion_retention([1, 0, 1], [1, 0, 0], higher_is_better=False)
    assert turned == ProportionRetention(1, 1, 0, 1)
    assert turned.observed == 0.5


def test_refusals() -> None:
    """A teacher that is never right has no ratio; other scores and shapes are refused."""
    with pytest.raises(NoRatioError, match=r"the teacher scores 0 on all 2 examples"):
        proportion_retention([1, 0], [0, 0])
    with pytest.raises(NoRatioError, match=r"the student scores 0"):
        proportion_retention([0, 0], [0, 1], higher_is_better=False)
    with pytest.raises(ValueError, match=r"use mean_retention"):
        proportion_retention([0.5], [1])
    with pytest.raises(ValueError, match=r"shapes \(1,\) and \(2,\)"):
        proportion_retention([1], [1, 1])
    with pytest.raises(ValueError, match=r"confidence=0\.5"):
        ProportionRetention(1, 0, 0, 0).interval(0.5)


def test_judging_a_floor() -> None:
    """The bounds decide: at or above, below, or neither; and an observed verdict is firm or not."""
    interval = ProportionRetention(90, 0, 0, 10).interval()
    assert interval.judge(0.97) is Judgement.RETAINED
    assert interval.judge(interval.one_sided_lower) is Judgement.RETAINED
    assert interval.judge(1.0) is Judgement.UNCLEAR
    assert interval.judge(1.04) is Judgement.NOT_RETAINED
    assert interval.is_firm(0.97, passed=True)
    assert not interval.is_firm(0.97, passed=False)
    assert not interval.is_firm(1.0, passed=True)
    assert interval.is_firm(1.04, passed=False)
