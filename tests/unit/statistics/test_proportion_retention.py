"""Retention of paired 0/1 scores: its score statistic, its bounds and its p-values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

import pytest_distill.statistics.proportions as proportions
from pytest_distill.statistics.multiple import intervals
from pytest_distill.statistics.proportions import ProportionRetention, proportion_retention
from pytest_distill.statistics.results import FloorTest, Judgement, NoRatioError, Retention, shown
from pytest_distill.statistics.score import score_statistic
from pytest_distill.statistics.scoring import Scoring
from pytest_distill.statistics.unconditional import above_tail, below_tail


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
def test_bounds_of_the_report_are_where_the_score_turns(confidence: float) -> None:
    """The statistic is z at the lower and -z at the upper bound, for every small table."""
    z = scipy.stats.norm.ppf(confidence)
    for a, b, c in small_tables(5):
        interval = ProportionRetention(a, b, c, 3).report_interval(confidence)
        if a + c:
            lower = float(score_statistic(a, b, c, interval.one_sided_lower))
            assert lower == pytest.approx(z, abs=1e-5)
        upper = float(score_statistic(a, b, c, interval.one_sided_upper))
        assert upper == pytest.approx(-z, abs=1e-5)
        assert interval.lower <= (a + c) / (a + b) <= interval.upper


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
@pytest.mark.parametrize(
    "counts", [(80, 10, 5), (30, 0, 0), (5, 9, 2), (400, 3, 1), (1, 0, 0), (60, 9, 30)]
)
def test_bounds_that_decide_are_where_p_reaches_its_level(
    counts: tuple[int, int, int], confidence: float
) -> None:
    """A bound has passed its test, and one a little better has not."""
    retention = ProportionRetention(*counts, 3)
    interval = retention.interval(confidence)
    lower, upper = interval.one_sided_lower, interval.one_sided_upper
    alpha = 1 - confidence
    if lower > 0:
        assert retention.test(lower).p_retained <= alpha
        assert retention.test(lower + 0.02 * (retention.observed - lower)).p_retained > alpha
    if upper < math.inf:
        assert retention.test(upper).p_below <= alpha
        assert retention.test(upper - 0.02 * (upper - retention.observed)).p_below > alpha
    assert interval.confidence == confidence


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
@pytest.mark.parametrize("counts", [(80, 10, 5), (30, 0, 0), (400, 3, 1), (1, 0, 0), (0, 9, 0)])
def test_an_interval_looks_at_few_ps(
    monkeypatch: pytest.MonkeyPatch, counts: tuple[int, int, int], confidence: float
) -> None:
    """It searches from the score test's bounds, and finds the exact ones in at most 32 tests."""
    looked = []
    for name, tail in (("below_tail", below_tail), ("above_tail", above_tail)):

        def counting(*args: float, tail: Callable[..., float] = tail) -> float:
            looked.append(args)
            return tail(*args)

        monkeypatch.setattr(proportions, name, counting)
    ProportionRetention(*counts, 3).interval(confidence)
    assert 2 <= len(looked) <= 32


def test_teacher_perfect_is_wilson() -> None:
    """Where the teacher is always right the report has Wilson's interval for the accuracy."""
    for right, n in [(95, 100), (45, 50), (1, 3), (899, 1000), (20, 20)]:
        wilson = scipy.stats.binomtest(right, n).proportion_ci(method="wilson")
        two_sided = ProportionRetention(right, n - right, 0, 0).interval()
        assert two_sided.lower == pytest.approx(wilson.low)
        if right < n and wilson.high**2 <= right / n:
            assert two_sided.upper == pytest.approx(wilson.high)


@pytest.mark.parametrize(("right", "n"), [(95, 100), (45, 50), (899, 1000), (20, 20)])
def test_teacher_perfect_is_judged_no_better_than_one_proportion(right: int, n: int) -> None:
    """The lower bound is near scipy's exact bound of the accuracy, and hardly above it."""
    exact = scipy.stats.binomtest(right, n, alternative="greater").proportion_ci(method="exact")
    lower = ProportionRetention(right, n - right, 0, 0).interval().one_sided_lower
    assert lower <= exact.low + 0.01 * (1 - exact.low)
    assert lower >= exact.low - 0.1 * (right / n - exact.low) - 1e-4


def test_student_never_right() -> None:
    """The lower bound is 0, and the report's upper one z^2 / b, by hand: the score is -sqrt(bm)."""
    interval = ProportionRetention(0, 10, 0, 5).interval()
    assert interval.one_sided_lower == interval.lower == 0
    z = scipy.stats.norm.ppf(0.975)
    assert interval.upper == pytest.approx(z**2 / 10)
    assert interval.one_sided_upper >= scipy.stats.norm.ppf(0.95) ** 2 / 10


def test_no_discordant_example() -> None:
    """The lower bound is where m^a is .05, the report's is a / (a + z^2), and neither is 1."""
    interval = ProportionRetention(90, 0, 0, 10).interval()
    z = scipy.stats.norm.ppf(0.975)
    assert interval.one_sided_lower == pytest.approx((0.05 - 1e-5) ** (1 / 90), abs=3e-4)
    assert interval.one_sided_lower <= (0.05 - 1e-5) ** (1 / 90)
    assert interval.lower == pytest.approx(90 / (90 + z**2))
    assert interval.upper == pytest.approx((90 + z**2) / 90)


def test_many_at_once_are_each_alone() -> None:
    """The report's intervals of many ratios at once are those of each alone."""
    tables = [ProportionRetention(a, b, c, 3) for a, b, c in small_tables(4)]
    other = Scoring().t_retention([0.5, 0.9], [0.6, 0.8])
    ratios: list[Retention] = [*tables[:9], other, *tables[9:]]
    expected = [table.report_interval(0.9) for table in tables]
    assert intervals(ratios, 0.9) == [*expected[:9], other.interval(0.9), *expected[9:]]
    assert intervals([]) == []


def test_swapping_the_models_inverts_the_interval() -> None:
    """The interval of teacher / student is the inverse of that of student / teacher."""
    one, other = (ProportionRetention(70, *bc, 10).interval() for bc in ((12, 8), (8, 12)))
    assert one.one_sided_lower == pytest.approx(1 / other.one_sided_upper, rel=3e-3)
    assert one.upper == pytest.approx(1 / other.lower)


@pytest.mark.parametrize("n", [5, 8, 12])
@pytest.mark.parametrize(
    ("teacher", "retention", "copied"),
    [(0.6, 0.9, 0.2), (0.6, 1.0, 0.9), (0.9, 0.9, 0.2), (0.9, 0.9, 0.9), (0.9, 0.95, 0.2),
     (0.97, 0.95, 0.9), (0.97, 1.0, 0.2)],
)  # fmt: skip
def test_exact_coverage(n: int, teacher: float, retention: float, copied: float) -> None:
    """By enumeration of all tables either side errs in at most 5 %, of a few examples too."""
    student = retention * teacher
    both = student * teacher + copied * (min(student, teacher) - student * teacher)
    cells = [both, teacher - both, student - both, 1 - student - teacher + both]
    tables = np.array([t for t in itertools.product(range(n + 1), repeat=4) if sum(t) == n])
    probability = scipy.stats.multinomial.pmf(tables, n, np.clip(cells, 0, 1))
    tests = [ProportionRetention(*map(int, table)).test(retention) for table in tables]
    assert probability.sum() == pytest.approx(1)
    for wrong in ([t.p_retained <= 0.05 for t in tests], [t.p_below <= 0.05 for t in tests]):
        assert probability[np.array(wrong)].sum() <= 0.05


def test_counts_scores() -> None:
    """Scores of 0 and 1 are counted, and the ratio turned round where lower is better."""
    student, teacher = [1, 1, 0, 0, 1], [1, 1, 1, 0, 0]
    assert proportion_retention(student, teacher) == ProportionRetention(2, 1, 1, 1)
    turned = proportion_retention([1, 0, 1], [1, 0, 0], higher_is_better=False)
    assert turned == ProportionRetention(1, 1, 0, 1)
    assert turned.observed == 0.5


def test_a_student_without_an_error_where_lower_is_better() -> None:
    """It retains infinitely much, and that it keeps the floor can be shown."""
    teacher = np.repeat([1.0, 0.0], [40, 60])
    retention = proportion_retention(np.zeros(100), teacher, higher_is_better=False)
    assert retention == ProportionRetention(0, 0, 40, 60)
    assert retention.observed == math.inf
    # At the floor 1 the two err alike: 40 of 40 on one side, by the sign test.
    assert retention.test(1.0).p_retained == pytest.approx(0.5**40 + 1e-12)
    assert retention.test(1.0).judge(0.95) is Judgement.RETAINED
    interval = retention.interval()
    assert 1 < interval.one_sided_lower < interval.one_sided_upper == math.inf
    assert retention.needed(1.0) is None


def test_refusals() -> None:
    """A teacher that is never right has no ratio; other scores and shapes are refused."""
    with pytest.raises(NoRatioError, match=r"the teacher scores 0 on all 2 examples"):
        proportion_retention([1, 0], [0, 0])
    with pytest.raises(ValueError, match=r"use Scoring.t_retention"):
        proportion_retention([0.5], [1])
    with pytest.raises(ValueError, match=r"shapes \(1,\) and \(2,\)"):
        proportion_retention([1], [1, 1])
    with pytest.raises(ValueError, match=r"confidence=0\.5"):
        ProportionRetention(1, 0, 0, 0).interval(0.5)


def test_judging_a_floor() -> None:
    """The p-values decide: retained, not retained, or neither."""
    retention = ProportionRetention(90, 0, 0, 10)
    assert retention.test(0.96).judge(0.95) is Judgement.RETAINED
    assert retention.test(retention.interval().one_sided_lower).judge(0.95) is Judgement.RETAINED
    assert retention.test(1.0).judge(0.95) is Judgement.UNCLEAR
    assert retention.test(1.04).judge(0.95) is Judgement.NOT_RETAINED
    assert retention.test(1.04).judge(0.99) is Judgement.UNCLEAR


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.975, 0.99, 0.995, 0.999])
def test_p_at_its_level_is_shown(confidence: float) -> None:
    """A p of exactly 1 - confidence is enough, as the decimals that both print as; more is not."""
    level = float(f"{1 - confidence:.6g}")
    assert shown(level, confidence)
    assert not shown(math.nextafter(level, 1), confidence)
    assert FloorTest(level, 1.0).judge(confidence) is Judgement.RETAINED
    assert FloorTest(1.0, level).judge(confidence) is Judgement.NOT_RETAINED
    assert FloorTest(math.nextafter(level, 1), 1.0).judge(confidence) is Judgement.UNCLEAR
