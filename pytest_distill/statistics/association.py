"""Whether predicted labels go with the gold labels, against them, or with neither.

References
----------
Gorodkin, J. (2004). Comparing two K-category assignments by a K-category correlation coefficient.
Computational Biology and Chemistry 28:367-374, equation 8.
Fisher, R. A. (1935). The logic of inductive inference. Journal of the Royal Statistical Society
98:39-82 (the exact test of a 2 x 2 table).
Daniels, H. E. (1944). The relation between measures of correlation in the universe of sample
permutations. Biometrika 33:129-135 (moments of a sum over random pairings).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, stdtr

from pytest_distill.statistics.jackknife import Clusters, PseudoValues, t_bounds
from pytest_distill.statistics.results import Floats

Codes = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Association:
    """The Matthews correlation of predicted and gold labels, and what is shown of it.

    Parameters
    ----------
    estimate : float
        In [-1, 1]; 0 where either side has one label alone.
    lower, upper : float
        Two-sided bounds: delete-one jackknife over examples or clusters, with Student's t.
    p_above, p_below : float
        One-sided p of "the predictions are paired with the gold labels at random".
    level : float
        What one side of the bounds may err.
    """

    estimate: float
    lower: float
    upper: float
    p_above: float
    p_below: float
    level: float

    @property
    def above(self) -> bool:
        """Whether bound and test both show it above 0: few examples make either one too sure."""
        return self.lower > 0 and self.p_above <= self.level

    @property
    def below(self) -> bool:
        """Whether bound and test both show it below 0."""
        return self.upper < 0 and self.p_below <= self.level


def association(
    gold: Sequence[str],
    predicted: Sequence[str],
    clusters: Clusters | None = None,
    confidence: float = 0.95,
) -> Association:
    """Return how predicted labels go with gold labels.

    The jackknife needs no independence of the two where they don't correlate, but has no width
    where every example is right. The permutation test is Fisher's exact one for two labels, else a
    t approximation with the exact mean and variance of the number of matches. With clusters the
    table counts as many examples as there are clusters, as if each held one.
    """
    names = {label: code for code, label in enumerate(sorted({*gold, *predicted}))}
    g = np.fromiter((names[label] for label in gold), np.intp, len(gold))
    p = np.fromiter((names[label] for label in predicted), np.intp, len(predicted))
    units = np.arange(len(g)) if clusters is None else np.unique(np.array(clusters), False, True)[1]
    n_units = int(units.max()) + 1
    level = (1 - confidence) / 2
    found = _pseudo_values(g, p, units, n_units, len(names))
    lower, upper = t_bounds(found, 1 - level)
    counts = np.zeros((len(names), len(names)))
    np.add.at(counts, (g, p), 1.0)
    above, below = _random_pairing(counts * n_units / len(g))
    return Association(found.estimate, lower, upper, above, below, level)


def _pseudo_values(
    gold: Codes, predicted: Codes, units: Codes, n_units: int, labels: int
) -> PseudoValues:
    """Return the correlation and its pseudo-values, from sums that leaving out a unit changes."""
    n, hit = len(gold), gold == predicted
    t, p = (np.bincount(side, minlength=labels).astype(np.float64) for side in (gold, predicted))

    def per_unit(values: Floats) -> Floats:
        return np.asarray(np.bincount(units, values, minlength=n_units), np.float64)

    size, right = per_unit(np.ones(n)), per_unit(hit.astype(np.float64))
    crossed = t @ p - per_unit(p[gold]) - per_unit(t[predicted])
    crossed += _pairs(units, gold, predicted, n_units, labels)
    t_squared = t @ t - 2 * per_unit(t[gold]) + _pairs(units, gold, gold, n_units, labels)
    p_squared = p @ p - 2 * per_unit(p[predicted])
    p_squared += _pairs(units, predicted, predicted, n_units, labels)
    whole = _correlation(*(np.array([v], np.float64) for v in (n, hit.sum(), t @ p, t @ t, p @ p)))
    estimate = float(whole[0])
    without = _correlation(n - size, hit.sum() - right, crossed, t_squared, p_squared)
    return PseudoValues(estimate, n_units * estimate - (n_units - 1) * without, n)


def _pairs(units: Codes, one: Codes, other: Codes, n_units: int, labels: int) -> Floats:
    """Return for each unit the sum over labels of how often each side has them, multiplied."""
    first, counts = np.unique(units * labels + one, return_counts=True)
    second, others = np.unique(units * labels + other, return_counts=True)
    both, i, j = np.intersect1d(first, second, assume_unique=True, return_indices=True)
    return np.bincount(both // labels, counts[i] * others[j], minlength=n_units).astype(np.float64)


def _correlation(n: Floats, right: Floats, crossed: Floats, gold: Floats, said: Floats) -> Floats:
    spread = (n**2 - gold) * (n**2 - said)
    found = np.zeros(len(spread))
    np.divide(right * n - crossed, np.sqrt(np.maximum(spread, 0.0)), out=found, where=spread > 0)
    return np.asarray(np.clip(found, -1.0, 1.0))


def _random_pairing(counts: Floats) -> tuple[float, float]:
    """Return the one-sided p of as many matches, or as few, were the labels paired at random."""
    if len(counts) == 2:
        return _fisher(np.rint(counts))
    n, right = float(counts.sum()), float(np.trace(counts))
    t, p = counts.sum(axis=1), counts.sum(axis=0)
    crossed = float(t @ p)
    squares = float((t * p * (t + p)).sum())
    if n <= 1:
        return 1.0, 1.0
    variance = (crossed**2 + n**2 * crossed - n * squares) / (n**2 * (n - 1))
    if variance <= 0:
        return 1.0, 1.0
    scale = math.sqrt(variance)
    more, less = (right - crossed / n - 0.5) / scale, (crossed / n - right - 0.5) / scale
    return float(stdtr(n - 1, -more)), float(stdtr(n - 1, -less))


def _fisher(counts: Floats) -> tuple[float, float]:
    a, n = counts[0, 0], counts.sum()
    gold, said = counts[0].sum(), counts[:, 0].sum()
    x = np.arange(max(0.0, gold + said - n), min(gold, said) + 1)
    logs = _log_choose(gold, x) + _log_choose(n - gold, said - x) - _log_choose(n, said)
    chances = np.exp(logs)
    # As many on the diagonal is as many in its first cell: the margins stand.
    return min(float(chances[x >= a].sum()), 1.0), min(float(chances[x <= a].sum()), 1.0)


def _log_choose(n: float, k: Floats) -> Floats:
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))
