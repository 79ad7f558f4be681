"""What the examples say beyond the observed numbers: which test suits which metric."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pytest_distill import statistics
from pytest_distill.comparison.comparison import Comparison, Selection
from pytest_distill.errors import ComparisonError
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.metrics import MeanMetric, Metric
from pytest_distill.evaluation.evaluation import MeasuredEvaluation, ReportedEval
from pytest_distill.statistics import (
    Combined,
    Extremes,
    GapRecovered,
    LeastRetention,
    Level,
    NoRatioError,
    PairedTest,
    PseudoValues,
    Rate,
    Retention,
    SuiteRetention,
    TRetention,
)


def retention_evidence(
    comparison: Comparison, metric: Metric, selection: Selection = None, model: str = "student"
) -> Retention | None:
    """Return the evidence on a model's retention; None where only scores are known.

    Raises
    ------
    ComparisonError
        Where no ratio exists, or the teacher is not told apart from zero.
    """
    pair = measured_pair(comparison, model, "teacher")
    if pair is None:
        return None
    with _refusing(comparison, metric):
        return _retention(*pair, metric, comparison, selection)


@contextmanager
def _refusing(comparison: Comparison, metric: Metric) -> Iterator[None]:
    """Let what the examples cannot tell be the error of the gate that asks: no ratio, no number."""
    try:
        yield
    except ValueError as error:
        raise ComparisonError(f"{metric.name} on '{comparison.eval}': {error}") from None


def measured_pair(
    comparison: Comparison, one: str, other: str
) -> tuple[MeasuredEvaluation, MeasuredEvaluation] | None:
    """Return two evaluations; None where one of them has only scores."""
    first, second = comparison.evaluation(one), comparison.evaluation(other)
    if isinstance(first, MeasuredEvaluation) and isinstance(second, MeasuredEvaluation):
        return first, second
    return None


def _retention(
    student: MeasuredEvaluation,
    teacher: MeasuredEvaluation,
    metric: Metric,
    comparison: Comparison,
    selection: Selection,
) -> Retention:
    if not isinstance(metric, MeanMetric):
        return _t_retention(student, teacher, metric, comparison, selection)
    chosen = comparison.positions(selection)
    s, t = (e.scores(metric)[chosen] for e in (student, teacher))
    return retention_of_means(s, t, metric, clusters_of(comparison, chosen))


def _t_retention(
    student: MeasuredEvaluation,
    teacher: MeasuredEvaluation,
    metric: Metric,
    comparison: Comparison,
    selection: Selection,
) -> TRetention:
    chosen = comparison.positions(selection)
    clusters = clusters_of(comparison, chosen)
    higher = metric.higher_is_better
    if isinstance(metric, MeanMetric):
        s, t = (e.scores(metric)[chosen] for e in (student, teacher))
        return statistics.mean_retention(
            s, t, metric.range, higher_is_better=higher, clusters=clusters
        )
    s, t = (rows[chosen] for rows in _rows(metric, student, teacher))
    same_units = metric.per_unit is not None and (s[:, 1] == t[:, 1]).all()
    if same_units and metric.per_unit == "exp":
        return statistics.perplexity_retention(s[:, 0], t[:, 0], s[:, 1], clusters=clusters)
    if same_units:
        return statistics.bits_per_byte_retention(s[:, 0], t[:, 0], s[:, 1], clusters=clusters)
    return statistics.metric_retention(
        s,
        t,
        metric.aggregate,
        metric.range,
        extremes=extremes_of(metric, comparison.on, s, t),
        higher_is_better=higher,
        clusters=clusters,
    )


def _rows(
    metric: Metric, first: MeasuredEvaluation, *others: MeasuredEvaluation
) -> list[NDArray[np.float64]]:
    """Return the statistics of several models, with the same columns where extremes have these."""
    if metric.knows_extremes:
        return first.statistics_beside(metric, *others)
    return [model.statistics(metric) for model in (first, *others)]


def extremes_of(
    metric: Metric, on: Eval | ReportedEval, *statistics: NDArray[np.float64]
) -> Extremes | None:
    """Return what one more example can be at worst and at best; None where that is not known.

    Parameters
    ----------
    metric : Metric
        What is measured.
    on : Eval or ReportedEval
        Bounds the length of an answer.
    statistics : ndarray, shape (n, k)
        Of the models, with the same columns.
    """
    if not metric.knows_extremes:
        return None
    longest = on.task.longest if isinstance(on, Eval) else None
    return metric.extremes(np.concatenate(statistics), longest)


def retention_of_means(
    student: NDArray[np.float64],
    teacher: NDArray[np.float64],
    metric: Metric,
    clusters: Sequence[str] | None,
) -> Retention:
    """Return the evidence on the retention of a mean, from each example's own scores."""
    higher = metric.higher_is_better
    if clusters is None and zero_or_one(student, teacher):
        return statistics.proportion_retention(student, teacher, higher_is_better=higher)
    return statistics.mean_retention(
        student, teacher, metric.range, higher_is_better=higher, clusters=clusters
    )


def score_evidence(
    comparison: Comparison, model: str, metric: Metric, selection: Selection = None
) -> Rate | Level | None:
    """Return the evidence on one model's score; None where only scores are known.

    Raises
    ------
    ComparisonError
        Where the metric is no number without one of the examples.
    """
    evaluation = comparison.evaluation(model)
    if not isinstance(evaluation, MeasuredEvaluation):
        return None
    chosen = comparison.positions(selection)
    clusters, higher = clusters_of(comparison, chosen), metric.higher_is_better
    if metric.per_unit is not None:
        totals, units = evaluation.statistics(metric)[chosen].T
        logarithmic = metric.per_unit == "exp"
        return statistics.likelihood_level(
            totals, units, metric.range, logarithmic=logarithmic, clusters=clusters
        )
    if isinstance(metric, MeanMetric) and clusters is None and metric.range == (0.0, 1.0):
        scores = evaluation.scores(metric)[chosen]
        if zero_or_one(scores):
            worst = 0.0 if higher else 1.0
            return Rate(scores, scores, np.ones(len(scores)), higher_is_better=higher, worst=worst)
    with _refusing(comparison, metric):
        found = pseudo_values(comparison, [model], metric, selection)
    return None if found is None else statistics.score_level(found[0], metric.range, higher)


def lost_rate(comparison: Comparison, lost: Collection[str], selection: Selection = None) -> Rate:
    """Return the evidence on the share of examples that are lost, by their ids."""
    chosen = comparison.positions(selection)
    examples = comparison.on.gold.examples if isinstance(comparison.on, Eval) else ()
    ids = set(lost)
    hits = np.array([float(examples[place].id in ids) for place in chosen])
    clusters = clusters_of(comparison, chosen)
    ones = np.ones(len(hits))
    return Rate(hits, hits, ones, higher_is_better=False, worst=1.0, clusters=clusters)


def suite_evidence(
    comparisons: Sequence[Comparison], aggregate: Combined | Literal["minimum"]
) -> SuiteRetention | LeastRetention | None:
    """Return the evidence on an aggregate of retention over evals; None for reported scores.

    Of one eval all aggregates are its own retention.

    Raises
    ------
    ComparisonError
        Where no ratio exists, or a teacher is not told apart from zero.
    """
    if not all(comparison.measured() for comparison in comparisons):
        return None
    if aggregate == "minimum" or len(comparisons) == 1:
        found = [(retention_evidence(each, each.metric()), each.n() or 0) for each in comparisons]
        return LeastRetention(tuple((ratio, n) for ratio, n in found if ratio is not None))
    ratio_of = _scores_beside if aggregate == "ratio_of_averages" else _t_evidence
    ratios = [ratio_of(comparison) for comparison in comparisons]
    return statistics.suite_retention([r for r in ratios if r is not None], aggregate)


def _scores_beside(comparison: Comparison) -> TRetention | None:
    """Return student's beside teacher's score, whether their own ratio says something or not."""
    metric = comparison.metric()
    with _refusing(comparison, metric):
        values = pseudo_values(comparison, ("student", "teacher"), metric)
    if values is None:
        return None
    student, teacher = values
    return statistics.ratio_test(student, teacher, -math.inf, "t")


def _t_evidence(comparison: Comparison) -> TRetention | None:
    """Return the t test of an eval's retention, of 0/1 scores too: a sum needs means."""
    metric = comparison.metric()
    pair = measured_pair(comparison, "student", "teacher")
    with _refusing(comparison, metric):
        return None if pair is None else _t_retention(*pair, metric, comparison, None)


def paired_test(
    comparison: Comparison,
    metric: Metric,
    min_gain: float,
    *,
    mid_p: bool = False,
    selection: Selection = None,
) -> PairedTest | None:
    """Test whether the student is better than the SFT student; None where only scores are known."""
    pair = measured_pair(comparison, "student", "sft")
    if pair is None:
        return None
    student, sft = pair
    chosen = comparison.positions(selection)
    clusters = clusters_of(comparison, chosen)
    higher = metric.higher_is_better
    s, o = (e.scores(metric)[chosen] for e in (student, sft))
    if isinstance(metric, MeanMetric):
        if clusters is None and zero_or_one(s, o):
            better, worse = (s, o) if higher else (o, s)
            return statistics.proportion_test(better, worse, min_gain, mid_p=mid_p)
        return statistics.sign_flip_test(
            s, o, min_gain, range=metric.range, higher_is_better=higher, clusters=clusters
        )
    mine, theirs = (rows[chosen] for rows in student.statistics_beside(metric, sft))
    return statistics.randomization_test(
        mine,
        theirs,
        metric.aggregate,
        min_gain,
        range=metric.range,
        extremes=extremes_of(metric, comparison.on, mine, theirs),
        example_gains=s - o if higher else o - s,
        higher_is_better=higher,
        clusters=clusters,
    )


def gap_recovered(
    comparison: Comparison, metric: Metric, selection: Selection = None
) -> GapRecovered | None:
    """Return which share of the gap between SFT student and teacher distilling closed.

    None where there is no teacher, or a model has only scores.
    """
    roles = {model.role for model in comparison.models.values()}
    if "teacher" not in roles:
        return None
    values = pseudo_values(comparison, ("student", "sft", "teacher"), metric, selection)
    if values is None:
        return None
    student, sft, teacher = values
    return statistics.gap_recovered(student, sft, teacher, higher_is_better=metric.higher_is_better)


def pseudo_values(
    comparison: Comparison, models: Sequence[str], metric: Metric, selection: Selection = None
) -> list[PseudoValues] | None:
    """Return what each example contributes to the models' scores; None for reported scores."""
    found = [comparison.evaluation(model) for model in models]
    measured = [evaluation for evaluation in found if isinstance(evaluation, MeasuredEvaluation)]
    if len(measured) < len(found):
        return None
    chosen = comparison.positions(selection)
    clusters = clusters_of(comparison, chosen)
    ends = statistics.worst_and_best(metric.range, metric.higher_is_better)
    if isinstance(metric, MeanMetric):
        return [statistics.of_mean(e.scores(metric)[chosen], clusters, ends) for e in measured]
    first, *others = measured
    rows = [every[chosen] for every in _rows(metric, first, *others)]
    extremes = extremes_of(metric, comparison.on, *rows)
    return [statistics.of_metric(each, metric.aggregate, clusters, extremes, ends) for each in rows]


def needed_to_beat(
    comparison: Comparison,
    metric: Metric,
    min_gain: float,
    confidence: float,
    selection: Selection = None,
) -> int | None:
    """Return about how many examples would show the observed gain over the SFT student."""
    values = pseudo_values(comparison, ("student", "sft"), metric, selection)
    if values is None:
        return None
    student, sft = values
    test = statistics.gain_test(student, sft, higher_is_better=metric.higher_is_better)
    flipped = statistics.examples_needed_to_beat(test.top.values, min_gain, confidence=confidence)
    binary = (
        isinstance(metric, MeanMetric)
        and student.clusters is None
        and zero_or_one(student.values, sft.values)
    )
    if flipped is None or binary:
        return flipped
    if not statistics.shown(1 / (statistics.N_RESAMPLES + 1), confidence):
        return None  # p of the draws is never less
    on_average = test.needed(min_gain, confidence)
    return None if on_average is None else max(flipped, on_average)


def above_chance(
    comparison: Comparison, metric: Metric, selection: Selection = None
) -> Fraction | None:
    """Return the retention of what is above guessing, where the eval says what guessing gets.

    None also where the teacher is not above chance.
    """
    chance = comparison.on.chance if isinstance(comparison.on, Eval) else None
    if chance is None or metric is not comparison.on.metrics[0]:
        return None
    student, teacher = (
        comparison.exact_score(role, metric, selection) for role in ("student", "teacher")
    )
    try:
        return statistics.above_chance(student, teacher, chance)
    except NoRatioError:
        return None


def clusters_of(comparison: Comparison, chosen: NDArray[np.intp]) -> list[str] | None:
    """Return the cluster of each chosen example; None where the examples are independent."""
    clusters = comparison.on.clusters() if isinstance(comparison.on, Eval) else None
    return None if clusters is None else [clusters[i] for i in chosen]


def zero_or_one(*scores: NDArray[np.float64]) -> bool:
    """Return whether all scores are 0 or 1."""
    return all(bool(np.isin(s, (0.0, 1.0)).all()) for s in scores)
