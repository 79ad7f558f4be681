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
from pytest_distill.evaluation.evaluation import Measured
from pytest_distill.verdicts import statistics
from pytest_distill.verdicts.comparison import Comparison, Selection
from pytest_distill.verdicts.statistics import (
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
    s, t = (e.statistics(metric)[chosen] for e in (student, teacher))
    same_units = isinstance(metric, PerplexityMetric | BitsPerByte) and (s[:, 1] == t[:, 1]).all()
    if same_units and isinstance(metric, PerplexityMetric):
        return statistics.perplexity_retention(s[:, 0], t[:, 0], s[:, 1], clusters=clusters)
    if same_units:
        return statistics.bits_per_byte_retention(s[:, 0], t[:, 0], clusters=clusters)
    return statistics.metric_retention(
        s, t, metric.aggregate, metric.range, higher_is_better=higher, clusters=clusters
    )


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
        if clusters is None and zero_or_one(s, o) and higher:
            return statistics.proportion_test(s, o, min_gain, mid_p=mid_p)
        return statistics.sign_flip_test(s, o, min_gain, higher_is_better=higher, clusters=clusters)
    # Columns of two calls need not be the same: one call for both models.
    both = metric.statistics((*student.answers, *sft.answers))
    n = student.n
    return statistics.randomization_test(
        both[:n][chosen],
        both[n:][chosen],
        metric.aggregate,
        min_gain,
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
    values = [pseudo_values(comparison, role, metric, selection) for role in _ROLES]
    if any(v is None for v in values):
        return None
    student, sft, teacher = (v for v in values if v is not None)
    return statistics.gap_recovered(student, sft, teacher, higher_is_better=metric.higher_is_better)


_ROLES = ("student", "sft", "teacher")


def pseudo_values(
    comparison: Comparison, model: str, metric: Metric, selection: Selection = None
) -> PseudoValues | None:
    """Return what each example contributes to a model's score; None for reported scores."""
    evaluation = comparison.evaluation(model)
    if not isinstance(evaluation, Measured):
        return None
    chosen = comparison.positions(selection)
    clusters = clusters_of(comparison, chosen)
    if isinstance(metric, MeanMetric):
        return statistics.of_mean(evaluation.scores(metric)[chosen], clusters)
    return statistics.of_metric(evaluation.statistics(metric)[chosen], metric.aggregate, clusters)


def needed_to_beat(
    comparison: Comparison,
    metric: Metric,
    min_gain: float,
    confidence: float,
    selection: Selection = None,
) -> int | None:
    """Return about how many examples would show the observed gain over the SFT student."""
    values = [pseudo_values(comparison, role, metric, selection) for role in ("student", "sft")]
    if values[0] is None or values[1] is None:
        return None
    gains = values[0].values - values[1].values
    gains = gains if metric.higher_is_better else -gains
    return statistics.examples_needed_to_beat(gains, min_gain, confidence=confidence)


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
