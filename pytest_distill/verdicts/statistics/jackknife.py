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
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from pytest_distill.verdicts.statistics.results import Floats

Aggregate = Callable[[NDArray[Any]], NDArray[np.float64]]
Clusters = Sequence[Hashable]

_CHUNK = 2**21


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
    clusters : int, optional
        Number of clusters, where the units are clusters and not examples.
    """

    estimate: float
    values: Floats
    n: int
    clusters: int | None = None


def of_mean(scores: ArrayLike, clusters: Clusters | None = None) -> PseudoValues:
    """Return the pseudo-values of a mean of per-example scores, shape (n,)."""
    scores = np.asarray(scores, np.float64)
    if clusters is None:
        _refuse_empty(scores)
        return PseudoValues(float(scores.mean()), scores, len(scores))
    rows = np.column_stack([scores, np.ones_like(scores)])
    return of_metric(rows, lambda totals: totals[..., 0] / totals[..., 1], clusters)


def of_metric(
    statistics: ArrayLike, aggregate: Aggregate, clusters: Clusters | None = None
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
    """
    rows = np.asarray(statistics, np.float64)
    _refuse_empty(rows)
    n = len(rows)
    if clusters is not None:
        rows = sum_by_cluster(rows, clusters)
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
    return PseudoValues(estimate, values, n, None if clusters is None else units)


def t_bounds(found: PseudoValues, level: float) -> tuple[float, float]:
    """Return one-sided bounds of a metric, each at confidence `level`, by Student's t.

    Infinite for a single unit, of which nothing is told.
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
