"""Retention of scores other than 0/1: t tests on S - m*T, of means, corpora and clusters."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri, stdtr, stdtrit

from pytest_distill.verdicts.statistics.fieller import RatioMoments, ratio_moments
from pytest_distill.verdicts.statistics.jackknife import (
    Aggregate,
    Clusters,
    PseudoValues,
    of_mean,
    of_metric,
    sum_by_cluster,
)
from pytest_distill.verdicts.statistics.planning import first_true
from pytest_distill.verdicts.statistics.results import (
    MIN_CLUSTERS,
    POWER,
    TWO_SIDED,
    Floats,
    FloorTest,
    NoRatioError,
    RetentionInterval,
    cluster_notes,
    one_sided,
)


@dataclass(frozen=True, eq=False, slots=True)
class TRetention:
    """Retention as a ratio of two estimates, by a t test on the pseudo-values of x - m*y.

    For the lower side one worst-case unit is appended to what was seen: near the ceiling a sample
    without a failure has no variance, and says nothing of the failures it happened to miss.

    Parameters
    ----------
    top, bottom : PseudoValues
        Of the ratio's numerator and denominator, of the same units.
    worst : tuple of float, optional
        The appended unit's values of the two; None where the metric has no worst value.
    least : float
        The least ratio that the metric allows.
    method : str
        Its name in the report.
    logarithmic : bool
        Whether the ratio of the estimates is the logarithm of the retention.
    notes : tuple of str
        What a reader must know beside the numbers.
    """

    top: PseudoValues
    bottom: PseudoValues
    worst: tuple[float, float] | None
    least: float
    method: str
    logarithmic: bool = False
    notes: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Number of examples."""
        return self.top.n

    @property
    def clusters(self) -> int | None:
        """Number of clusters; None where there are none."""
        return self.top.clusters

    @property
    def observed(self) -> float:
        """The ratio on these examples."""
        return self._retention(self.top.estimate / self.bottom.estimate)

    def interval(self, confidence: float = 0.95) -> RetentionInterval:
        """Return the ratio's bounds: two one-sided ones at `confidence`, and the 95 % interval."""
        pessimistic, plain = self._pessimistic(), self._plain()
        lowers, uppers = [], []
        for level in (one_sided(confidence), (1 + TWO_SIDED) / 2):
            lowers.append(self._retention(pessimistic.lower(_t(pessimistic, level), self.least)))
            uppers.append(self._retention(plain.upper(_t(plain, level))))
        notes = (*self.notes, *cluster_notes(self.clusters))
        return RetentionInterval(
            lowers[0], uppers[0], lowers[1], uppers[1],
            confidence, self.method, self.n, self.clusters, notes,
        )  # fmt: skip

    def test(self, floor: float) -> FloorTest:
        """Return the p-values at a floor; both are 1 under 10 clusters."""
        if self.clusters is not None and self.clusters < MIN_CLUSTERS:
            return FloorTest(1.0, 1.0)
        ratio = math.log(floor) if self.logarithmic else floor
        return FloorTest(
            p_retained=_p(self._pessimistic(), -1, ratio), p_below=_p(self._plain(), 1, ratio)
        )

    def needed(self, floor: float, confidence: float = 0.95, power: float = POWER) -> int | None:
        """Return about how many examples would settle it, if these are typical ones.

        The least number for which the test's statistic is expected to lie z(power) beyond what the
        test asks for. None where the observed ratio is the floor.
        """
        ratio = math.log(floor) if self.logarithmic else floor
        gap = self.top.estimate - ratio * self.bottom.estimate
        d = self.top.values - ratio * self.bottom.values
        variance = float(d.var(ddof=1)) if len(d) > 1 else 0.0
        level, beyond = one_sided(confidence), float(ndtri(power))
        worst = self._worst_gap(ratio) if gap > 0 else None

        def settled(units: int) -> bool:
            # The moments of `units` examples like these, and of the appended one.
            mean, spread, df = gap, variance, units - 1
            if worst is not None:
                mean = (units * gap + worst) / (units + 1)
                spread += (worst - gap) ** 2 / (units + 1)
                df = units
            wanted = (float(stdtrit(df, level)) + beyond) * math.sqrt(spread / (df + 1))
            return mean >= wanted if gap > 0 else mean <= -wanted

        units = first_true(settled) if gap != 0 else None
        return None if units is None else math.ceil(units * self.n / len(d))

    def _plain(self) -> RatioMoments:
        return ratio_moments(
            self.top.estimate, self.bottom.estimate, self.top.values, self.bottom.values
        )

    def _pessimistic(self) -> RatioMoments:
        if self.worst is None:
            return self._plain()
        top, bottom = (
            _appended(of, value)
            for of, value in zip((self.top, self.bottom), self.worst, strict=True)
        )
        return ratio_moments(top.estimate, bottom.estimate, top.values, bottom.values)

    def _worst_gap(self, ratio: float) -> float | None:
        return None if self.worst is None else self.worst[0] - ratio * self.worst[1]

    def _retention(self, ratio: float) -> float:
        if not self.logarithmic:
            return ratio
        return math.exp(ratio) if ratio < 700 else math.inf


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
    method = "t with a worst-case example" if clusters is None else "cluster jackknife"
    pair = of_mean(student, clusters), of_mean(teacher, clusters)
    return _bounded(*pair, range, higher_is_better, method)


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
    method = "jackknife" if clusters is None else "cluster jackknife"
    pair = of_metric(student, aggregate, clusters), of_metric(teacher, aggregate, clusters)
    return _bounded(*pair, range, higher_is_better, method)


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
    Perplexity has no worst value, so none is appended.

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
    return TRetention(*pair, None, -math.inf, "t of log-likelihoods", logarithmic=True)


def bits_per_byte_retention(
    student_nats: ArrayLike, teacher_nats: ArrayLike, *, clusters: Clusters | None = None
) -> TRetention:
    """Retention of bits per byte: sum nats(teacher) / sum nats(student); the bytes are the same.

    A t test on D = nats(teacher) - m*nats(student) of each text, or cluster of texts.
    """
    nats = (np.asarray(x, np.float64) for x in (teacher_nats, student_nats))
    top, bottom = (_totals(x, clusters) for x in nats)
    _refuse_no_ratio(bottom, "student", can_be_negative=False)
    return TRetention(top, bottom, None, 0.0, "t of log-likelihoods")


def _appended(of: PseudoValues, value: float) -> PseudoValues:
    units = len(of.values)
    estimate = (units * of.estimate + value) / (units + 1)
    return PseudoValues(estimate, np.append(of.values, value), of.n, of.clusters)


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
    least = 0.0 if low >= 0 else -math.inf
    if not (math.isfinite(low) and math.isfinite(high)):
        note = "the metric has no worst value, so the lower bound knows only the failures seen"
        return TRetention(top, bottom, None, least, method, notes=(note,))
    return TRetention(top, bottom, (low, high), least, method)


def _refuse_no_ratio(bottom: PseudoValues, who: str, can_be_negative: bool) -> None:
    if not (math.isfinite(bottom.estimate) and bottom.estimate > 0):
        raise NoRatioError(f"the {who} scores {bottom.estimate:g}, not above 0: no ratio exists")
    own = ratio_moments(bottom.estimate, bottom.estimate, bottom.values, bottom.values)
    if can_be_negative and not own.bottom_above_zero(_t(own, (1 + TWO_SIDED) / 2)):
        raise NoRatioError(
            f"the {who} scores {bottom.estimate:g}, and its own 95 % interval includes 0: "
            "the ratio says nothing"
        )


def _t(moments: RatioMoments, level: float) -> float:
    return float(stdtrit(moments.df, level)) if moments.df else math.inf


def _p(moments: RatioMoments, sign: int, ratio: float) -> float:
    if not moments.df:
        return 1.0
    return float(stdtr(moments.df, sign * moments.statistic(ratio)))
