"""A cascade of two models: the student answers where it is confident, else the teacher."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from pytest_distill._util.numbers import Ratio, retained_share
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.confidences import confidence_name, confidences, probabilities
from pytest_distill.comparison.evidence import align, scoring_of
from pytest_distill.engines import ModelInfo
from pytest_distill.errors import ComparisonError, DistillError
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.metrics import MeanMetric, Metric
from pytest_distill.evaluation.measured import MeasuredEvaluation, exact_corpus_score, exact_mean
from pytest_distill.statistics.calibration import calibration_error
from pytest_distill.statistics.results import Judgement, NoRatioError, Retention, shown
from pytest_distill.statistics.routing import (
    SHARES,
    Bools,
    Positions,
    augrc,
    cross_fitted,
    fixed_sequence,
    folds,
    thresholds,
)


class Pair:
    """Student and teacher on one eval, put together by who answers which example.

    Parameters
    ----------
    comparison : Comparison
        Has both.
    metric : Metric
        What is measured.

    Raises
    ------
    ComparisonError
        Where there are no examples, or the teacher's score has no ratio to hold another against.
    """

    def __init__(self, comparison: Comparison, metric: Metric) -> None:
        comparison.exact_retained(metric)  # refuses what has no ratio, and two models that are one
        aligned = align(comparison, ("student", "teacher"), metric, same_columns=True)
        if aligned is None or not isinstance(comparison.on, Eval):
            raise ComparisonError(
                f"'{comparison.eval}' has reported scores: without examples nothing can be routed"
            )
        self.on = comparison.on
        self.metric = metric
        self.clusters = aligned.scoring.clusters
        self.student, self.teacher = aligned.evaluations
        self._student, self._teacher = aligned.rows
        self.n = len(self._student)
        self._is_mean = isinstance(metric, MeanMetric)
        all_teacher = np.zeros(self.n, bool)
        self._teacher_score = self.score(all_teacher)
        try:
            self.retention(all_teacher)
        except NoRatioError as error:
            raise ComparisonError(f"{metric.name} on '{self.on.name}': {error}") from None

    def retention(self, handled: Bools, positions: Positions | None = None) -> Retention:
        """Return the evidence on what the pair keeps of the teacher, on all or some examples.

        Parameters
        ----------
        handled : ndarray of bool
            For each of these examples, whether the student answers it.
        positions : ndarray of int, optional
            Which examples these are.
        """
        chosen = np.arange(self.n) if positions is None else positions
        clusters = None if self.clusters is None else [self.clusters[i] for i in chosen]
        teacher = self._teacher[chosen]
        mixed = _mixed(handled, self._student[chosen], teacher)
        scoring = scoring_of(self.metric, self.on, (mixed, teacher), clusters)
        return scoring.retention(mixed, teacher)

    def p_value(self, floor: Fraction, handled: Bools, positions: Positions | None = None) -> float:
        """Return p of "the pair keeps less than the floor"; 1 where no ratio exists."""
        try:
            return self.retention(handled, positions).p_retained(float(floor))
        except NoRatioError:
            return 1.0

    def score(self, handled: Bools) -> Fraction:
        """Return the pair's score on all examples."""
        mixed = _mixed(handled, self._student, self._teacher)
        if self._is_mean:
            return exact_mean(mixed)
        totals = mixed.sum(axis=0)
        return exact_corpus_score(self.metric, totals, float(self.metric.aggregate(totals)))

    def retained(self, handled: Bools) -> Ratio | None:
        """Return the share of the teacher's quality that the pair retains; None without a ratio."""
        higher = self.metric.higher_is_better
        return retained_share(self.score(handled), self._teacher_score, higher)


@dataclass(frozen=True, slots=True)
class DeferralPoint:
    """One point of the deferral curve.

    Parameters
    ----------
    threshold : float
        The student answers where its confidence is at least that.
    handled : Fraction
        Which share of the examples it answers.
    score : Fraction
        The pair's.
    retained : Fraction, optional
        Which share of the teacher's quality the pair keeps; None where none exists.
    p_value : float
        Of "it keeps less than the floor".
    """

    threshold: float
    handled: Fraction
    score: Fraction
    retained: Ratio | None
    p_value: float


@dataclass(frozen=True, slots=True)
class Routing:
    """Where a student can be trusted alone, and what that rests on.

    Parameters
    ----------
    by : str
        What its confidence is.
    curve : tuple of DeferralPoint
        Every threshold that was tried, falling.
    chosen : DeferralPoint, optional
        By the fixed sequence, the last that was shown to keep the floor; None: always the teacher.
    folds : int
        Of the cross-fit.
    cross_handled : Fraction
        Cross-fitted share of the examples that the student answers.
    cross_retained : Fraction, optional
        Cross-fitted share of the teacher's quality.
    """

    by: str
    curve: tuple[DeferralPoint, ...]
    chosen: DeferralPoint | None
    folds: int
    cross_handled: Fraction
    cross_retained: Ratio | None

    @property
    def handled(self) -> Fraction:
        """Which share of the examples the student answers at the chosen threshold."""
        return Fraction(0) if self.chosen is None else self.chosen.handled

    def at(self, share: Fraction) -> DeferralPoint:
        """Return the first point at which the student answers at least a share of the examples."""
        return next(point for point in self.curve if point.handled >= share)


def route(
    pair: Pair, by: str | None, floor: Fraction, confidence: float, wanted: Fraction
) -> Routing:
    """Choose a threshold by fixed sequence testing, and cross-fit what it will do.

    Parameters
    ----------
    pair : Pair
        Who answers.
    by : str, optional
        What the student's confidence is; see `confidences`.
    floor : Fraction
        Which share of the teacher's quality the pair must be shown to keep.
    confidence : float
        Confidence level at which that must be shown.
    wanted : Fraction
        Which share the student should answer: the grid of shares has it too.
    """
    by = confidence_name(by, pair.on)
    student_confidence = confidences(pair.student, by)
    shares = sorted({*SHARES, wanted})
    tried = thresholds(student_confidence, shares)
    curve = [_point(pair, student_confidence, threshold, floor) for threshold in tried]
    points = {point.threshold: point for point in curve}
    chosen = fixed_sequence(list(points), lambda t: shown(points[t].p_value, confidence))

    def keeps(handled: Bools, positions: Positions) -> bool:
        return shown(pair.p_value(floor, handled, positions), confidence)

    fold = folds(pair.n, pair.clusters)
    crossed = cross_fitted(student_confidence, fold, keeps, shares)
    return Routing(
        by=by,
        curve=tuple(curve),
        chosen=points.get(chosen),
        folds=len(np.unique(fold)),
        cross_handled=Fraction(int(crossed.sum()), pair.n),
        cross_retained=pair.retained(crossed),
    )


def needed_at(
    pair: Pair, by: str, point: DeferralPoint, floor: Fraction, confidence: float
) -> tuple[Judgement, int | None]:
    """Return what the bounds say of the floor at a point, and about how many examples it needs."""
    try:
        retention = pair.retention(confidences(pair.student, by) >= point.threshold)
    except NoRatioError:
        return Judgement.UNCLEAR, None
    judgement = retention.test(float(floor)).judge(confidence)
    return judgement, retention.needed(float(floor), confidence)


def area(evaluation: MeasuredEvaluation, metric: Metric, by: str) -> float | None:
    """Return a model's AUGRC; None where it has no such confidence, or the metric no worst value.

    How wrong an answer is: (greatest - score) / (greatest - least) of the metric's range, the
    other way round where lower is better.
    """
    low, high = metric.range
    if not math.isfinite(low) or not math.isfinite(high):
        return None
    with suppress(DistillError):
        scaled = (evaluation.scores(metric) - low) / (high - low)
        residuals = 1 - scaled if metric.higher_is_better else scaled
        return augrc(confidences(evaluation, by), residuals)
    return None


def judged_probabilities(
    evaluation: MeasuredEvaluation,
) -> tuple[NDArray[np.float64], Bools] | None:
    """Return the probability of each answer of a model, and which are right.

    None where it gave no probabilities, or no answer is right or wrong.
    """
    found = probabilities(evaluation)
    if found is None:
        return None
    correct = [answer.correct for answer in evaluation.answers]
    return None if None in correct else (found, np.array(correct, bool))


def miscalibration(evaluation: MeasuredEvaluation) -> float | None:
    """Return a model's ECE; None where `judged_probabilities` is."""
    known = judged_probabilities(evaluation)
    return None if known is None else calibration_error(*known)


def expected(student: ModelInfo, teacher: ModelInfo, name: str, routing: Routing) -> float | None:
    """Return what a request to the pair takes or costs on average; None where it is not known.

    The student is asked for every request, and the teacher for those that it is not sure of; where
    no threshold was found, the teacher alone.

    Parameters
    ----------
    student, teacher : ModelInfo
        Of the two.
    name : str
        ``latency_ms`` or ``cost_per_1k``.
    routing : Routing
        Which share is deferred.
    """
    first, second = getattr(student, name), getattr(teacher, name)
    if routing.chosen is None:
        return None if second is None else float(second)
    if first is None or second is None:
        return None
    return float(first + (1 - float(routing.handled)) * second)


def _point(
    pair: Pair, student_confidence: NDArray[np.float64], threshold: float, floor: Fraction
) -> DeferralPoint:
    handled = student_confidence >= threshold
    return DeferralPoint(
        threshold,
        Fraction(int(handled.sum()), pair.n),
        pair.score(handled),
        pair.retained(handled),
        pair.p_value(floor, handled),
    )


def _mixed(
    handled: Bools, student: NDArray[np.float64], teacher: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the student's rows where it answers, else the teacher's."""
    return np.where(handled.reshape(-1, *(1,) * (student.ndim - 1)), student, teacher)
