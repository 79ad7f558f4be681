"""Whether one student beats another: paired tests of "no better", one-sided.

References
----------
McNemar, Q. (1947). Note on the sampling error of the difference between correlated proportions or
percentages. Psychometrika 12:153-157.
Phipson, B. and Smyth, G. K. (2010). Permutation p-values should never be zero. Statistical
Applications in Genetics and Molecular Biology 9:39.
Riezler, S. and Maxwell, J. T. (2005). On some pitfalls in automatic evaluation and significance
testing for MT. ACL Workshop on Intrinsic and Extrinsic Evaluation Measures, 57-64.
Dror, R. et al. (2018). The hitchhiker's guide to testing statistical significance in natural
language processing. ACL, 1383-1392.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtrc, ndtr

from pytest_distill.verdicts.statistics.jackknife import Aggregate, Clusters, sum_by_cluster
from pytest_distill.verdicts.statistics.results import Floats
from pytest_distill.verdicts.statistics.score import difference_statistic

N_RESAMPLES = 9999
_CHUNK = 2**18
_TOLERANCE = 1e-9  # sums that differ by rounding alone are ties, and ties count as hits

RNG = int | np.random.Generator
Octets = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class PairedTest:
    """A one-sided test of "the student is no better than the other by more than `min_gain`".

    Parameters
    ----------
    p_value : float
        Small where the student is better. Never 0.
    gain : float
        The observed gain, above 0 where the student is better.
    wins, losses, ties : int, optional
        Examples on which the student does better, worse and the same; None where not known.
    method : str
        How `p_value` was reached.
    n : int
        Number of examples.
    clusters : int, optional
        Number of clusters, where the examples come in clusters.
    """

    p_value: float
    gain: float
    wins: int | None
    losses: int | None
    ties: int | None
    method: str
    n: int
    clusters: int | None = None


def proportion_test(
    student: ArrayLike, other: ArrayLike, min_gain: float = 0.0, *, mid_p: bool = False
) -> PairedTest:
    """Test paired 0/1 scores: exact McNemar, or Tango's score test of a gain other than 0.

    P(X >= wins) with X ~ Binomial(wins + losses, 1/2); with `mid_p` the probability of exactly
    `wins` counts half. Without a win or a loss, p = 1.

    Parameters
    ----------
    student, other : array_like, shape (n,)
        Scores of the same examples, each 0 or 1, 1 the better.
    min_gain : float
        The gain in the proportion that must be exceeded.
    mid_p : bool
        Use the mid-p value (Fagerland et al. 2013, BMC Medical Research Methodology 13:91), less
        conservative and no longer exact.
    """
    gains = np.asarray(student, np.float64) - np.asarray(other, np.float64)
    if not np.isin(gains, (-1.0, 0.0, 1.0)).all():
        raise ValueError("scores other than 0 and 1: use sign_flip_test")
    wins, losses = int((gains > 0).sum()), int((gains < 0).sum())
    if min_gain:
        p = float(ndtr(-difference_statistic(wins, losses, len(gains), min_gain)))
        return _result(gains, float(gains.mean()), p, "score (Tango)")
    method = "exact McNemar" + (", mid-p" if mid_p else "")
    return _result(gains, float(gains.mean()), mcnemar_p(wins, losses, mid_p=mid_p), method)


def mcnemar_p(wins: int, losses: int, *, mid_p: bool = False) -> float:
    """Return P(X >= wins), X ~ Binomial(wins + losses, 1/2); 1 without a win or a loss."""
    n = wins + losses
    if not n:
        return 1.0
    at_least = float(bdtrc(wins - 1, n, 0.5)) if wins else 1.0
    if not mid_p:
        return at_least
    above = float(bdtrc(wins, n, 0.5)) if wins < n else 0.0
    return (at_least + above) / 2


def sign_flip_test(
    student: ArrayLike,
    other: ArrayLike,
    min_gain: float = 0.0,
    *,
    higher_is_better: bool = True,
    clusters: Clusters | None = None,
    n_resamples: int = N_RESAMPLES,
    rng: RNG = 0,
) -> PairedTest:
    """Test a mean of per-example scores: flip the signs of the differences.

    All 2^k outcomes are looked at where k differences are not 0 and that is no more than
    `n_resamples`; else p = (hits + 1) / (n_resamples + 1). Whole clusters flip together.

    Parameters
    ----------
    student, other : array_like, shape (n,)
        Scores of the same examples.
    min_gain : float
        The mean gain that must be exceeded; it is taken off each difference.
    higher_is_better : bool
        The metric's direction.
    clusters : sequence of hashable, optional
        The cluster of each example.
    n_resamples : int
        Number of random flips.
    rng : int or Generator
        Seed, or source of randomness.
    """
    gains = np.asarray(student, np.float64) - np.asarray(other, np.float64)
    gains = gains if higher_is_better else -gains
    units = gains - min_gain
    if clusters is not None:
        units = sum_by_cluster(units, clusters)
    groups = None if clusters is None else len(units)
    moved = units[units != 0]
    observed = moved.sum()
    slack = _TOLERANCE * np.abs(moved).sum()
    exact = _enumerable(len(moved), n_resamples)
    # Flipping the signs of a set of differences takes twice their sum off.
    sums = _sums_of_sets(moved)
    hits = sum(
        int((observed - 2 * sums(octets) >= observed - slack).sum())
        for octets in _sets(len(moved), n_resamples, exact, rng)
    )
    p = _p(hits, 2 ** len(moved) if exact else n_resamples, exact)
    return _result(gains, float(gains.mean()), p, _name("sign-flip permutation", exact), groups)


def randomization_test(
    student: ArrayLike,
    other: ArrayLike,
    aggregate: Aggregate,
    min_gain: float = 0.0,
    *,
    example_gains: ArrayLike | None = None,
    higher_is_better: bool = True,
    clusters: Clusters | None = None,
    n_resamples: int = N_RESAMPLES,
    rng: RNG = 0,
) -> PairedTest:
    """Test a metric over the whole corpus: swap the two models' outputs of an example.

    Approximate randomization; exact, and seeded, as `sign_flip_test` is. With `min_gain` the gains
    of the swapped corpora, which lie around 0, are compared with the observed gain less
    `min_gain`.

    Parameters
    ----------
    student, other : array_like, shape (n, k)
        Sufficient statistics of the same examples, with the same columns: rows of both models from
        one call of the metric.
    aggregate : callable
        Summed statistics, shape (..., k) -> (...): the metric.
    min_gain : float
        The gain in the metric that must be exceeded.
    example_gains : array_like, shape (n,), optional
        Student's score less the other's of each example, above 0 where the student is better: for
        wins, losses and ties alone.
    higher_is_better, clusters, n_resamples, rng
        As for `sign_flip_test`.
    """
    mine, theirs = np.asarray(student, np.float64), np.asarray(other, np.float64)
    if mine.shape != theirs.shape or mine.ndim != 2:
        raise ValueError(f"shapes {mine.shape} and {theirs.shape}: must be the same (n, k)")
    n, total, total_of_other = len(mine), mine.sum(axis=0), theirs.sum(axis=0)
    change = theirs - mine
    if clusters is not None:
        change = sum_by_cluster(change, clusters)
    groups = None if clusters is None else len(change)
    change = change[(change != 0).any(axis=1)]
    sign = 1 if higher_is_better else -1

    def gain(swapped: Floats) -> Floats:
        return sign * (aggregate(total + swapped) - aggregate(total_of_other - swapped))

    observed = float(gain(np.zeros_like(total)))
    exact = _enumerable(len(change), n_resamples)
    hits = 0
    for octets in _sets(len(change), n_resamples, exact, rng):
        swaps = np.unpackbits(octets, axis=1, count=len(change), bitorder="little")
        gains = gain(swaps.astype(np.float64) @ change)
        if not np.isfinite(gains).all():
            raise ValueError("the metric is not finite when outputs are swapped")
        hits += int((gains >= observed - min_gain - _TOLERANCE * max(abs(observed), 1e-300)).sum())
    p = _p(hits, 2 ** len(change) if exact else n_resamples, exact)
    method = _name("approximate randomization", exact)
    if example_gains is None:
        return PairedTest(p, observed, None, None, None, method, n, groups)
    return _result(np.asarray(example_gains, np.float64), observed, p, method, groups)


def _enumerable(units: int, n_resamples: int) -> bool:
    return units < 63 and 2**units <= n_resamples


def _sets(units: int, n_resamples: int, exact: bool, rng: RNG) -> Iterator[Octets]:
    """Yield sets of units, one a row, a bit a unit: all sets, or random ones, some at a time."""
    width = -(-units // 8)
    if exact:
        yield np.arange(2**units, dtype="<u8").view(np.uint8).reshape(-1, 8)[:, :width]
        return
    source = np.random.default_rng(rng)
    step = max(_CHUNK // width, 1)
    for start in range(0, n_resamples, step):
        yield source.integers(0, 256, (min(step, n_resamples - start), width), np.uint8)


def _sums_of_sets(values: Floats) -> Callable[[Octets], Floats]:
    """Return what sums `values` over sets, from a table of the 256 sums of each eight of them."""
    width = -(-len(values) // 8)
    eights = np.zeros((width, 8))
    eights.ravel()[: len(values)] = values
    bits = np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little")
    table, places = (eights @ bits.T).ravel(), 256 * np.arange(width)
    return lambda octets: np.asarray(table[octets + places].sum(axis=1), np.float64)


def _p(hits: int, outcomes: int, exact: bool) -> float:
    return hits / outcomes if exact else (hits + 1) / (outcomes + 1)


def _name(method: str, exact: bool) -> str:
    return f"{method}, all outcomes" if exact else method


def _result(
    gains: Floats, gain: float, p: float, method: str, clusters: int | None = None
) -> PairedTest:
    wins, losses = int((gains > 0).sum()), int((gains < 0).sum())
    return PairedTest(
        p, gain, wins, losses, len(gains) - wins - losses, method, len(gains), clusters
    )
