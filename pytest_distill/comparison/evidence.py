"""The statistical evidence behind a number: which test or interval suits which metric."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
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

Floats = NDArray[np.float64]


def retention_evidence(
    comparison: Comparison, metric: Metric, selection: Selection = None, model: str = "student"
) -> Retention | None:
    """Return the evidence on a model's retention; None where only scores are known.

    Raises
    ------
    ComparisonError
        Where no ratio exists, or the teacher is not significantly above zero.
    """
    with _refusing(comparison, metric):
        aligned = align(comparison, (model, "teacher"), metric, selection)
        return None if aligned is None else aligned.retention()


@contextmanager
def _refusing(comparison: Comparison, metric: Metric) -> Iterator[None]:
    """Let what the examples cannot tell be the error of the gate that asks: no ratio, no number."""
    try:
        yield
    except ValueError as error:
        raise ComparisonError(f"{metric.name} on '{comparison.eval}': {error}") from None


@dataclass(frozen=True, eq=False, slots=True)
class Aligned:
    """What a metric gives for the same examples of several models, and how that is tested.

    Parameters
    ----------
    metric : Metric
        What is measured.
    on : Eval or ReportedEval
        Bounds the length of an answer.
    rows : tuple of ndarray
        Of each model: its scores of the examples, shape (n,), where the metric is their mean; else
        their sufficient statistics, shape (n, k).
    clusters : list of str, optional
        The cluster of each example; None where the examples are independent.
    evaluations : tuple of MeasuredEvaluation
        Of the models, where the rows are what was measured of them.
    """

    metric: Metric
    on: Eval | ReportedEval
    rows: tuple[Floats, ...]
    clusters: list[str] | None
    evaluations: tuple[MeasuredEvaluation, ...] = ()

    @property
    def binary(self) -> bool:
        """Whether these are 0/1 scores of independent examples, of which exact tests exist."""
        is_mean = isinstance(self.metric, MeanMetric)
        return is_mean and self.clusters is None and zero_or_one(*self.rows)

    @property
    def extremes(self) -> Extremes | None:
        """What one more example can be at worst and at best; None where that is not known."""
        if not self.metric.knows_extremes:
            return None
        longest = self.on.task.longest if isinstance(self.on, Eval) else None
        return self.metric.extremes(np.concatenate(self.rows), longest)

    def pseudo_values(self) -> list[PseudoValues]:
        """Return what each example contributes to the models' scores."""
        metric, clusters = self.metric, self.clusters
        ends = statistics.worst_and_best(metric.range, metric.higher_is_better)
        if isinstance(metric, MeanMetric):
            return [statistics.of_mean(scores, clusters, ends) for scores in self.rows]
        return [
            statistics.of_metric(rows, metric.aggregate, clusters, self.extremes, ends)
            for rows in self.rows
        ]

    def retention(self) -> Retention:
        """Return the evidence on the share of the second model's quality that the first retains."""
        if self.binary:
            higher = self.metric.higher_is_better
            return statistics.proportion_retention(*self.rows, higher_is_better=higher)
        return self.t_retention()

    def t_retention(self) -> TRetention:
        """Return the same by a t test, of 0/1 scores too."""
        (student, teacher), metric, clusters = self.rows, self.metric, self.clusters
        higher = metric.higher_is_better
        if isinstance(metric, MeanMetric):
            return statistics.mean_retention(
                student, teacher, metric.range, higher_is_better=higher, clusters=clusters
            )
        if metric.per_unit is not None:
            (nats, units), (nats_of_teacher, units_of_teacher) = student.T, teacher.T
            if (units == units_of_teacher).all():
                by_units = (
                    statistics.perplexity_retention
                    if metric.per_unit == "exp"
                    else statistics.bits_per_byte_retention
                )
                return by_units(nats, nats_of_teacher, units, clusters=clusters)
        return statistics.metric_retention(
            student,
            teacher,
            metric.aggregate,
            metric.range,
            extremes=self.extremes,
            higher_is_better=higher,
            clusters=clusters,
        )


def align(
    comparison: Comparison,
    models: Sequence[str],
    metric: Metric,
    selection: Selection = None,
    *,
    same_columns: bool = False,
) -> Aligned | None:
    """Return what a metric gives for some models; None where one of them has only scores.

    Parameters
    ----------
    same_columns : bool
        Ask for statistics with the same columns, also where no extremes are known.
    """
    evaluations = [comparison.evaluation(model) for model in models]
    measured = [each for each in evaluations if isinstance(each, MeasuredEvaluation)]
    if len(measured) < len(evaluations):
        return None
    if isinstance(metric, MeanMetric):
        rows = [each.scores(metric) for each in measured]
    elif same_columns or metric.knows_extremes:
        rows = measured[0].statistics_beside(metric, *measured[1:])
    else:
        rows = [each.statistics(metric) for each in measured]
    chosen = comparison.positions(selection)
    clusters, rows = clusters_of(comparison, chosen), [each[chosen] for each in rows]
    return Aligned(metric, comparison.on, tuple(rows), clusters, tuple(measured))


def score_evidence(
    comparison: Comparison, model: str, metric: Metric, selection: Selection = None
) -> Rate | Level | None:
    """Return the evidence on one model's score; None where only scores are known.

    Raises
    ------
    ComparisonError
        Where the metric is no number without one of the examples.
    """
    with _refusing(comparison, metric):
        aligned = align(comparison, [model], metric, selection)
        if aligned is None:
            return None
        (rows,), clusters, higher = aligned.rows, aligned.clusters, metric.higher_is_better
        if metric.per_unit is not None:
            logarithmic = metric.per_unit == "exp"
            totals, units = rows.T
            return statistics.likelihood_level(
                totals, units, metric.range, logarithmic=logarithmic, clusters=clusters
            )
        if aligned.binary and metric.range == (0.0, 1.0):
            worst = 0.0 if higher else 1.0
            return Rate(rows, rows, np.ones(len(rows)), higher_is_better=higher, worst=worst)
        (found,) = aligned.pseudo_values()
        return statistics.score_level(found, metric.range, higher)


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
        Where no ratio exists, or a teacher is not significantly above zero.
    """
    if not all(comparison.measured() for comparison in comparisons):
        return None
    if aggregate == "minimum" or len(comparisons) == 1:
        found = [(retention_evidence(each, each.metric()), each.n() or 0) for each in comparisons]
        return LeastRetention(tuple((ratio, n) for ratio, n in found if ratio is not None))
    ratios = [_t_evidence(each, own_ratio=aggregate != "ratio_of_averages") for each in comparisons]
    return statistics.suite_retention([r for r in ratios if r is not None], aggregate)


def _t_evidence(comparison: Comparison, *, own_ratio: bool) -> TRetention | None:
    """Return the t test of an eval's retention, of 0/1 scores too: a sum needs means.

    Without its `own_ratio` student's beside teacher's score, whether their ratio says something or
    not.
    """
    metric = comparison.metric()
    with _refusing(comparison, metric):
        aligned = align(comparison, ("student", "teacher"), metric)
        if aligned is None:
            return None
        if own_ratio:
            return aligned.t_retention()
        student, teacher = aligned.pseudo_values()
        return statistics.ratio_test(student, teacher, -math.inf, "t")


def paired_test(
    comparison: Comparison,
    metric: Metric,
    min_gain: float,
    *,
    mid_p: bool = False,
    selection: Selection = None,
) -> PairedTest | None:
    """Test whether the student is better than the SFT student; None where only scores are known."""
    aligned = align(comparison, ("student", "sft"), metric, selection, same_columns=True)
    if aligned is None:
        return None
    (student, sft), clusters, higher = aligned.rows, aligned.clusters, metric.higher_is_better
    if aligned.binary:
        better, worse = (student, sft) if higher else (sft, student)
        return statistics.proportion_test(better, worse, min_gain, mid_p=mid_p)
    if isinstance(metric, MeanMetric):
        return statistics.sign_flip_test(
            student, sft, min_gain, range=metric.range, higher_is_better=higher, clusters=clusters
        )
    return statistics.randomization_test(
        student,
        sft,
        metric.aggregate,
        min_gain,
        range=metric.range,
        extremes=aligned.extremes,
        example_gains=comparison.gains(metric, "sft")[comparison.positions(selection)],
        higher_is_better=higher,
        clusters=clusters,
    )


def gap_recovered(
    comparison: Comparison, metric: Metric, selection: Selection = None
) -> GapRecovered | None:
    """Return which share of the gap between SFT student and teacher distilling closed.

    None where there is no teacher, or a model has only scores.
    """
    if all(model.role != "teacher" for model in comparison.models.values()):
        return None
    aligned = align(comparison, ("student", "sft", "teacher"), metric, selection)
    if aligned is None:
        return None
    higher = metric.higher_is_better
    return statistics.gap_recovered(*aligned.pseudo_values(), higher_is_better=higher)


def needed_to_beat(
    comparison: Comparison,
    metric: Metric,
    min_gain: float,
    confidence: float,
    selection: Selection = None,
) -> int | None:
    """Return about how many examples would show the observed gain over the SFT student."""
    aligned = align(comparison, ("student", "sft"), metric, selection)
    if aligned is None:
        return None
    student, sft = aligned.pseudo_values()
    test = statistics.gain_test(student, sft, higher_is_better=metric.higher_is_better)
    flipped = statistics.examples_needed_to_beat(test.top.values, min_gain, confidence=confidence)
    if flipped is None or aligned.binary:
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
    clusters = comparison.on.clusters if isinstance(comparison.on, Eval) else None
    return None if clusters is None else [clusters[i] for i in chosen]


def right_or_wrong(evaluation: MeasuredEvaluation, metric: Metric) -> Floats:
    """Return the scores of a metric that calls each answer right (1) or wrong (0).

    Raises
    ------
    ComparisonError
        Where it does not.
    """
    scores = evaluation.scores(metric)
    if metric.higher_is_better and zero_or_one(scores):
        return scores
    raise ComparisonError(
        f"{metric.name} on '{evaluation.eval.name}': its scores are not 0 or 1, so that no answer "
        "is right or wrong by it; name a metric such as accuracy or exact_match"
    )


def zero_or_one(*scores: Floats) -> bool:
    """Return whether all scores are 0 or 1."""
    return all(bool(np.isin(s, (0.0, 1.0)).all()) for s in scores)
