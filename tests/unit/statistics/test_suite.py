"""The test of an aggregate over evals, against Welch's test, sums made by hand, and simulation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from pytest_distill.statistics.levels import likelihood_retention
from pytest_distill.statistics.multiple import LeastRetention
from pytest_distill.statistics.proportions import ProportionRetention
from pytest_distill.statistics.results import FloorTest, Judgement
from pytest_distill.statistics.scoring import Scoring
from pytest_distill.statistics.suite import Combined, suite_retention
from pytest_distill.statistics.t_retention import TRetention

ONCE = float(stats.norm.cdf(1))
"""At this confidence the unit that was not seen is counted exactly once."""
AGGREGATES: tuple[Combined, ...] = ("ratio_of_averages", "average_of_ratios", "geometric")

Scores = tuple[NDArray[np.float64], NDArray[np.float64]]


def draw(rng: np.random.Generator, n: int, teacher: float = 0.9, kept: float = 0.97) -> Scores:
    """Return scores of a student that loses a share of the teacher's right answers."""
    t = (rng.random(n) < teacher).astype(np.float64)
    return t * (rng.random(n) < kept), t


def graded(rng: np.random.Generator, n: int) -> Scores:
    """Return scores in [0, 1] of a student that is a little worse."""
    t = rng.beta(6, 2, n)
    return np.clip(t - 0.02 + rng.normal(0, 0.1, n), 0, 1), t


def ratios(evals: Sequence[Scores]) -> list[TRetention]:
    """Return the t test of each eval."""
    return [Scoring().t_retention(*scores) for scores in evals]


def with_worst(scores: Scores, ratio: float) -> NDArray[np.float64]:
    """Return S - m T with one example more, on which the student is wrong and the teacher right."""
    student, teacher = scores
    return np.append(student - ratio * teacher, -ratio)


def satterthwaite(samples: Sequence[NDArray[np.float64]], weights: Sequence[float]) -> float:
    """Return p of "the weighted sum of means is at most 0", written out."""
    total = sum(w * x.mean() for w, x in zip(weights, samples, strict=True))
    parts = [w**2 * x.var(ddof=1) / len(x) for w, x in zip(weights, samples, strict=True)]
    df = sum(parts) ** 2 / sum(v**2 / (len(x) - 1) for v, x in zip(parts, samples, strict=True))
    return float(stats.t.sf(total / math.sqrt(sum(parts)), df))


@pytest.mark.parametrize("sizes", [(60, 60), (40, 900), (900, 40)])
def test_the_lower_bound_of_two_evals_is_welch_s(sizes: tuple[int, int]) -> None:
    """There scipy's test of "mean of one > minus the mean of the other" has p = alpha.

    With the worst example appended to the one of the two in which that costs more.
    """
    rng = np.random.default_rng(3)
    evals = [graded(rng, n) for n in sizes]
    found = suite_retention(ratios(evals), "ratio_of_averages")
    bound = found.interval(ONCE).one_sided_lower
    plain = [s - bound * t for s, t in evals]
    tried = [
        stats.ttest_ind(one, -other, equal_var=False, alternative="greater").pvalue
        for one, other in (
            (with_worst(evals[0], bound), plain[1]),
            (plain[0], with_worst(evals[1], bound)),
        )
    ]
    assert max(tried) == pytest.approx(1 - ONCE, abs=1e-6)


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_three_evals_by_hand(aggregate: Combined) -> None:
    """The bound is where the sum of means, each about its own ratio, has p = alpha.

    Each ratio is changed so that the aggregate is the bound: by a factor, or for the average by an
    equal step.
    """
    rng = np.random.default_rng(5)
    evals = [draw(rng, 300), graded(rng, 80), draw(rng, 150, kept=0.9)]
    found = suite_retention(ratios(evals), aggregate)
    bound = found.interval(ONCE).one_sided_lower
    kept = np.array([s.mean() / t.mean() for s, t in evals])
    if aggregate == "ratio_of_averages":
        weights, at = [1.0] * 3, np.full(3, bound)
    elif aggregate == "average_of_ratios":
        weights, at = [1 / t.mean() for _, t in evals], kept - (kept.mean() - bound)
    else:
        weights, at = [1 / s.mean() for s, _ in evals], kept * bound / stats.gmean(kept)
    plain = [s - q * t for (s, t), q in zip(evals, at, strict=True)]
    tried = []
    for place in range(3):
        samples = list(plain)
        samples[place] = with_worst(evals[place], float(at[place]))
        tried.append(satterthwaite(samples, weights))
    assert max(tried) == pytest.approx(1 - ONCE, abs=1e-6)


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_observed_is_the_aggregate(aggregate: Combined) -> None:
    """It lies between the bounds, and the p-values at the bounds are the level."""
    rng = np.random.default_rng(1)
    evals = [draw(rng, 200), draw(rng, 500, 0.7), graded(rng, 100)]
    found = suite_retention(ratios(evals), aggregate)
    kept = [s.mean() / t.mean() for s, t in evals]
    expected = {
        "ratio_of_averages": sum(s.mean() for s, _ in evals) / sum(t.mean() for _, t in evals),
        "average_of_ratios": np.mean(kept),
        "geometric": stats.gmean(kept),
    }
    assert found.observed == pytest.approx(expected[aggregate], abs=1e-12)
    interval = found.interval(0.9)
    assert interval.lower < interval.one_sided_lower < found.observed
    assert found.observed < interval.one_sided_upper < interval.upper
    assert found.test(interval.one_sided_lower).p_retained == pytest.approx(0.1, abs=1e-6)
    assert found.test(interval.one_sided_upper).p_below == pytest.approx(0.1, abs=1e-6)
    assert (interval.n, found.n) == (800, 800)


def test_perplexity_enters_by_its_logarithm() -> None:
    """Two evals of log-likelihoods: the geometric mean's test is the one of the sum of logs."""
    rng = np.random.default_rng(2)
    evals = []
    for n in (80, 200):
        tokens = rng.integers(20, 60, n).astype(float)
        teacher = tokens * rng.gamma(20, 0.1, n)
        evals.append((teacher * (1 + rng.normal(0.003, 0.01, n)), teacher, tokens))
    parts = [likelihood_retention(*rows, logarithmic=True) for rows in evals]
    found = suite_retention(parts, "geometric")
    logs = [(t.sum() - s.sum()) / tokens.sum() for s, t, tokens in evals]
    assert found.observed == pytest.approx(math.exp(np.mean(logs)), rel=1e-12)
    bound = found.interval(ONCE).one_sided_lower
    change = math.log(bound) - np.mean(logs)
    tried = []
    for place in range(2):
        samples = []
        for i, ((s, t, tokens), log) in enumerate(zip(evals, logs, strict=True)):
            rows = (t - s) - (log + change) * tokens
            if i == place:
                worst = parts[i].worst
                assert worst is not None
                rows = np.append(rows, worst[0, 0] - (log + change) * worst[0, 1])
            samples.append(rows)
        tried.append(satterthwaite(samples, [1 / tokens.mean() for *_, tokens in evals]))
    assert max(tried) == pytest.approx(1 - ONCE, abs=1e-6)


def test_a_corpus_metric_enters_by_its_pseudo_values() -> None:
    """A mean that is given as a corpus metric gives the bounds that it gives as a mean."""
    rng = np.random.default_rng(4)
    evals = [graded(rng, 90), graded(rng, 300)]

    def rows(scores: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack([scores, np.ones(len(scores))])

    def mean(totals: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(totals[..., 0] / totals[..., 1])

    ends = (np.array([[0.0, 1.0]]), np.array([[1.0, 1.0]]))
    as_corpus = [
        Scoring(aggregate=mean, extremes=ends).t_retention(rows(s), rows(t)) for s, t in evals
    ]
    for aggregate in AGGREGATES:
        one = suite_retention(as_corpus, aggregate).interval()
        other = suite_retention(ratios(evals), aggregate).interval()
        assert one.lower == pytest.approx(other.lower, rel=1e-8)
        assert one.one_sided_upper == pytest.approx(other.one_sided_upper, rel=1e-8)


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_few_clusters_tell_nothing(aggregate: Combined) -> None:
    """One eval of nine clusters is enough for no verdict; `needed` asks for ten of them."""
    rng = np.random.default_rng(6)
    s, t = draw(rng, 90)
    clustered = Scoring(clusters=[str(i % 9) for i in range(90)]).t_retention(s, t)
    found = suite_retention([clustered, Scoring().t_retention(*draw(rng, 5000))], aggregate)
    assert found.test(0.5) == FloorTest(1.0, 1.0)
    needed = found.needed(0.5)
    assert needed is not None
    assert needed >= 5090 * 10 / 9
    interval = found.interval()
    assert any("too few to tell" in note for note in interval.notes)
    for bounds in (
        (interval.one_sided_lower, interval.one_sided_upper),
        (interval.lower, interval.upper),
    ):
        assert bounds == (-math.inf, math.inf)


def test_a_single_example_tells_nothing() -> None:
    """It has no variance that could be added."""
    rng = np.random.default_rng(7)
    evals = [draw(rng, 5000), (np.ones(1), np.ones(1))]
    assert suite_retention(ratios(evals), "average_of_ratios").test(0.1) == FloorTest(1.0, 1.0)


@pytest.mark.parametrize("aggregate", ["average_of_ratios", "geometric"])
def test_a_flawless_student_where_lower_is_better(aggregate: Combined) -> None:
    """Its ratio is infinite: it shows nothing of an eval on which the student keeps too little.

    A student that is flawless on many examples of both is shown to hold all the same.
    """
    rng = np.random.default_rng(8)
    teacher = (rng.random(300) < 0.1).astype(float)
    flawless = Scoring(higher_is_better=False).t_retention(np.zeros(300), teacher)
    poor = Scoring().t_retention(*draw(rng, 300, kept=0.3))
    assert flawless.observed == math.inf
    both = suite_retention([flawless, flawless], aggregate)
    assert both.test(0.9).judge(0.95) is Judgement.RETAINED
    mixed = suite_retention([flawless, poor], aggregate)
    assert math.isfinite(mixed.observed)
    assert mixed.interval().upper == both.interval().upper == math.inf
    assert mixed.test(20.0).judge(0.95) is not Judgement.RETAINED


def test_a_student_that_is_always_wrong_on_one_eval() -> None:
    """No logarithm of its ratio exists; the geometric mean is shown to be below all the same."""
    rng = np.random.default_rng(9)
    teacher = (rng.random(300) < 0.9).astype(float)
    evals = [(np.zeros(300), teacher), draw(rng, 300)]
    found = suite_retention(ratios(evals), "geometric")
    assert found.test(0.9).judge(0.95) is Judgement.NOT_RETAINED
    assert found.interval().lower == 0
    average = suite_retention(ratios(evals), "average_of_ratios")
    assert average.observed == pytest.approx(evals[1][0].sum() / evals[1][1].sum() / 2)
    assert average.test(0.3).judge(0.95) is Judgement.RETAINED


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_needed_settles_it(aggregate: Combined) -> None:
    """Samples of that size of the same examples pass in about 80 %, of a third in far less."""
    rng = np.random.default_rng(10)
    evals = [draw(rng, 200, kept=0.96), draw(rng, 100, kept=0.99)]
    found = suite_retention(ratios(evals), aggregate)
    floor = found.observed - 0.012
    assert found.test(floor).judge(0.95) is Judgement.UNCLEAR
    needed = found.needed(floor)
    assert needed is not None
    assert needed > found.n

    def power(factor: float) -> float:
        passed = 0
        for _ in range(200):
            again = []
            for s, t in evals:
                places = rng.integers(0, len(s), round(factor * len(s)))
                again.append((s[places], t[places]))
            test = suite_retention(ratios(again), aggregate).test(floor)
            passed += test.judge(0.95) is Judgement.RETAINED
        return passed / 200

    assert power(needed / found.n) == pytest.approx(0.8, abs=0.12)
    assert power(needed / found.n / 3) < 0.6
    assert suite_retention(ratios(evals), aggregate).needed(found.observed) is None


def counts(*evals: tuple[int, int]) -> LeastRetention:
    """Return evals of a perfect teacher: how many examples, and how many the student loses."""
    return LeastRetention(tuple(ProportionRetention(n - lost, lost, 0, 0) for n, lost in evals))


def test_the_minimum_passes_where_every_eval_does() -> None:
    """Intersection-union: p is the greatest of theirs, for a flawless student m^n."""
    found = counts((100, 0), (60, 0), (400, 2))
    assert found.test(0.95).p_retained == pytest.approx(0.95**60, rel=1e-3)
    assert found.test(0.95).judge(0.95) is Judgement.RETAINED
    assert counts((100, 0), (58, 0)).test(0.95).judge(0.95) is Judgement.UNCLEAR
    assert found.observed == 398 / 400


def test_the_minimum_fails_by_holm() -> None:
    """The least p-value counts once for each eval: what fails alone is unclear in three."""
    one = ProportionRetention(86, 14, 0, 0).test(0.92)
    assert one.p_below == pytest.approx(stats.binomtest(86, 100, 0.92, "less").pvalue, rel=0.2)
    assert one.judge(0.95) is Judgement.NOT_RETAINED
    three = counts((100, 0), (100, 14), (200, 4)).test(0.92)
    assert three.p_below == pytest.approx(3 * one.p_below, rel=1e-9)
    assert three.judge(0.95) is Judgement.UNCLEAR
    assert counts((100, 40), (300, 0)).test(0.92).judge(0.95) is Judgement.NOT_RETAINED


def test_one_eval_alone_is_its_own_test() -> None:
    """Interval, p-values and the number of examples are those of its retention."""
    ratio = ProportionRetention(180, 12, 3, 5)
    found = LeastRetention((ratio,))
    assert found.test(0.95) == ratio.test(0.95)
    assert found.needed(0.95) == ratio.needed(0.95)
    one, other = found.interval(0.9), ratio.interval(0.9)
    assert one.one_sided_lower == other.one_sided_lower
    assert one.one_sided_upper == pytest.approx(other.one_sided_upper, rel=1e-9)
    assert (one.lower, one.upper) == pytest.approx((other.lower, other.upper), rel=0.02)


def test_the_minimum_s_needed_is_the_worst_eval_s() -> None:
    """To pass, the eval that needs most decides; to fail, the one that needs least."""
    found = counts((100, 1), (1000, 1))
    needed = found.needed(0.95)
    alone = ProportionRetention(99, 1, 0, 0).needed(0.95)
    assert alone is not None
    assert needed == math.ceil(alone / 100 * 1100)
    falls = counts((100, 7), (1000, 1)).needed(0.95)
    seven = ProportionRetention(93, 7, 0, 0).needed(0.95, 0.975)
    assert seven is not None
    assert falls == math.ceil(seven / 100 * 1100)


def test_no_number_of_examples_settles_a_minimum_at_the_floor() -> None:
    """An eval that keeps just the floor never passes, however many examples the others have."""
    assert ProportionRetention(95, 5, 0, 0).needed(0.95) is None
    assert counts((100, 5), (100, 0)).needed(0.95) is None


@pytest.mark.parametrize("aggregate", AGGREGATES)
@pytest.mark.parametrize("sizes", [(50, 1000), (50,) * 5])
def test_a_student_at_the_floor_seldom_passes(aggregate: Combined, sizes: tuple[int, ...]) -> None:
    """Losses of everything on few examples, in the smallest eval alone: at most 5 % of draws.

    500 draws at 5.5 % reach 42 once in 400 times.
    """
    rng = np.random.default_rng(11)
    floor, k = 0.95, len(sizes)
    kept = floor**k if aggregate == "geometric" else 1 - k * (1 - floor)
    passed = 0
    for _ in range(500):
        evals = [draw(rng, n, 1.0, kept if i == 0 else 1.0) for i, n in enumerate(sizes)]
        test = suite_retention(ratios(evals), aggregate).test(floor)
        passed += test.judge(0.95) is Judgement.RETAINED
    assert passed <= 42


def test_an_equal_student_passes() -> None:
    """The price of that is small: as good as its teacher on 600 examples, it passes at 0.95."""
    rng = np.random.default_rng(12)
    passed = 0
    for _ in range(100):
        evals = []
        for n in (200, 200, 200):
            t = (rng.random(n) < 0.9).astype(float)
            evals.append((np.where(rng.random(n) < 0.02, 1 - t, t), t))
        test = suite_retention(ratios(evals), "ratio_of_averages").test(0.95)
        passed += test.judge(0.95) is Judgement.RETAINED
    assert passed >= 90


def test_bounds_of_the_minimum_are_where_its_test_turns() -> None:
    """P is 0.05 at the one-sided bounds, and 0.025 at the ends of the interval for the report."""
    rng = np.random.default_rng(11)
    found = LeastRetention(tuple(ratios([graded(rng, 60), graded(rng, 300)])))
    interval = found.interval()
    for bound, tail, p in (
        (interval.one_sided_lower, "p_retained", 0.05),
        (interval.one_sided_upper, "p_below", 0.05),
        (interval.lower, "p_retained", 0.025),
        (interval.upper, "p_below", 0.025),
    ):
        assert getattr(found.test(bound), tail) == pytest.approx(p, rel=1e-6)
    assert (interval.confidence, interval.n, interval.clusters) == (0.95, 360, None)
    assert interval.method == "each of 2 evals by its own test"


@pytest.mark.parametrize("aggregate", AGGREGATES)
def test_bounds_of_an_aggregate_are_where_its_test_turns(aggregate: Combined) -> None:
    """Of scores and of a perplexity together; the method names how the unseen one is counted."""
    rng = np.random.default_rng(12)
    units = np.full(80, 30.0)
    teacher = rng.uniform(60, 120, 80)
    texts = likelihood_retention(teacher + rng.normal(1, 5, 80), teacher, units, logarithmic=True)
    scores = ratios([graded(rng, 120)])
    # An average of scores takes no perplexity in.
    evals = scores * 2 if aggregate == "ratio_of_averages" else [*scores, texts]
    found = suite_retention(evals, aggregate)
    interval = found.interval(0.9)
    for bound, tail, p in (
        (interval.one_sided_lower, "p_retained", 0.1),
        (interval.one_sided_upper, "p_below", 0.1),
        (interval.lower, "p_retained", 0.025),
        (interval.upper, "p_below", 0.025),
    ):
        assert getattr(found.test(bound), tail) == pytest.approx(p, rel=1e-4)
    added = "a worst-case example" if aggregate == "ratio_of_averages" else "a guess at the worst"
    assert interval.method.startswith(f"t over 2 evals with {added}")
