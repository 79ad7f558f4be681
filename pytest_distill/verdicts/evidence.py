"""What the examples say beyond the observed numbers: which test suits which metric."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from pytest_distill.errors import ComparisonError
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.metrics import MeanMetric, Metric
from pytest_distill.evals.metrics.perplexities import BitsPerByte, PerplexityMetric
from pytest_distill.evaluation.evaluation import Measured, ReportedEval
from pytest_distill.verdicts import statistics
from pytest_distill.verdicts.comparison import Comparison, Selection
from pytest_distill.verdicts.statistics import (
    Extremes,
    GapRecovered,
    NoRatioError,
    PairedTest,
    PseudoValues,
    Retention,
)


def retention_evidence(
    comparison: Comparison, metric: Metric, selection: Selection = None
) -> Retention | None:
    """Return the evidence on the student's retention; None where only scores are known.

    Raises
    ------
    ComparisonError
        Where no ratio exists, or the teacher is not told apart from zero.
    """
    pair = measured_pair(comparison, "student", "teacher")
    if pair is None:
        return None
    try:
        return _retention(*pair, metric, comparison, selection)
    except NoRatioError as error:
        raise ComparisonError(f"{metric.name} on '{comparison.eval}': {error}") from None


def measured_pair(comparison: Comparison, one: str, other: str) -> tuple[Measured, Measured] | None:
    """Return two evaluations; None where one of them has only scores."""
    first, second = comparison.evaluation(one), comparison.evaluation(other)
    if isinstance(first, Measured) and isinstance(second, Measured):
        return first, second
    return None


def _retention(
    student: Measured,
    teacher: Measured,
    metric: Metric,
    comparison: Comparison,
    selection: Selection,
) -> Retention:
    chosen = comparison.positions(selection)
    clusters = clusters_of(comparison, chosen)
    higher = metric.higher_is_better
    if isinstance(metric, MeanMetric):
        s, t = (e.scores(metric)[chosen] for e in (student, teacher))
        return retention_of_means(s, t, metric, clusters)
    s, t = (rows[chosen] for rows in student.statistics_beside(metric, teacher))
    same_units = isinstance(metric, PerplexityMetric | BitsPerByte) and (s[:, 1] == t[:, 1]).all()
    if same_units and isinstance(metric, PerplexityMetric):
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
    longest = getattr(on.task, "max_new_tokens", None) if isinstance(on, Eval) else None
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
    measured = [evaluation for evaluation in found if isinstance(evaluation, Measured)]
    if len(measured) < len(found):
        return None
    chosen = comparison.positions(selection)
    clusters = clusters_of(comparison, chosen)
    ends = statistics.worst_and_best(metric.range, metric.higher_is_better)
    if isinstance(metric, MeanMetric):
        return [statistics.of_mean(e.scores(metric)[chosen], clusters, ends) for e in measured]
    first, *others = measured
    rows = [every[chosen] for every in first.statistics_beside(metric, *others)]
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
