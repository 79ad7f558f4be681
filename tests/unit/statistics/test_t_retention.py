"""Retention of bounded scores, corpus metrics, clusters and perplexity."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from pytest_distill.evals.metrics.labels import MACRO_F1, MATTHEWS
from pytest_distill.verdicts.statistics import (
    Judgement,
    NoRatioError,
    TRetention,
    bits_per_byte_retention,
    mean_retention,
    metric_retention,
    of_mean,
    of_metric,
    perplexity_retention,
)

Array = NDArray[np.float64]


def scores(n: int, seed: int = 0) -> tuple[Array, Array]:
    """Return scores of a student and its teacher, in [0, 1]."""
    rng = np.random.default_rng(seed)
    teacher = np.clip(rng.normal(0.8, 0.3, n), 0, 1)
    return np.clip(teacher - rng.normal(0.03, 0.2, n), 0, 1), teacher


def sum_ratio(totals: NDArray[Any]) -> Array:
    """Return a metric of two columns."""
    return np.asarray(totals[..., 0] / totals[..., 1])


@pytest.mark.parametrize("n", [2, 10, 300])
@pytest.mark.parametrize("floor", [0.8, 0.95, 1.05])
def test_p_values_are_ttest_1samps(n: int, floor: float) -> None:
    """P is scipy's one-sample t test of S - m*T: with (0, 1) appended for the lower side."""
    s, t = scores(n)
    test = mean_retention(s, t).test(floor)
    appended = np.append(s, 0) - floor * np.append(t, 1)
    greater = scipy.stats.ttest_1samp(appended, 0, alternative="greater").pvalue
    assert test.p_retained == pytest.approx(greater)
    less = scipy.stats.ttest_1samp(s - floor * t, 0, alternative="less").pvalue
    assert test.p_below == pytest.approx(less)


@pytest.mark.parametrize("n", [8, 40, 1000])
def test_bounds_are_where_the_test_turns(n: int) -> None:
    """Each bound is the root, found by bisection, of p = alpha."""
    s, t = scores(n)
    retention = mean_retention(s, t)
    interval = retention.interval(0.9)

    def root(tail: str, alpha: float, low: float, high: float) -> float:
        def excess(m: float) -> float:
            return float(getattr(retention.test(m), tail)) - alpha

        return float(scipy.optimize.brentq(excess, low, high, xtol=1e-13))

    r = retention.observed
    assert interval.one_sided_lower == pytest.approx(root("p_retained", 0.1, 0, r))
    assert interval.lower == pytest.approx(root("p_retained", 0.025, 0, r))
    assert interval.one_sided_upper == pytest.approx(root("p_below", 0.1, r, 50))
    assert interval.upper == pytest.approx(root("p_below", 0.025, r, 50))
    assert interval.confidence == 0.9
    assert interval.n == n


def test_identical_scores_are_never_certain() -> None:
    """The appended example keeps the lower bound under 1; the upper side has no variance."""
    interval = mean_retention(np.full(50, 0.8), np.full(50, 0.8)).interval()
    assert 0.8 < interval.one_sided_lower < 0.97
    assert interval.one_sided_upper == 1


def test_what_cannot_be_told_is_unbounded() -> None:
    """One example bounds nothing; neither does a teacher that is not told apart from 0."""
    one = mean_retention([0.9], [1.0]).interval()
    assert (one.one_sided_lower, one.one_sided_upper) == (0.0, np.inf)
    few = mean_retention([0.5, 0.0, 0.1], [0.9, 0.0, 0.0])
    assert few.interval().upper == np.inf
    assert few.interval().lower == 0.0
    assert few.interval().judge(0.5) is Judgement.UNCLEAR


def test_lower_bound_where_the_teacher_is_not_told_apart_from_zero() -> None:
    """It still is where the test turns, if the student is above 0 and follows the teacher not."""
    s, t = np.full(30, 0.5), np.zeros(30)
    t[:3] = 1.0
    retention = mean_retention(s, t)
    interval = retention.interval(0.99)
    assert interval.one_sided_upper == np.inf
    assert 0 < interval.one_sided_lower < retention.observed
    assert retention.test(interval.one_sided_lower).p_retained == pytest.approx(0.01)


def test_lower_is_better() -> None:
    """The ratio is turned round: teacher / student, the worst example a student's greatest."""
    s, t = scores(60)
    turned = mean_retention(t, s, higher_is_better=False)
    assert turned.interval() == mean_retention(s, t).interval()


def test_jackknife_by_brute_force() -> None:
    """Leaving out each example in turn, by scikit-learn's macro-F1, gives the same p-value."""
    rng = np.random.default_rng(3)
    gold = rng.integers(0, 3, 60)
    answers = [np.where(rng.random(60) < p, gold, rng.integers(0, 3, 60)) for p in (0.75, 0.9)]
    rows = []
    for said in answers:
        row = np.zeros((60, 3, 3))
        row[np.arange(60), 1, said] = row[np.arange(60), 2, gold] = 1
        row[:, 0] = row[:, 1] * row[:, 2]
        rows.append(row.reshape(60, -1))
    floor, n = 0.9, 60

    def macro_f1(said: NDArray[np.int64], kept: NDArray[np.bool_]) -> float:
        return float(f1_score(gold[kept], said[kept], average="macro"))

    def d(kept: NDArray[np.bool_]) -> float:
        student, teacher = (macro_f1(said, kept) for said in answers)
        return student - floor * teacher

    whole = np.ones(n, bool)
    without = np.array([d(np.arange(n) != i) for i in range(n)])
    error = np.sqrt((n - 1) / n * ((without - without.mean()) ** 2).sum())
    retention = metric_retention(rows[0], rows[1], MACRO_F1.aggregate)
    assert retention.observed == pytest.approx(
        macro_f1(answers[0], whole) / macro_f1(answers[1], whole)
    )
    expected = scipy.stats.t.cdf(d(whole) / error, n - 1)
    assert retention.test(floor).p_below == pytest.approx(expected)
    # The appended pseudo-value of D is 0 - 0.9 * 1.
    pseudo = np.append(n * d(whole) - (n - 1) * without, -floor)
    centre = (n * d(whole) - floor) / (n + 1)
    statistic = centre / (pseudo.std(ddof=1) / np.sqrt(n + 1))
    assert retention.test(floor).p_retained == pytest.approx(scipy.stats.t.sf(statistic, n))


def test_jackknife_of_a_mean_is_the_t_test() -> None:
    """The jackknife of a mean is the t test of its scores, and clusters of one are examples."""
    s, t = scores(50)
    expected = mean_retention(s, t).interval()
    rows = [np.column_stack([x, np.ones(50)]) for x in (s, t)]
    for found in (
        metric_retention(rows[0], rows[1], sum_ratio).interval(),
        mean_retention(s, t, clusters=list(range(50))).interval(),
    ):
        for bound in ("one_sided_lower", "one_sided_upper", "lower", "upper"):
            assert getattr(found, bound) == pytest.approx(getattr(expected, bound))


def test_jackknife_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is left out at once, the pseudo-values are the same."""
    rows = np.column_stack([scores(31)[0], np.ones(31)])
    whole = of_metric(rows, sum_ratio).values
    monkeypatch.setattr("pytest_distill.verdicts.statistics.jackknife._CHUNK", 8)
    assert of_metric(rows, sum_ratio).values == pytest.approx(whole)
    assert whole == pytest.approx(of_mean(rows[:, 0]).values)


def test_clusters_by_brute_force() -> None:
    """Delete-one-cluster jackknife of the mean of D, of clusters of unequal size, by hand."""
    s, t = scores(90)
    labels = [f"passage {i}" for i in np.random.default_rng(1).integers(0, 15, 90)]
    names = sorted(set(labels))
    groups, d = len(names), s - 0.9 * t
    without = np.array([d[[label != name for label in labels]].mean() for name in names])
    error = np.sqrt((groups - 1) / groups * ((without - without.mean()) ** 2).sum())
    retention = mean_retention(s, t, clusters=labels)
    expected = scipy.stats.t.cdf(d.mean() / error, groups - 1)
    assert retention.test(0.9).p_below == pytest.approx(expected)
    assert retention.interval().clusters == groups


@pytest.mark.parametrize(("groups", "note"), [(9, "too few"), (39, "rough"), (40, None)])
def test_few_clusters(groups: int, note: str | None) -> None:
    """Under 40 clusters there is a note, and under 10 no confident verdict, whatever the bounds."""
    s, t = np.full(groups * 50, 0.9), np.full(groups * 50, 0.9)
    retention = mean_retention(s, t, clusters=[i // 50 for i in range(groups * 50)])
    interval = retention.interval()
    assert [note in text for text in interval.notes if note] == [True] * len(interval.notes)
    assert bool(interval.notes) is (note is not None)
    assert interval.judge(0.2) is (Judgement.UNCLEAR if groups < 10 else Judgement.RETAINED)
    assert (retention.test(0.2).p_retained == 1) is (groups < 10)


def test_perplexity() -> None:
    """The ratio of perplexities, and scipy's t test of -(nats lost) - ln(m) tokens."""
    rng = np.random.default_rng(0)
    tokens = rng.integers(20, 200, 40)
    teacher = tokens * rng.normal(2.0, 0.3, 40)
    student = teacher + tokens * rng.normal(0.05, 0.02, 40)
    retention = perplexity_retention(student, teacher, tokens)
    perplexities = [np.exp(x.sum() / tokens.sum()) for x in (teacher, student)]
    assert retention.observed == pytest.approx(perplexities[0] / perplexities[1])
    d = -(student - teacher) - np.log(0.94) * tokens
    less = scipy.stats.ttest_1samp(d, 0, alternative="less").pvalue
    assert retention.test(0.94).p_below == pytest.approx(less)
    at_ratio = -(student - teacher) - np.log(retention.observed) * tokens
    twice = np.append(d, d[np.argmin(at_ratio)])
    greater = scipy.stats.ttest_1samp(twice, 0, alternative="greater").pvalue
    assert retention.test(0.94).p_retained == pytest.approx(greater)
    interval = retention.interval()
    assert retention.test(interval.one_sided_lower).p_retained == pytest.approx(0.05)
    assert retention.test(interval.one_sided_upper).p_below == pytest.approx(0.05)


def test_perplexity_of_clusters_sums_them() -> None:
    """Texts of one document are summed: the same as giving the documents."""
    rng = np.random.default_rng(0)
    tokens, teacher = rng.integers(20, 200, 60), rng.normal(200, 20, 60)
    student = teacher + rng.normal(3, 2, 60)
    split = perplexity_retention(student, teacher, tokens, clusters=[i // 3 for i in range(60)])
    joined = [x.reshape(20, 3).sum(axis=1) for x in (student, teacher, tokens)]
    expected = perplexity_retention(*joined).test(0.98)
    assert split.test(0.98).p_retained == pytest.approx(expected.p_retained)
    assert split.test(0.98).p_below == pytest.approx(expected.p_below)
    assert split.interval().n == 60


def test_bits_per_byte() -> None:
    """The ratio of summed nats, teacher / student, and its own t test."""
    rng = np.random.default_rng(0)
    teacher = rng.normal(200, 20, 30)
    student = teacher + rng.normal(3, 2, 30)
    retention = bits_per_byte_retention(student, teacher)
    assert retention.observed == pytest.approx(teacher.sum() / student.sum())
    less = scipy.stats.ttest_1samp(teacher - 0.99 * student, 0, alternative="less").pvalue
    assert retention.test(0.99).p_below == pytest.approx(less)


def test_no_ratio() -> None:
    """A teacher at or under 0 has no ratio, nor one whose own interval includes 0 where it can."""
    with pytest.raises(NoRatioError, match=r"^the teacher scores 0, not above 0: no ratio exists$"):
        mean_retention([0.5, 0.5], [0.0, 0.0])
    gold = np.arange(30) % 2
    said = np.where(np.arange(30) % 5 < 3, gold, 1 - gold)  # right 18 of 30 times
    rows = np.zeros((30, 3, 2))
    rows[np.arange(30), 1, said] = rows[np.arange(30), 2, gold] = 1
    rows[:, 0] = rows[:, 1] * rows[:, 2]
    flat = rows.reshape(30, -1)
    assert float(MATTHEWS.aggregate(flat.sum(axis=0))) > 0
    with pytest.raises(NoRatioError, match=r"95 % interval includes 0: the ratio says nothing"):
        metric_retention(flat, flat, MATTHEWS.aggregate, (-1.0, 1.0))


def test_retention_can_be_negative() -> None:
    """A metric that can be negative has no bound at 0."""
    rng = np.random.default_rng(2)
    teacher = rng.normal(0.5, 0.2, 50)
    found = mean_retention(-teacher / 2, teacher, (-1.0, 1.0)).interval()
    assert -1 < found.lower < found.one_sided_lower < -0.5


def test_bad_arrays() -> None:
    """No example, unequal numbers, clusters of another length and a NaN are errors."""
    with pytest.raises(ValueError, match="no example to judge"):
        mean_retention([], [])
    with pytest.raises(ValueError, match="1 and 2 examples: must be the same ones"):
        mean_retention([1.0], [1.0, 0.5])
    with pytest.raises(ValueError, match="1 clusters for 2 examples"):
        mean_retention([1.0, 0.5], [1.0, 0.5], clusters=["a"])
    with pytest.raises(ValueError, match="not finite"):
        of_metric([[1.0], [2.0]], lambda totals: np.asarray(totals[..., 0] * np.nan))


def test_unbounded_metric_counts_the_worst_example_twice() -> None:
    """Where a metric has no worst value the worst example seen stands in for it."""
    s, t = scores(20)
    d = s - 0.5 * t
    worst = np.argmin(s - s.mean() / t.mean() * t)
    expected = scipy.stats.ttest_1samp(np.append(d, d[worst]), 0, alternative="greater").pvalue
    assert mean_retention(s, t, (0, np.inf)).test(0.5).p_retained == pytest.approx(expected)


def test_unbounded_metric_of_which_nothing_varies() -> None:
    """One text, or texts that are all alike, say nothing of the worst: there is no lower bound."""
    alike = np.array([10.0, 20.0, 30.0])
    for few in (slice(1), slice(3)):
        retention = perplexity_retention(alike[few], alike[few], np.ones(3)[few])
        assert retention.interval().one_sided_lower == 0
        assert retention.test(0.5).p_retained == 1
        assert retention.needed(0.5) is None
    assert mean_retention(alike, alike, (0, np.inf)).interval().judge(0.5) is Judgement.UNCLEAR


@pytest.mark.parametrize("kind", ["mean", "labels", "clusters", "perplexity"])
def test_hundred_thousand_examples_are_quick(kind: str) -> None:
    """An interval for 100,000 examples takes well under a second."""
    s, t = scores(100_000)
    made: dict[str, Any] = {
        "mean": lambda: mean_retention(s, t),
        "labels": lambda: metric_retention(
            np.column_stack([s, np.ones_like(s)]), np.column_stack([t, np.ones_like(t)]),
            sum_ratio,
        ),
        "clusters": lambda: mean_retention(s, t, clusters=[i // 7 for i in range(100_000)]),
        "perplexity": lambda: perplexity_retention(2 - s, 2 - t, np.ones_like(s)),
    }  # fmt: skip
    start = time.process_time()
    retention: TRetention = made[kind]()
    assert retention.interval().one_sided_lower < retention.observed
    assert time.process_time() - start < 1


def test_importing_is_light() -> None:
    """Neither scipy.stats nor anything of the models is imported."""
    code = (
        "import sys, pytest_distill.verdicts.statistics\n"
        "heavy = ('scipy.stats', 'torch', 'transformers', 'pytest', 'pytest_distill.evals')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
