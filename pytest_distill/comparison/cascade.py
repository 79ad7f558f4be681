"""Two models put together by who answers which example: the student, else the teacher."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from pytest_distill._util.numbers import Ratio, retained_share
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.evidence import align, scoring_of
from pytest_distill.errors import ComparisonError
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.metrics import MeanMetric, Metric
from pytest_distill.evaluation.metric_values import exact_corpus_score, exact_mean
from pytest_distill.statistics.confidences import Bools, Positions
from pytest_distill.statistics.results import NoRatioError, Retention


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


def _mixed(
    handled: Bools, student: NDArray[np.float64], teacher: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the student's rows where it answers, else the teacher's."""
    return np.where(handled.reshape(-1, *(1,) * (student.ndim - 1)), student, teacher)
