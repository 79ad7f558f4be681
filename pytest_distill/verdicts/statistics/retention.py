"""Retention of scores other than 0/1: of means, corpora and clusters, by t tests on S - m*T."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from pytest_distill.verdicts.statistics.fieller import ratio_moments
from pytest_distill.verdicts.statistics.jackknife import (
    Aggregate,
    Clusters,
    PseudoValues,
    of_mean,
    of_metric,
    sum_by_cluster,
)
from pytest_distill.verdicts.statistics.results import TWO_SIDED, Floats, NoRatioError
from pytest_distill.verdicts.statistics.t_retention import TRetention, critical_t

_NATS = "t of log-likelihoods, the worst text twice"


def mean_retention(
    student: ArrayLike,
    teacher: ArrayLike,
    range: tuple[float, float] = (0.0, 1.0),
    *,
    higher_is_better: bool = True,
    clusters: Clusters | None = None,
) -> TRetention:
    """Retention of the mean of bounded per-example scores.

    Without clusters: a one-sample t test on D = S - m*T, with one worst-case example (S the
    metric's least, T its greatest value) appended for the lower side. With clusters: the
    delete-one-cluster jackknife of mean(D), t with G - 1 degrees of freedom, and a whole worst-case
    cluster of average size appended, since losses may come by clusters.

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
        Where the denominator's mean is not above 0.
    """
    pair = of_mean(student, clusters), of_mean(teacher, clusters)
    return _bounded(*pair, range, higher_is_better, "t")


def metric_retention(
    student: ArrayLike,
    teacher: ArrayLike,
    aggregate: Aggregate,
    range: tuple[float, float] = (0.0, 1.0),
    *,
    higher_is_better: bool = True,
    clusters: Clusters | None = None,
) -> TRetention:
    """Retention of a metric over the whole corpus, by the delete-one jackknife.

    The pseudo-values of D = metric(student) - m*metric(teacher) are tested by t; for the lower side
    with one worst-case pseudo-value (the student's the metric's least, the teacher's its greatest
    value) appended, as for means: an example, or a cluster of average size.

    Parameters
    ----------
    student, teacher : array_like, shape (n, k)
        Sufficient statistics of the same examples. The columns of the two may differ.
    aggregate : callable
        Summed statistics, shape (..., k) -> (...): the metric.
    range, higher_is_better, clusters
        As for `mean_retention`.

    Raises
    ------
    NoRatioError
        Where the denominator is not above 0, or, for a metric that can be negative, its own
        two-sided 95 % interval is not.
    """
    pair = of_metric(student, aggregate, clusters), of_metric(teacher, aggregate, clusters)
    return _bounded(*pair, range, higher_is_better, "jackknife")


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
    Perplexity has no worst value: for the lower side the text on which the student lost most counts
    twice, since a few bad texts decide and a sample may have missed its share of them.

    Parameters
    ----------
    student_nats, teacher_nats : array_like, shape (n,)
        Negative log-likelihood of each text.
    units : array_like, shape (n,)
        Its tokens, where the tokenizers are the same; else its words or bytes.
    clusters : sequence of hashable, optional
        The cluster of each text.
    """
    top = np.asarray(teacher_nats, np.float64) - np.asarray(student_nats, np.float64)
    pair = _totals(top, clusters), _totals(np.asarray(units, np.float64), clusters)
    _refuse_no_ratio(pair[1], "number of units of text", can_be_negative=False)
    return TRetention(*pair, None, -math.inf, _NATS, logarithmic=True)


def bits_per_byte_retention(
    student_nats: ArrayLike, teacher_nats: ArrayLike, *, clusters: Clusters | None = None
) -> TRetention:
    """Retention of bits per byte: sum nats(teacher) / sum nats(student); the bytes are the same.

    A t test on D = nats(teacher) - m*nats(student) of each text, or cluster of texts, with the
    student's worst text counted twice for the lower side.
    """
    nats = (np.asarray(x, np.float64) for x in (teacher_nats, student_nats))
    top, bottom = (_totals(x, clusters) for x in nats)
    _refuse_no_ratio(bottom, "student", can_be_negative=False)
    return TRetention(top, bottom, None, 0.0, _NATS)


def _totals(values: Floats, clusters: Clusters | None) -> PseudoValues:
    """Return the sums of clusters as values of their mean: D of a whole cluster has mean 0 too."""
    if clusters is None:
        return of_mean(values)
    sums = sum_by_cluster(values, clusters)
    return PseudoValues(float(sums.mean()), sums, len(values), len(sums))


def _bounded(
    student: PseudoValues,
    teacher: PseudoValues,
    range: tuple[float, float],
    higher_is_better: bool,
    method: str,
) -> TRetention:
    top, bottom = (student, teacher) if higher_is_better else (teacher, student)
    if student.n != teacher.n:
        raise ValueError(f"{student.n} and {teacher.n} examples: must be the same ones")
    low, high = range
    _refuse_no_ratio(bottom, "teacher" if higher_is_better else "student", low < 0)
    method, unit = (method, "example") if top.clusters is None else ("cluster jackknife", "cluster")
    least = 0.0 if low >= 0 else -math.inf
    if not (math.isfinite(low) and math.isfinite(high)):
        return TRetention(top, bottom, None, least, f"{method}, the worst {unit} twice")
    return TRetention(top, bottom, (low, high), least, f"{method} with a worst-case {unit}")


def _refuse_no_ratio(bottom: PseudoValues, who: str, can_be_negative: bool) -> None:
    if not (math.isfinite(bottom.estimate) and bottom.estimate > 0):
        raise NoRatioError(f"the {who} scores {bottom.estimate:g}, not above 0: no ratio exists")
    own = ratio_moments(bottom.estimate, bottom.estimate, bottom.values, bottom.values)
    if can_be_negative and not own.bottom_above_zero(critical_t(own, (1 + TWO_SIDED) / 2)):
        raise NoRatioError(
            f"the {who} scores {bottom.estimate:g}, and its own 95 % interval includes 0: "
            "the ratio says nothing"
        )
