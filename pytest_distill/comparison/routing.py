"""Where a student can be trusted alone: it answers where it is confident, else the teacher."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from pytest_distill._util.numbers import Ratio
from pytest_distill.comparison.cascade import Pair
from pytest_distill.comparison.confidences import confidence_name, confidences, probabilities
from pytest_distill.engines import ModelInfo
from pytest_distill.errors import DistillError
from pytest_distill.evals.metrics import Metric
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.statistics.confidences import (
    SHARES,
    Bools,
    Positions,
    augrc,
    calibration_error,
    cross_fitted,
    fixed_sequence,
    folds,
    thresholds,
)
from pytest_distill.statistics.results import Judgement, NoRatioError, shown


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
