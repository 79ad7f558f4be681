"""Retention of scores other than 0/1: of means, corpora and clusters, by t tests on S - m*T."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from pytest_distill.statistics.fieller import ratio_moments
from pytest_distill.statistics.jackknife import (
    Aggregate,
    Clusters,
    Extremes,
    PseudoValues,
    Range,
    of_mean,
    of_metric,
    of_sums,
    worst_and_best,
)
from pytest_distill.statistics.results import TWO_SIDED, NoRatioError
from pytest_distill.statistics.t_retention import TRetention, ratio_test

_NATS = "t of log-likelihoods"


def mean_retention(
    student: ArrayLike,
    teacher: ArrayLike,
    range: Range = (0.0, 1.0),
    *,
    higher_is_better: bool = True,
    clusters: Clusters | None = None,
) -> TRetention:
    """Retention of the mean of bounded per-example scores.

    Without clusters: a one-sample t test on D = S - m*T, with a worst-case example (S the metric's
    least, T its greatest value) counted for the lower side, and a best-case example (the other way
    round) for the upper. With clusters: the delete-one-cluster jackknife of mean(D), t with G - 1
    degrees of freedom, and a whole such cluster counted, since losses may come by clusters.

    Parameters
    ----------
    student, teacher : array_like, shape (n,)
        Scores of the same examples. Average several samples of one example first.
    range : tuple of float
        The metric's least and greatest value.
    higher_is_better : bool
        Where it is False the ratio is teacher / student.
    clusters : sequence of hashable, optional
        The cluster of each example.

    Raises
    ------
    NoRatioError
        Where the teacher's mean is not above 0.
    """
    ends = worst_and_best(range, higher_is_better)
    s, t = (of_mean(scores, clusters, ends) for scores in (student, teacher))
    return retention_test(s, t, range, higher_is_better=higher_is_better)


def metric_retention(
    student: ArrayLike,
    teacher: ArrayLike,
    aggregate: Aggregate,
    range: Range = (0.0, 1.0),
    *,
    extremes: Extremes | None = None,
    higher_is_better: bool = True,
    clusters: Clusters | None = None,
) -> TRetention:
    """Retention of a metric over the whole corpus, by the delete-one jackknife.

    The pseudo-values of D = metric(student) - m*metric(teacher) are tested by t, with the influence
    of the worst possible example counted for the lower side and of the best for the upper: one more
    wrong answer in a class of ten moves macro-F1 by far more than 1 / n.

    Parameters
    ----------
    student, teacher : array_like, shape (n, k)
        Sufficient statistics of the same examples. The columns of the two may differ where there
        are no `extremes`.
    aggregate : callable
        Summed statistics, shape (..., k) -> (...): the metric.
    range, higher_is_better, clusters
        As for `mean_retention`.
    extremes : tuple of array_like, optional
        What one example can be at worst and at best. Without it both a pseudo-value at the end of
        the range and one twice as far as the furthest that was seen are tried, and the worse one
        counts.

    Raises
    ------
    NoRatioError
        Where the teacher's score is not above 0, or, for a metric that can be negative, its own
        two-sided 95 % interval is not.
    """
    ends = worst_and_best(range, higher_is_better)
    s, t = (of_metric(rows, aggregate, clusters, extremes, ends) for rows in (student, teacher))
    return retention_test(s, t, range, higher_is_better=higher_is_better, method="jackknife")


def retention_test(
    student: PseudoValues,
    teacher: PseudoValues,
    range: Range,
    *,
    higher_is_better: bool = True,
    method: str = "t",
) -> TRetention:
    """Retention of a metric from the pseudo-values of both models; see `mean_retention`."""
    if student.n != teacher.n:
        raise ValueError(f"{student.n} and {teacher.n} examples: must be the same ones")
    low = range[0]
    _refuse_no_ratio(teacher, "teacher", can_be_negative=low < 0)
    pair = (student, teacher) if higher_is_better else (teacher, student)
    if not higher_is_better and pair[1].estimate < 0:
        raise NoRatioError(f"the student scores {pair[1].estimate:g}, below 0: no ratio exists")
    floor = 0.0 if low >= 0 else -math.inf
    return ratio_test(*pair, floor, method, bottom_errs=not higher_is_better)


def perplexity_retention(
    student_nats: ArrayLike,
    teacher_nats: ArrayLike,
    units: ArrayLike,
    *,
    clusters: Clusters | None = None,
) -> TRetention:
    """Retention of perplexity per unit of text: ppl(teacher) / ppl(student).

    It is exp(-(sum nats(student) - sum nats(teacher)) / units), and its logarithm is tested by
    t on D = -(nats(student) - nats(teacher)) - ln(m)*units of each text, or cluster of texts.
    Perplexity has no worst value: for the lower side a text twice as bad as the worst is counted,
    since a few bad texts decide and a sample may have missed its share of them.

    Parameters
    ----------
    student_nats, teacher_nats : array_like, shape (n,)
        Negative log-likelihood of each text.
    units : array_like, shape (n,)
        Its tokens, where the tokenizers are the same; else its words or bytes.
    clusters : sequence of hashable, optional
        The cluster of each text.
    """
    lost = np.asarray(teacher_nats, np.float64) - np.asarray(student_nats, np.float64)
    top, bottom = (of_sums(values, units, clusters) for values in (lost, units))
    _refuse_no_ratio(bottom, "number of units of text", can_be_negative=False)
    return replace(ratio_test(top, bottom, -math.inf, _NATS), logarithmic=True)


def bits_per_byte_retention(
    student_nats: ArrayLike,
    teacher_nats: ArrayLike,
    units: ArrayLike,
    *,
    clusters: Clusters | None = None,
) -> TRetention:
    """Retention of bits per byte: sum nats(teacher) / sum nats(student); the bytes are the same.

    A t test on D = nats(teacher) - m*nats(student) of each text, or cluster of texts, with a text
    twice as bad as the student's worst counted for the lower side.

    Parameters
    ----------
    student_nats, teacher_nats : array_like, shape (n,)
        Negative log-likelihood of each text.
    units : array_like, shape (n,)
        Its bytes: how large it is.
    clusters : sequence of hashable, optional
        The cluster of each text.
    """
    top, bottom = (of_sums(nats, units, clusters) for nats in (teacher_nats, student_nats))
    _refuse_no_ratio(bottom, "student", can_be_negative=False)
    return ratio_test(top, bottom, 0.0, _NATS)


def _refuse_no_ratio(bottom: PseudoValues, who: str, can_be_negative: bool) -> None:
    if not (math.isfinite(bottom.estimate) and bottom.estimate > 0):
        raise NoRatioError(f"the {who} scores {bottom.estimate:g}, not above 0: no ratio exists")
    if not can_be_negative:
        return
    own = ratio_moments(bottom.estimate, bottom.estimate, bottom.values, bottom.values)
    if not own.df or not own.bottom_above_zero(float(stdtrit(own.df, (1 + TWO_SIDED) / 2))):
        raise NoRatioError(
            f"the {who} scores {bottom.estimate:g}, and its own 95 % interval includes 0: "
            "the ratio says nothing"
        )
