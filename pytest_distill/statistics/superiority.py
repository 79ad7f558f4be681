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

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import bdtrc, ndtr

from pytest_distill.statistics.difference import proportion_difference
from pytest_distill.statistics.jackknife import Aggregate, Clusters, sum_by_cluster
from pytest_distill.statistics.results import Floats

N_RESAMPLES = 9999
MOST_UNITS = 2**13
"""More units than these are flipped in blocks."""
_COUNTED = 10**7  # of more coins the normal law is as exact as the sum, and has no greatest count
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
    notes : tuple of str
        What a reader must know beside the numbers.
    """

    p_value: float
    gain: float
    wins: int | None
    losses: int | None
    ties: int | None
    method: str
    n: int
    clusters: int | None = None
    notes: tuple[str, ...] = ()


def proportion_test(
    student: ArrayLike, other: ArrayLike, min_gain: float = 0.0, *, mid_p: bool = False
) -> PairedTest:
    """Test paired 0/1 scores: exact McNemar, or Tango's score test of a gain other than 0.

    P(X >= wins) with X ~ Binomial(wins + losses, 1/2); with `mid_p` the probability of exactly
    `wins` counts half. Without a win or a loss, p = 1. Tango's p is exact up to 20,000 examples:
    the greatest over what the hypothesis leaves open.

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
    counted = proportion_difference(student, other)
    wins, losses, n = counted.wins, counted.losses, counted.n
    if min_gain:
        p, method = counted.p_retained(min_gain), "score (Tango)"
    else:
        p = mcnemar_p(wins, losses, mid_p=mid_p)
        method = "exact McNemar" + (", mid-p" if mid_p else "")
    return PairedTest(p, counted.observed, wins, losses, n - wins - losses, method, n)


def win_counts(gains: Floats) -> tuple[int, int, int]:
    """Return on how many examples the student does better, worse and the same."""
    wins, losses = int((gains > 0).sum()), int((gains < 0).sum())
    return wins, losses, len(gains) - wins - losses


def mcnemar_p(wins: int, losses: int, *, mid_p: bool = False) -> float:
    """Return P(X >= wins), X ~ Binomial(wins + losses, 1/2); 1 without a win or a loss."""
    n = wins + losses
    if not n:
        return 1.0
    at_least = _at_least(wins, n)
    return (at_least + _at_least(wins + 1, n)) / 2 if mid_p else at_least


def _at_least(wins: int, n: int) -> float:
    if wins <= 0 or wins > n:
        return float(wins <= 0)
    if n <= _COUNTED:
        return float(bdtrc(wins - 1, n, 0.5))
    return float(ndtr((n / 2 - (wins - 0.5)) / (math.sqrt(n) / 2)))


def sign_flip_p(
    units: Floats, *, n_resamples: int = N_RESAMPLES, rng: RNG = 0
) -> tuple[float, bool]:
    """Return p of "as likely above 0 as below" for sums of `units`, and whether all were looked at.

    Parameters
    ----------
    units : ndarray, shape (n,)
        What flips together.
    """
    source = np.random.default_rng(rng)
    moved = _blocks(units[units != 0], source)
    observed = moved.sum()
    slack = _TOLERANCE * np.abs(moved).sum()
    exact = _enumerable(len(moved), n_resamples)
    # Flipping the signs of a set of differences takes twice their sum off.
    sums = _sums_of_sets(moved)
    hits = sum(
        int((observed - 2 * sums(octets) >= observed - slack).sum())
        for octets in _sets(len(moved), n_resamples, exact, source)
    )
    return _p(hits, 2 ** len(moved) if exact else n_resamples, exact), exact


def randomization_p(
    mine: Floats,
    theirs: Floats,
    aggregate: Aggregate,
    min_gain: float = 0.0,
    *,
    higher_is_better: bool = True,
    clusters: Clusters | None = None,
    n_resamples: int = N_RESAMPLES,
    rng: RNG = 0,
) -> tuple[float, bool]:
    """Return p of "the two models' outputs are exchangeable", and whether all swaps were looked at.

    Parameters
    ----------
    mine, theirs : ndarray, shape (n, k)
        Statistics of the two.
    aggregate, higher_is_better, clusters
        Of their `Scoring`.
    min_gain, n_resamples, rng
        As for `Scoring.resampling_test`.
    """
    if mine.shape != theirs.shape or mine.ndim != 2:
        raise ValueError(f"shapes {mine.shape} and {theirs.shape}: must be the same (n, k)")
    total, total_of_other = mine.sum(axis=0), theirs.sum(axis=0)
    change = theirs - mine
    if clusters is not None:
        change = sum_by_cluster(change, clusters)
    source = np.random.default_rng(rng)
    change = _blocks(change[(change != 0).any(axis=1)], source)
    sign = 1 if higher_is_better else -1

    def gain(swapped: Floats) -> Floats:
        return sign * (aggregate(total + swapped) - aggregate(total_of_other - swapped))

    observed = float(gain(np.zeros_like(total)))
    exact = _enumerable(len(change), n_resamples)
    hits = 0
    for octets in _sets(len(change), n_resamples, exact, source):
        swaps = np.unpackbits(octets, axis=1, count=len(change), bitorder="little")
        gains = gain(swaps.astype(np.float64) @ change)
        if not np.isfinite(gains).all():
            raise ValueError("the metric is not finite when outputs are swapped")
        hits += int((gains >= observed - min_gain - _TOLERANCE * max(abs(observed), 1e-300)).sum())
    return _p(hits, 2 ** len(change) if exact else n_resamples, exact), exact


def _blocks(units: Floats, source: np.random.Generator) -> Floats:
    """Return the sums of blocks of units, drawn at random, where there are many.

    If flips of single units leave the hypothesis as it is, so do flips of whole blocks.
    """
    if len(units) <= MOST_UNITS:
        return units
    blocks = source.permutation(len(units)) % MOST_UNITS
    sums = np.zeros((MOST_UNITS, *units.shape[1:]))
    np.add.at(sums, blocks, units)
    return sums


def _enumerable(units: int, n_resamples: int) -> bool:
    return units < 63 and 2**units <= n_resamples


def _sets(
    units: int, n_resamples: int, exact: bool, source: np.random.Generator
) -> Iterator[Octets]:
    """Yield sets of units, one a row, a bit a unit: all sets, or random ones, some at a time."""
    width = -(-units // 8)
    if exact:
        yield np.arange(2**units, dtype="<u8").view(np.uint8).reshape(-1, 8)[:, :width]
        return
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
