"""Retention of bounded scores, corpus metrics, clusters and perplexity."""

from __future__ import annotations

import math
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sacrebleu
import scipy.optimize
import scipy.stats
from numpy.typing import NDArray
from sklearn.metrics import f1_score, matthews_corrcoef

from pytest_distill.evals.goldset import Example
from pytest_distill.evals.metrics import Answer, Metric
from pytest_distill.evals.metrics.corpus import BLEU, CHRF
from pytest_distill.evals.metrics.labels import MACRO_F1, MATTHEWS
from pytest_distill.evals.requests import Prediction
from pytest_distill.statistics.jackknife import of_mean, of_metric, t_bounds
from pytest_distill.statistics.levels import likelihood_retention
from pytest_distill.statistics.not_seen import pairs_not_seen
from pytest_distill.statistics.results import Judgement, NoRatioError
from pytest_distill.statistics.scoring import Scoring
from pytest_distill.statistics.t_retention import TRetention

Array = NDArray[np.float64]


def scores(n: int, seed: int = 0) -> tuple[Array, Array]:
    """Return scores of a student and its teacher, in [0, 1]."""
    rng = np.random.default_rng(seed)
    teacher = np.clip(rng.normal(0.8, 0.3, n), 0, 1)
    return np.clip(teacher - rng.normal(0.03, 0.2, n), 0, 1), teacher


def sum_ratio(totals: NDArray[Any]) -> Array:
    """Return a metric of two columns."""
    return np.asarray(totals[..., 0] / totals[..., 1])


def least_level(excess: Callable[[float], float]) -> float:
    """Return the least level at which a test passes, up to one half."""
    if excess(0.5) <= 0:
        return 1.0
    log = scipy.optimize.brentq(lambda x: excess(math.exp(x)), -570, math.log(0.5), xtol=1e-12)
    return math.exp(log)


def weighted_p(values: Array, unseen: float) -> float:
    """Return p of "the mean is at most 0", with the unseen value counted 1 + (z^2 - 1) / 4 times.

    z is the quantile of the level, and p the least level at which the t test passes.
    """

    def excess(level: float) -> float:
        weight = 1 + (scipy.stats.norm.isf(level) ** 2 - 1) / 4
        weights = np.append(np.ones(len(values)), weight)
        total, all_values = weights.sum(), np.append(values, unseen)
        mean = np.average(all_values, weights=weights)
        variance = np.average((all_values - mean) ** 2, weights=weights) * total / (total - 1)
        return float(mean / np.sqrt(variance / total) - scipy.stats.t.isf(level, total - 1))

    return least_level(excess)


@pytest.mark.parametrize("n", [2, 10, 300])
@pytest.mark.parametrize("floor", [0.6, 0.8, 0.95, 1.05, 1.4])
def test_p_values_are_of_a_weighted_t_test(n: int, floor: float) -> None:
    """P is a t test of S - m*T: with (0, 1) for the lower side, (1, 0) for the upper."""
    s, t = scores(n)
    test = Scoring().t_retention(s, t).test(floor)
    assert test.p_retained == pytest.approx(weighted_p(s - floor * t, -floor), rel=1e-6)
    assert test.p_below == pytest.approx(weighted_p(floor * t - s, -1.0), rel=1e-6)


@pytest.mark.parametrize("times", [1, 2])
def test_bounds_are_scipys_where_the_weight_is_whole(times: int) -> None:
    """At the levels at which the unseen example counts once, or twice, it is scipy's t test."""
    level = float(scipy.stats.norm.sf(math.sqrt(4 * (times - 1) + 1)))
    s, t = scores(60)
    interval = Scoring().t_retention(s, t).interval(1 - level)
    for bound, unseen, side in (
        (interval.one_sided_lower, (0.0, 1.0), "greater"),
        (interval.one_sided_upper, (1.0, 0.0), "less"),
    ):
        d = np.append(s, [unseen[0]] * times) - bound * np.append(t, [unseen[1]] * times)
        assert scipy.stats.ttest_1samp(d, 0, alternative=side).pvalue == pytest.approx(level)


@pytest.mark.parametrize("n", [8, 40, 1000])
def test_bounds_are_where_the_test_turns(n: int) -> None:
    """Each bound is the root, found by bisection, of p = alpha."""
    s, t = scores(n)
    retention = Scoring().t_retention(s, t)
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
    """What was not seen keeps both bounds away from 1."""
    interval = Scoring().t_retention(np.full(50, 0.8), np.full(50, 0.8)).interval()
    assert 0.9 < interval.one_sided_lower < 0.97
    assert 1.03 < interval.one_sided_upper < 1.1
    assert interval.lower < interval.one_sided_lower
    assert interval.upper > interval.one_sided_upper


@pytest.mark.parametrize("n", [2, 5, 10])
def test_a_few_scores_that_do_not_vary_show_no_loss(n: int) -> None:
    """A student that is a little under the floor on each of a few examples does not fail."""
    retention = Scoring().t_retention(np.full(n, 0.83), np.full(n, 0.9))
    assert retention.test(0.95).judge(0.95) is Judgement.UNCLEAR
    assert Scoring().t_retention(np.full(400, 0.83), np.full(400, 0.9)).test(0.95).judge(0.95) is (
        Judgement.NOT_RETAINED
    )


def test_what_cannot_be_told_is_unbounded() -> None:
    """One example bounds nothing; neither does a teacher that is not told apart from 0."""
    one = Scoring().t_retention([0.9], [1.0])
    assert (one.interval().one_sided_lower, one.interval().one_sided_upper) == (0.0, np.inf)
    assert one.test(0.5).judge(0.95) is Judgement.UNCLEAR
    few = Scoring().t_retention([0.5, 0.0, 0.1], [0.9, 0.0, 0.0])
    assert few.interval().upper == np.inf
    assert few.interval().lower == 0.0
    assert few.test(0.5).judge(0.95) is Judgement.UNCLEAR


def test_lower_bound_where_the_teacher_is_not_told_apart_from_zero() -> None:
    """It still is where the test turns, if the student is above 0 and follows the teacher not."""
    s, t = np.full(30, 0.5), np.zeros(30)
    t[:3] = 1.0
    retention = Scoring().t_retention(s, t)
    interval = retention.interval(0.99)
    assert interval.one_sided_upper == np.inf
    assert 0 < interval.one_sided_lower < retention.observed
    assert retention.test(interval.one_sided_lower).p_retained == pytest.approx(0.01)


def test_lower_is_better() -> None:
    """The ratio is turned round: teacher / student, the worst example a student's greatest."""
    s, t = scores(60)
    turned = Scoring(higher_is_better=False).t_retention(t, s)
    assert turned.interval() == Scoring().t_retention(s, t).interval()


Said = NDArray[np.int64]


def label_answers(n: int, seed: int) -> tuple[Said, Said, Said]:
    """Return gold labels, one of them rare, and what a student and a teacher say."""
    rng = np.random.default_rng(seed)
    gold = np.where(np.arange(n) < 5, 2, rng.integers(0, 2, n))
    student, teacher = (
        np.where(rng.random(n) < p, gold, rng.integers(0, 3, n)) for p in (0.75, 0.9)
    )
    return gold, student, teacher


def label_rows(gold: Said, said: Said) -> Array:
    """Return the statistics of each answer."""
    n = len(gold)
    row = np.zeros((n, 3, 3))
    row[np.arange(n), 1, said] = row[np.arange(n), 2, gold] = 1
    row[:, 0] = row[:, 1] * row[:, 2]
    return row.reshape(n, -1)


def macro_f1(gold: Said, said: Said) -> float:
    """Return scikit-learn's macro-F1."""
    return float(f1_score(gold, said, average="macro"))


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize(
    ("metric", "reference"), [(MACRO_F1, macro_f1), (MATTHEWS, matthews_corrcoef)]
)
def test_jackknife_by_brute_force(
    metric: Metric, reference: Callable[[Said, Said], float], size: int
) -> None:
    """Leaving out each example, or cluster of 4, and adding the worst one, by scikit-learn."""
    n, floor = 80, 0.7
    gold, *answers = label_answers(n, 3)
    units = np.arange(n) // size
    groups = n // size

    def pseudo(said: Said) -> Array:
        whole = reference(gold, said)
        without = [reference(gold[units != g], said[units != g]) for g in range(groups)]
        return groups * whole - (groups - 1) * np.array(without)

    def influence(said: Said, is_gold: int, says: int) -> float:
        added = [np.append(x, [y] * size) for x, y in ((gold, is_gold), (said, says))]
        return (groups + 1) * reference(*added) - groups * reference(gold, said)

    rows = [label_rows(gold, said) for said in answers]
    extremes = metric.extremes(np.concatenate(rows), None)
    clusters = None if size == 1 else units.tolist()
    scoring = Scoring(metric.range, True, metric.aggregate, extremes, clusters=clusters)
    retention = scoring.t_retention(rows[0], rows[1])
    student, teacher = answers
    assert retention.observed == pytest.approx(reference(gold, student) / reference(gold, teacher))
    wrong = [(g, p) for g in range(3) for p in range(3) if g != p]
    worst = min(influence(student, g, p) - floor * influence(teacher, g, g) for g, p in wrong)
    best = max(influence(student, g, g) - floor * influence(teacher, g, p) for g, p in wrong)
    d = pseudo(student) - floor * pseudo(teacher)
    # The estimate is the metric itself, not the mean of the pseudo-values.
    shift = reference(gold, student) - floor * reference(gold, teacher) - d.mean()
    test = retention.test(floor)
    assert test.p_retained == pytest.approx(shifted_p(d, shift, worst), rel=1e-6)
    assert test.p_below == pytest.approx(shifted_p(-d, -shift, -best), rel=1e-6)


def shifted_p(values: Array, shift: float, unseen: float) -> float:
    """Return `weighted_p` of an estimate that lies `shift` above the mean of its values."""

    def excess(level: float) -> float:
        weight = 1 + (scipy.stats.norm.isf(level) ** 2 - 1) / 4
        n = len(values)
        weights, with_unseen = np.append(np.ones(n), weight), np.append(values, unseen)
        centre = np.average(with_unseen, weights=weights)
        total = n + weight
        variance = np.average((with_unseen - centre) ** 2, weights=weights) / (total - 1)
        estimate = centre + n * shift / total
        return float(estimate / np.sqrt(variance) - scipy.stats.t.isf(level, total - 1))

    return least_level(excess)


def text_answers(predicted: list[str], references: list[str]) -> list[Answer]:
    """Return answers to texts."""
    return [
        Answer(Example(f"t{i}", {}, f"g:{i}"), Prediction(f"t{i}"), said, (reference,))
        for i, (said, reference) in enumerate(zip(predicted, references, strict=True))
    ]


@pytest.mark.parametrize("metric", [BLEU, CHRF], ids=lambda metric: metric.name)
def test_the_worst_text_by_sacrebleu(metric: Metric) -> None:
    """Adding no text, or the longest without a match, and beside it a perfect one, by sacrebleu."""
    rng = np.random.default_rng(0)
    words = ["red", "sun", "low", "far", "sea", "hat"]
    references = [" ".join(rng.choice(words, 8)) for _ in range(30)]
    said = [
        " ".join(w if rng.random() < 0.8 else "cup" for w in reference.split())
        for reference in references
    ]
    corpus = sacrebleu.corpus_bleu if metric is BLEU else sacrebleu.corpus_chrf
    rows = metric.statistics(text_answers(said, references))
    extremes = metric.extremes(rows, 40)
    found = of_metric(rows, metric.aggregate, extremes=extremes)
    whole = corpus(said, [references]).score
    assert found.estimate == pytest.approx(whole)

    def influence(text: str, reference: str) -> float:
        return float(31 * corpus([*said, text], [[*references, reference]]).score - 30 * whole)

    # No word, and no letter, of any reference; chrF takes a token for four letters.
    loop = " ".join(["quiz"] * 40) if metric is BLEU else "q" * 160
    assert found.wrong is not None
    assert found.right is not None
    assert found.wrong == pytest.approx(
        [influence("", references[0]), influence(loop, references[0])]
    )
    assert found.right == pytest.approx([influence(references[0], references[0])] * 2)
    assert found.bounded


def test_jackknife_of_a_mean_is_the_t_test() -> None:
    """The jackknife of a mean is the t test of its scores, and clusters of one are examples."""
    s, t = scores(50)
    expected = Scoring().t_retention(s, t).interval()
    rows = [np.column_stack([x, np.ones(50)]) for x in (s, t)]
    for found in (
        Scoring(aggregate=sum_ratio).t_retention(rows[0], rows[1]).interval(),
        Scoring(clusters=list(range(50))).t_retention(s, t).interval(),
    ):
        for bound in ("one_sided_lower", "one_sided_upper", "lower", "upper"):
            assert getattr(found, bound) == pytest.approx(getattr(expected, bound))


def test_jackknife_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is left out at once, the pseudo-values are the same."""
    rows = np.column_stack([scores(31)[0], np.ones(31)])
    whole = of_metric(rows, sum_ratio).values
    monkeypatch.setattr("pytest_distill.statistics.jackknife._CHUNK", 8)
    assert of_metric(rows, sum_ratio).values == pytest.approx(whole)
    assert whole == pytest.approx(of_mean(rows[:, 0]).values)


def unequal() -> tuple[Array, Array, list[str], Array]:
    """Return scores in clusters of unequal size, and the sizes."""
    s, t = scores(160)
    drawn = np.random.default_rng(1).choice(30, 160, p=np.arange(1, 31) / 465)
    names = {g: f"passage {g}" for g in drawn}
    sizes = np.array([(drawn == g).sum() for g in dict.fromkeys(drawn.tolist())], float)
    return s, t, [names[g] for g in drawn], sizes


def test_clusters_by_brute_force() -> None:
    """Delete-one-cluster jackknife of the mean of D, with a cluster of typical size, by hand."""
    s, t, labels, sizes = unequal()
    typical = (sizes**2).sum() / sizes.sum()
    groups, floor = len(sizes), 0.9
    d = s - floor * t

    def pseudo(d: Array) -> Array:
        without = [d[[label != name for label in labels]].mean() for name in dict.fromkeys(labels)]
        return np.asarray(groups * d.mean() - (groups - 1) * np.array(without))

    def influence(unseen: float) -> float:
        added = (d.sum() + typical * unseen) / (len(d) + typical)
        return float((groups + 1) * added - groups * d.mean())

    retention = Scoring(clusters=labels).t_retention(s, t)
    values = pseudo(d)
    shift = d.mean() - values.mean()
    test = retention.test(floor)
    assert test.p_retained == pytest.approx(shifted_p(values, shift, influence(-floor)))
    assert test.p_below == pytest.approx(shifted_p(-values, -shift, -influence(1.0)))
    assert retention.interval().clusters == groups
    assert retention.top.typical == pytest.approx(typical)
    assert retention.top.effective == pytest.approx(sizes.sum() ** 2 / (sizes**2).sum())


@pytest.mark.parametrize(("groups", "note"), [(9, "too few"), (39, "rough"), (40, None)])
def test_few_clusters(groups: int, note: str | None) -> None:
    """Under 40 clusters there is a note, and under 10 no confident verdict, whatever the bounds."""
    s, t = np.full(groups * 50, 0.9), np.full(groups * 50, 0.9)
    retention = Scoring(clusters=[i // 50 for i in range(groups * 50)]).t_retention(s, t)
    interval = retention.interval()
    assert [note in text for text in interval.notes if note] == [True] * len(interval.notes)
    assert bool(interval.notes) is (note is not None)
    expected = Judgement.UNCLEAR if groups < 10 else Judgement.RETAINED
    assert retention.test(0.2).judge(0.95) is expected
    assert (retention.test(0.2).p_retained == 1) is (groups < 10)


def test_clusters_count_by_their_sizes() -> None:
    """Thirty clusters of which one holds half of the examples are as few as four."""
    sizes = np.array([145, *[5] * 29])
    clusters = np.repeat(np.arange(30), sizes).tolist()
    effective = 290**2 / (145**2 + 29 * 25)
    retention = Scoring(clusters=clusters).t_retention(np.full(290, 0.9), np.full(290, 0.9))
    assert retention.top.effective == pytest.approx(effective)
    assert 3 < effective < 4
    assert retention.interval().notes == (
        "30 clusters, by their sizes as good as 3: too few to tell (at least 10 are needed)",
    )
    assert (retention.test(0.2).p_retained, retention.test(2.0).p_below) == (1, 1)


@pytest.mark.parametrize(("equal", "told"), [(9, False), (10, True)])
def test_texts_count_by_their_sizes(equal: int, told: bool) -> None:
    """Ten texts of equal length are enough for a verdict, and nine are not."""
    tokens = np.full(equal, 50.0)
    teacher = np.full(equal, 100.0)
    student = teacher + np.linspace(0.1, 0.3, equal)
    retention = likelihood_retention(student, teacher, tokens, logarithmic=True)
    assert (retention.test(0.2).judge(0.95) is Judgement.RETAINED) is told
    note = f"{equal} texts: " + (
        "under 40 the interval is rough" if told else "too few to tell (at least 10 are needed)"
    )
    assert retention.interval().notes == (note,)


def test_perplexity() -> None:
    """The ratio of perplexities, and a t test of -(nats lost) - ln(m) tokens.

    Beside what was seen a text of typical length counts, twice as far off as the furthest: of the
    texts as they are, and as they would be with that length.
    """
    rng = np.random.default_rng(0)
    tokens = rng.integers(20, 200, 40)
    teacher = tokens * rng.normal(2.0, 0.3, 40)
    student = teacher + tokens * rng.normal(0.05, 0.02, 40)
    retention = likelihood_retention(student, teacher, tokens, logarithmic=True)
    perplexities = [np.exp(x.sum() / tokens.sum()) for x in (teacher, student)]
    assert retention.observed == pytest.approx(perplexities[0] / perplexities[1])
    floor = 0.94
    typical = (tokens**2).sum() / tokens.sum()
    at_ratio = -(student - teacher) - np.log(retention.observed) * tokens
    off = np.log(retention.observed) - np.log(floor)
    d = -(student - teacher) - np.log(floor) * tokens
    for sign, p in ((1, retention.test(floor).p_retained), (-1, retention.test(floor).p_below)):
        apart = sign * at_ratio
        furthest = min(apart.min(), typical * (apart / tokens).min())
        unseen = 2 * furthest + sign * off * typical
        assert p == pytest.approx(weighted_p(sign * d, unseen), rel=1e-6)
    interval = retention.interval()
    assert retention.test(interval.one_sided_lower).p_retained == pytest.approx(0.05)
    assert retention.test(interval.one_sided_upper).p_below == pytest.approx(0.05)


def test_perplexity_of_clusters_sums_them() -> None:
    """Texts of one document are summed: the same as giving the documents."""
    rng = np.random.default_rng(0)
    tokens, teacher = rng.integers(20, 200, 60), rng.normal(200, 20, 60)
    student = teacher + rng.normal(3, 2, 60)
    split = likelihood_retention(
        student, teacher, tokens, logarithmic=True, clusters=[i // 3 for i in range(60)]
    )
    joined = [x.reshape(20, 3).sum(axis=1) for x in (student, teacher, tokens)]
    expected = likelihood_retention(*joined, logarithmic=True).test(0.98)
    assert split.test(0.98).p_retained == pytest.approx(expected.p_retained)
    assert split.test(0.98).p_below == pytest.approx(expected.p_below)
    assert split.interval().n == 60


def test_bits_per_byte() -> None:
    """The ratio of summed nats, teacher / student, and its own t test."""
    rng = np.random.default_rng(0)
    size = rng.integers(300, 500, 30)
    teacher = size * rng.normal(0.5, 0.05, 30)
    student = teacher + rng.normal(3, 2, 30)
    retention = likelihood_retention(student, teacher, size, logarithmic=False)
    observed = teacher.sum() / student.sum()
    assert retention.observed == pytest.approx(observed)
    apart = teacher - observed * student
    typical = (size**2).sum() / size.sum()
    furthest = min(apart.min(), typical * (apart / size).min())
    of_text = student.mean() * typical / size.mean()
    unseen = 2 * furthest + (observed - 0.98) * of_text
    expected = weighted_p(teacher - 0.98 * student, unseen)
    assert retention.test(0.98).p_retained == pytest.approx(expected, rel=1e-6)


def test_no_ratio() -> None:
    """A teacher at or under 0 has no ratio, nor one whose own interval includes 0 where it can."""
    with pytest.raises(NoRatioError, match=r"^the teacher scores 0, not above 0: no ratio exists$"):
        Scoring().t_retention([0.5, 0.5], [0.0, 0.0])
    gold = np.arange(30) % 2
    said = np.where(np.arange(30) % 5 < 3, gold, 1 - gold)  # right 18 of 30 times
    rows = np.zeros((30, 3, 2))
    rows[np.arange(30), 1, said] = rows[np.arange(30), 2, gold] = 1
    rows[:, 0] = rows[:, 1] * rows[:, 2]
    flat = rows.reshape(30, -1)
    assert float(MATTHEWS.aggregate(flat.sum(axis=0))) > 0
    with pytest.raises(NoRatioError, match=r"95 % interval includes 0: the ratio says nothing"):
        Scoring((-1.0, 1.0), aggregate=MATTHEWS.aggregate).t_retention(flat, flat)


def test_retention_can_be_negative() -> None:
    """A metric that can be negative has no bound at 0."""
    rng = np.random.default_rng(2)
    teacher = rng.normal(0.5, 0.2, 50)
    found = Scoring((-1.0, 1.0)).t_retention(-teacher / 2, teacher).interval()
    assert -1 < found.lower < found.one_sided_lower < -0.5


def test_bad_arrays() -> None:
    """No example, unequal numbers, clusters of another length and a NaN are errors."""
    with pytest.raises(ValueError, match="no example to judge"):
        Scoring().t_retention([], [])
    with pytest.raises(ValueError, match="1 and 2 examples: must be the same ones"):
        Scoring().t_retention([1.0], [1.0, 0.5])
    with pytest.raises(ValueError, match="1 clusters for 2 examples"):
        Scoring(clusters=["a"]).t_retention([1.0, 0.5], [1.0, 0.5])
    with pytest.raises(ValueError, match="not finite"):
        of_metric([[1.0], [2.0]], lambda totals: np.asarray(totals[..., 0] * np.nan))


def test_unbounded_metric_counts_one_twice_as_far() -> None:
    """Where a metric has no worst value one twice as far as the worst that was seen counts."""
    s, t = scores(20)
    ratio = s.mean() / t.mean()
    apart = (s - ratio * t).min()
    unseen = 2 * apart + (ratio - 0.5) * t.mean()
    found = Scoring((0, np.inf)).t_retention(s, t)
    assert found.test(0.5).p_retained == pytest.approx(weighted_p(s - 0.5 * t, unseen), rel=1e-6)
    assert found.interval().method == "t with a guess at the worst example"


def test_twice_as_far_by_hand() -> None:
    """Gaps 1, 0 and -1 at a ratio of 1: the worst text is 2 under the mean, the best 2 above."""
    student, teacher = of_mean([5.0, 6.0, 7.0]), of_mean([4.0, 6.0, 8.0])
    worst, best = pairs_not_seen(student, teacher)
    assert worst is not None
    assert best is not None
    assert worst.tolist() == [[4.0, 6.0]]
    assert best.tolist() == [[8.0, 6.0]]


def test_unbounded_metric_of_which_nothing_varies() -> None:
    """One text, or texts that are all alike, say nothing of the worst: there is no lower bound."""
    alike = np.linspace(10, 30, 12)
    for few in (slice(1), slice(12)):
        retention = likelihood_retention(alike[few], alike[few], np.ones(12)[few], logarithmic=True)
        assert retention.interval().one_sided_lower == 0
        assert retention.test(0.5).p_retained == 1
        assert retention.needed(0.5) is None
    test = Scoring((0, np.inf)).t_retention(alike, alike).test(0.5)
    assert test.judge(0.95) is Judgement.UNCLEAR


def test_tiny_scores_are_scores() -> None:
    """Scores near 1e-200 are judged as the same scores times 1e200."""
    s, t = (x + 0.1 for x in scores(30))
    large, tiny = (Scoring((0, np.inf)).t_retention(s * k, t * k) for k in (1.0, 1e-200))
    for floor in (0.7, 0.9, 1.1):
        assert tiny.test(floor).p_retained == pytest.approx(large.test(floor).p_retained)
        assert tiny.test(floor).p_below == pytest.approx(large.test(floor).p_below)
        assert tiny.needed(floor) == large.needed(floor)
    for bound in ("one_sided_lower", "one_sided_upper", "lower", "upper"):
        found, expected = (getattr(x.interval(), bound) for x in (tiny, large))
        assert found == pytest.approx(expected)


def test_no_error_where_lower_is_better() -> None:
    """The ratio is infinite: told where the metric has a worst value, and untold where it has none.

    60 examples of which the teacher errs by .133 on average, and one not seen on which the student
    errs by 1 and the teacher not at all.
    """
    student, teacher = np.zeros(60), np.repeat([0.0, 0.1, 0.3], 20)
    bounded = Scoring(higher_is_better=False).t_retention(student, teacher)
    assert bounded.observed == math.inf
    expected = weighted_p(teacher, -0.95)
    assert bounded.test(0.95).p_retained == pytest.approx(expected, rel=1e-6)
    assert bounded.test(0.95).judge(0.95) is Judgement.RETAINED
    assert (
        0.95 < bounded.interval().one_sided_lower < bounded.interval().one_sided_upper == math.inf
    )
    unbounded = Scoring((0, math.inf), higher_is_better=False).t_retention(student, teacher)
    assert unbounded.observed == math.inf
    assert unbounded.test(0.95).judge(0.95) is Judgement.UNCLEAR
    assert unbounded.interval().one_sided_lower == 0


@pytest.mark.parametrize("kind", ["mean", "labels", "clusters", "perplexity"])
def test_hundred_thousand_examples_are_quick(kind: str) -> None:
    """An interval for 100,000 examples takes well under a second."""
    s, t = scores(100_000)
    rows = [np.column_stack([x, np.ones_like(x)]) for x in (s, t)]
    made: dict[str, Any] = {
        "mean": lambda: Scoring().t_retention(s, t),
        "labels": lambda: Scoring(aggregate=sum_ratio).t_retention(rows[0], rows[1]),
        "clusters": lambda: Scoring(clusters=[i // 7 for i in range(100_000)]).t_retention(s, t),
        "perplexity": lambda: likelihood_retention(2 - s, 2 - t, np.ones_like(s), logarithmic=True),
    }  # fmt: skip
    start = time.thread_time()
    retention: TRetention = made[kind]()
    assert retention.interval().one_sided_lower < retention.observed
    assert time.thread_time() - start < 1


def test_importing_is_light() -> None:
    """Neither scipy.stats nor anything of the models is imported."""
    code = (
        "import importlib, pkgutil, sys, pytest_distill.statistics as of\n"
        "for module in pkgutil.iter_modules(of.__path__, of.__name__ + '.'):\n"
        "    importlib.import_module(module.name)\n"
        "heavy = ('scipy.stats', 'torch', 'transformers', 'pytest', 'pytest_distill.evals')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def turns(retention: TRetention, low: float, high: float) -> tuple[float, float]:
    """Return where, by bisection, the p-values of the lower and the upper side are 0.05."""
    found = retention.observed
    lower = scipy.optimize.brentq(lambda m: retention.test(m).p_retained - 0.05, low, found)
    upper = scipy.optimize.brentq(lambda m: retention.test(m).p_below - 0.05, found, high)
    return lower, upper


@pytest.mark.parametrize("power", [0.5, 2.0, 5.0])
def test_bounds_of_a_student_that_loses_where_the_teacher_is_weak_or_strong(power: float) -> None:
    """However losses go with the teacher's scores, each bound is where the test turns."""
    teacher = np.random.default_rng(1).uniform(0.2, 1, 200)
    retention = Scoring().t_retention(teacher**power, teacher)
    interval = retention.interval()
    expected = turns(retention, 0.0, 5.0)
    assert (interval.one_sided_lower, interval.one_sided_upper) == pytest.approx(expected)


def test_a_teacher_that_may_score_nothing_bounds_from_below_alone() -> None:
    """Its mean is not told apart from 0: the ratio may be any, but the student's is not small."""
    teacher = np.array([1.0, *[0.0] * 19])
    student = np.linspace(0.4, 0.9, 20)
    retention = Scoring().t_retention(student, teacher)
    interval = retention.interval()
    assert interval.one_sided_upper == math.inf
    lower = scipy.optimize.brentq(
        lambda m: retention.test(m).p_retained - 0.05, 0.5, retention.observed
    )
    assert interval.one_sided_lower == pytest.approx(lower)


def test_two_units_are_enough_for_student_s_t() -> None:
    """Their mean has scipy's t interval of one degree of freedom; one alone has none."""
    expected = scipy.stats.t.interval(0.95, 1, 0.4, scipy.stats.sem([0.2, 0.6]))
    assert t_bounds(of_mean([0.2, 0.6]), 0.975) == pytest.approx(expected)
    assert t_bounds(of_mean([0.2]), 0.975) == (-math.inf, math.inf)


@pytest.mark.parametrize("higher", [True, False])
@pytest.mark.parametrize("floor", [0.8, 0.95])
def test_from_least_on_a_student_that_is_as_good_passes(floor: float, higher: bool) -> None:
    """So many examples of the teacher's own scores hold the floor, and a tenth fewer do not."""
    scores = np.random.default_rng(3).uniform(0.1, 0.9, 20)
    alike = Scoring(higher_is_better=higher).t_retention(scores, scores)
    least = alike.least(floor)
    assert least is not None
    for share, passes in ((0.9, False), (1.1, True)):
        times = share * least / len(scores)
        many = np.resize(scores, round(times * len(scores)))
        test = Scoring(higher_is_better=higher).t_retention(many, many).test(floor)
        assert (test.judge(0.95) is Judgement.RETAINED) is passes
    surer = alike.least(floor, 0.99)
    assert surer is not None
    assert surer > least
    assert alike.least(1.0) is None
    worse = scores * (0.7 if higher else 1.1)
    assert Scoring(higher_is_better=higher).t_retention(worse, scores).least(floor) == least
    per_cent = Scoring((0, 100), higher_is_better=higher).t_retention(100 * scores, 100 * scores)
    assert per_cent.least(floor) == least


def test_a_number_is_told_of_no_metric_that_has_no_worst() -> None:
    """Of perplexity nobody knows how bad a text can be, so how many would do is not told."""
    nats, units = np.random.default_rng(4).uniform(20, 60, 50), np.full(50, 20.0)
    assert likelihood_retention(nats, nats, units, logarithmic=True).least(0.9) is None


def test_the_examples_that_perplexity_needs_would_settle_it() -> None:
    """Its logarithm is what is tested: so many texts of the same kind show the floor."""
    rng = np.random.default_rng(5)
    units = np.full(40, 30.0)
    teacher = rng.uniform(60, 120, 40)
    student = teacher + rng.normal(1.2, 6, 40)
    few = likelihood_retention(student, teacher, units, logarithmic=True)
    assert few.test(0.93).judge(0.95) is Judgement.UNCLEAR
    needed = few.needed(0.93)
    assert needed is not None
    assert 40 < needed < 4000
    times = math.ceil(needed / 40) + 1
    more = likelihood_retention(
        *(np.tile(x, times) for x in (student, teacher, units)), logarithmic=True
    )
    assert more.test(0.93).judge(0.95) is Judgement.RETAINED


def test_a_perplexity_beyond_all_numbers_is_infinitely_worse() -> None:
    """A student that is a thousand nats a token better is told as infinite, and is no error."""
    units = np.ones(40)
    better = likelihood_retention(
        np.full(40, 1.0), np.full(40, 1000.0) + np.arange(40), units, logarithmic=True
    )
    assert better.observed == math.inf


def test_clusters_of_texts_are_counted_and_told() -> None:
    """A perplexity over clusters says of how many, and under ten of them shows nothing."""
    rng = np.random.default_rng(6)
    teacher, units = rng.uniform(20, 60, 80), np.full(80, 20.0)
    student = teacher + rng.normal(0.1, 0.5, 80)
    for groups in (8, 20):
        clusters = [str(n % groups) for n in range(80)]
        found = likelihood_retention(student, teacher, units, logarithmic=True, clusters=clusters)
        interval = found.interval()
        assert (interval.n, interval.clusters) == (80, groups)
        assert (found.test(0.5).judge(0.95) is Judgement.RETAINED) is (groups == 20)
        assert any(note.startswith(f"{groups} clusters") for note in interval.notes)


def test_a_student_below_zero_has_no_ratio_where_lower_is_better() -> None:
    """There it is the denominator; where higher is better it merely retains less than nothing."""
    good, bad = np.full(30, 0.5) + np.arange(30) / 1000, -np.full(30, 0.5)
    with pytest.raises(NoRatioError, match=r"the student scores -0\.5, below 0"):
        Scoring((-1.0, 1.0), higher_is_better=False).t_retention(bad, good)
    assert Scoring((-1.0, 1.0)).t_retention(bad, good).observed < 0
