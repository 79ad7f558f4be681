"""Delete-one jackknife: a metric over a corpus as a mean of pseudo-values.

References
----------
Tukey, J. W. (1958). Bias and confidence in not-quite large samples. Annals of Mathematical
Statistics 29:614.
Efron, B. and Tibshirani, R. J. (1993). An Introduction to the Bootstrap, chapter 11.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from pytest_distill.statistics.results import MIN_CLUSTERS, Floats, unit_notes

Aggregate = Callable[[NDArray[Any]], NDArray[np.float64]]
Clusters = Sequence[Hashable]
Extremes = tuple[ArrayLike, ArrayLike]
"""Statistics, each of shape (units, k), of the worst answers that an example can get, and of the
best ones to the same examples."""
Range = tuple[float, float]
"""A metric's least and greatest value."""
Ends = tuple[float, float]
"""Its worst and its best value."""

_CHUNK = 2**21
_ROUNDING = 1e-9


@dataclass(frozen=True, eq=False, slots=True)
class PseudoValues:
    """A metric of one model, and what each independent unit contributes to it.

    Parameters
    ----------
    estimate : float
        The metric over all examples.
    values : ndarray, shape (units,)
        G * estimate - (G - 1) * estimate without unit g, for each of G units; for a plain mean of
        single examples it is the example's score.
    n : int
        Number of examples.
    sizes : ndarray, shape (units,), optional
        How much of the estimate each unit is: the examples of a cluster, the tokens of a text. None
        where the units are single examples.
    clusters : int, optional
        Number of clusters, where the units are clusters and not examples.
    wrong, right : ndarray, shape (k,), optional
        What units that were not seen would contribute with the worst, and with the best, answers
        that are possible; the k-th of both are the same unit. None where that is not known.
    bounded : bool
        Whether nothing can contribute less than `wrong`, or more than `right`.
    """

    estimate: float
    values: Floats
    n: int
    sizes: Floats | None = None
    clusters: int | None = None
    wrong: Floats | None = None
    right: Floats | None = None
    bounded: bool = False

    @property
    def effective(self) -> float:
        """As how many units of equal size these count: (sum z)^2 / sum z^2."""
        if self.sizes is None:
            return float(len(self.values))
        return float(self.sizes.sum() ** 2 / (self.sizes**2).sum())

    @property
    def typical(self) -> float:
        """The size of the unit that an example, or a token, is in: sum z^2 / sum z; 1 of examples.

        What was not seen may be as large: of units of unequal size the mean is too small.
        """
        if self.sizes is None:
            return 1.0
        return float((self.sizes**2).sum() / self.sizes.sum())

    def gain_over(self, other: PseudoValues, *, higher_is_better: bool = True) -> PseudoValues:
        """Return the pseudo-values of this model's gain over another, above 0 where it is better.

        A unit that was not seen is the worst where this model is wrong on it and the other right.
        """
        sign = 1 if higher_is_better else -1

        def gain(mine: Floats | None, theirs: Floats | None) -> Floats | None:
            return None if mine is None or theirs is None else sign * (mine - theirs)

        return replace(
            self,
            estimate=sign * (self.estimate - other.estimate),
            values=sign * (self.values - other.values),
            wrong=gain(self.wrong, other.right),
            right=gain(self.right, other.wrong),
        )

    def turned(self) -> PseudoValues:
        """Return the same with the signs turned, so that more is better where less was."""
        wrong, right = (None if end is None else -end for end in (self.wrong, self.right))
        return replace(self, estimate=-self.estimate, values=-self.values, wrong=wrong, right=right)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know where there are few clusters, or texts."""
        if self.sizes is None:
            return ()
        return unit_notes(
            len(self.values), "text" if self.clusters is None else "cluster", self.effective
        )

    @property
    def too_few(self) -> bool:
        """Whether the clusters, or texts, are too few for any p-value to count."""
        return self.sizes is not None and self.effective < MIN_CLUSTERS - _ROUNDING


def of_mean(
    scores: ArrayLike, clusters: Clusters | None = None, ends: Ends | None = None
) -> PseudoValues:
    """Return the pseudo-values of a mean of per-example scores, shape (n,).

    Parameters
    ----------
    scores : array_like, shape (n,)
        One an example.
    clusters : sequence of hashable, optional
        The cluster of each example, length n.
    ends : tuple of float, optional
        The worst and the best score; an infinite one bounds nothing.
    """
    scores = np.asarray(scores, np.float64)
    rows = np.column_stack([scores, np.ones_like(scores)])
    extremes = None
    if ends is not None and all(map(math.isfinite, ends)):
        extremes = np.array([[ends[0], 1.0]]), np.array([[ends[1], 1.0]])
    found = of_metric(rows, _mean, clusters, extremes)
    # Without clusters each is its own score, to the last digit.
    return found if clusters is not None else replace(found, values=scores)


def of_metric(
    statistics: ArrayLike,
    aggregate: Aggregate,
    clusters: Clusters | None = None,
    extremes: Extremes | None = None,
    ends: Ends | None = None,
) -> PseudoValues:
    """Return the pseudo-values of a metric over the whole corpus.

    Parameters
    ----------
    statistics : array_like, shape (n, k)
        Sufficient statistics of each example.
    aggregate : callable
        Summed statistics, shape (..., k) -> (...): the metric.
    clusters : sequence of hashable, optional
        The cluster of each example, length n; whole clusters are left out.
    extremes : tuple of array_like, optional
        Statistics of the worst and of the best answers that an example can get.
    ends : tuple of float, optional
        The metric's worst and best value, which stand in for `extremes` that are not known.
    """
    rows = np.asarray(statistics, np.float64)
    _refuse_empty(rows)
    n, sizes = len(rows), None
    if clusters is not None:
        summed = sum_by_cluster(np.column_stack([rows, np.ones(n)]), clusters)
        rows, sizes = summed[:, :-1], summed[:, -1]
    units, totals = len(rows), rows.sum(axis=0)
    estimate = float(aggregate(totals))
    step = max(_CHUNK // rows.shape[1], 1)
    values = np.zeros(units)
    for start in range(0, units if units > 1 else 0, step):
        without = aggregate(totals - rows[start : start + step])
        values[start : start + step] = units * estimate - (units - 1) * without
    if units == 1:  # nothing is left without it
        values[:] = estimate
    if not np.isfinite(values).all():
        raise ValueError("the metric is not finite when one example is left out")
    found = PseudoValues(estimate, values, n, sizes, None if clusters is None else units)
    if extremes is not None:
        wrong, right = (_influence(found, totals, aggregate, end) for end in extremes)
        return replace(found, wrong=wrong, right=right, bounded=True)
    if ends is not None and all(map(math.isfinite, ends)):
        return replace(found, wrong=np.array(ends[:1]), right=np.array(ends[1:]))
    return found


def _mean(totals: Floats) -> Floats:
    return np.asarray(totals[..., 0] / totals[..., 1])


def _influence(
    found: PseudoValues, totals: Floats, aggregate: Aggregate, rows: ArrayLike
) -> Floats:
    """Return (G + 1) * metric with a unit that was not seen - G * metric, for G units.

    The unit is one example with such a row, or a cluster of typical size whose examples all have.
    """
    units = len(found.values)
    added = totals + found.typical * np.asarray(rows, np.float64)
    return np.asarray((units + 1) * aggregate(added) - units * found.estimate, np.float64)


def of_sums(values: ArrayLike, sizes: ArrayLike, clusters: Clusters | None = None) -> PseudoValues:
    """Return the sums of texts, or clusters of texts, as values of their mean.

    Parameters
    ----------
    values, sizes : array_like, shape (n,)
        What each text adds, and how many tokens (or other units) it has.
    clusters : sequence of hashable, optional
        The cluster of each text.
    """
    sums, weights = np.asarray(values, np.float64), np.asarray(sizes, np.float64)
    _refuse_empty(sums)
    n = len(sums)
    if clusters is not None:
        sums, weights = sum_by_cluster(np.column_stack([sums, weights]), clusters).T
    groups = None if clusters is None else len(sums)
    return PseudoValues(float(sums.mean()), sums, n, weights, groups)


def t_bounds(found: PseudoValues, level: float) -> tuple[float, float]:
    """Return one-sided bounds of a metric, each at confidence `level`, by Student's t.

    Infinite for a single unit, which has no variance.
    """
    units = len(found.values)
    if units < 2:
        return -math.inf, math.inf
    error = float(found.values.std(ddof=1)) / math.sqrt(units)
    half = float(stdtrit(units - 1, level)) * error
    return float(found.values.mean()) - half, float(found.values.mean()) + half


def sum_by_cluster(rows: ArrayLike, clusters: Clusters) -> Floats:
    """Return the sums over each cluster, in order of first appearance, shape (clusters, ...)."""
    rows = np.asarray(rows, np.float64)
    if len(clusters) != len(rows):
        raise ValueError(f"{len(clusters)} clusters for {len(rows)} examples: must be one for each")
    places: dict[Hashable, int] = {}
    codes = np.fromiter((places.setdefault(c, len(places)) for c in clusters), np.intp, len(rows))
    sums = np.zeros((len(places), *rows.shape[1:]))
    np.add.at(sums, codes, rows)
    return sums


def _refuse_empty(rows: Floats) -> None:
    if not len(rows):
        raise ValueError("no example to judge")
