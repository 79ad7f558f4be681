"""What confidences are worth: whether they are what they say, and when to ask a larger model.

A pair answers with the student where the student's confidence is at least a threshold, and with the
teacher else. The threshold of "all teacher" is infinity.

References
----------
Guo, C., Pleiss, G., Sun, Y. and Weinberger, K. Q. (2017). On Calibration of Modern Neural Networks.
ICML, section 2, equations 2 and 3.
Angelopoulos, A. N., Bates, S., Candes, E. J., Jordan, M. I. and Lei, L. (2021). Learn then Test:
Calibrating Predictive Algorithms to Achieve Risk Control. arXiv:2110.01052 (fixed sequence
testing).
Traub, J. et al. (2024). Overcoming Common Flaws in the Evaluation of Selective Classification
Systems. NeurIPS; arXiv:2407.01032 (AUGRC).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pytest_distill.statistics.jackknife import Clusters
from pytest_distill.statistics.results import Floats

Bools = NDArray[np.bool_]
Positions = NDArray[np.intp]

BINS = 15
SHARES = tuple(Fraction(k, 20) for k in range(1, 21))
"""Of the examples, for which a threshold is tried: a twentieth, two twentieths, ..., all."""
FOLDS = 5


class Bin(NamedTuple):
    """The answers whose confidence is in a bin: how many, their mean confidence, how many right.

    Both are shares in [0, 1].
    """

    n: int
    confidence: float
    right: float


def calibration_bins(confidences: ArrayLike, correct: ArrayLike, bins: int = BINS) -> list[Bin]:
    """Return the bins that hold an answer, of equal width, rising: a reliability diagram.

    Parameters
    ----------
    confidences : array_like, shape (n,)
        Probability of the answer that was given, in [0, 1].
    correct : array_like, shape (n,)
        Whether it was right.
    bins : int
        How many; bin m holds the confidences in ((m - 1) / bins, m / bins], 0 is in the first.
    """
    confidence, right, place = _placed(confidences, correct, bins)
    counts = np.bincount(place, minlength=bins)
    sums = (np.bincount(place, weights=each, minlength=bins) for each in (confidence, right))
    return [
        Bin(int(n), float(c / n), float(r / n)) for n, c, r in zip(counts, *sums, strict=True) if n
    ]


def calibration_error(confidences: ArrayLike, correct: ArrayLike, bins: int = BINS) -> float:
    r"""Return the expected calibration error (ECE), in bins of equal width.

    .. math:: \sum_m \frac{|B_m|}{n} \left| \mathrm{acc}(B_m) - \mathrm{conf}(B_m) \right|

    Bin m holds the confidences in ((m - 1) / M, m / M]; 0 is in the first. The number depends on
    that of the bins, and is biased upwards where a bin has few examples: compare only ECEs of
    equal n and M.

    Parameters
    ----------
    confidences : array_like, shape (n,)
        Probability of the answer that was given, in [0, 1].
    correct : array_like, shape (n,)
        Whether it was right.
    bins : int
        M.
    """
    confidence, right, place = _placed(confidences, correct, bins)
    gaps = np.bincount(place, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))


def _placed(
    confidences: ArrayLike, correct: ArrayLike, bins: int
) -> tuple[Floats, Floats, Positions]:
    """Return both as arrays, and the bin of each answer, from 0."""
    confidence, right = np.asarray(confidences, np.float64), np.asarray(correct, np.float64)
    if not len(confidence):
        raise ValueError("no example to judge")
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise ValueError("confidences beyond [0, 1]: calibration is about probabilities")
    place = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence, side="left")
    return confidence, right, place


def thresholds(confidences: ArrayLike, shares: Iterable[Fraction] = SHARES) -> list[float]:
    """Return for each share the highest threshold at which the student handles at least so much.

    They depend on the confidences alone and on no score, so that they may be tested on the same
    examples.

    Parameters
    ----------
    confidences : array_like, shape (n,)
        The student's, finite; higher is surer.
    shares : iterable of Fraction
        In (0, 1].

    Returns
    -------
    list of float
        Falling, each once: examples of equal confidence are handled together or not at all.
    """
    falling = np.sort(np.asarray(confidences, np.float64))[::-1]
    n = len(falling)
    places = sorted({math.ceil(share * n) - 1 for share in shares})
    return list(dict.fromkeys(float(falling[place]) for place in places)) if n else []


def fixed_sequence(falling: Sequence[float], passes: Callable[[float], bool]) -> float:
    """Return the last threshold that passed before the first that did not; infinity without one.

    Each is tested at the full level. To miss the target, the first threshold that misses it must
    pass its own test, and what comes after a failure is never looked at: so the chance is at most
    the level of one test, however many there are.

    Parameters
    ----------
    falling : sequence of float
        Thresholds, in an order that does not depend on the scores.
    passes : callable
        Whether a threshold is shown to keep the target.
    """
    chosen = math.inf
    for threshold in falling:
        if not passes(threshold):
            break
        chosen = threshold
    return chosen


def folds(n: int, clusters: Clusters | None = None, k: int = FOLDS, seed: int = 0) -> Positions:
    """Return the fold of each example, shape (n,): whole clusters in one, of about equal number.

    There are fewer than `k` folds where there are fewer examples or clusters.
    """
    places: dict[Hashable, int] = {}
    units = [
        places.setdefault(u, len(places)) for u in (range(n) if clusters is None else clusters)
    ]
    dealt = np.random.default_rng(seed).permutation(len(places)) % k
    return np.asarray(dealt[units], np.intp)


def cross_fitted(
    confidences: ArrayLike,
    fold: Positions,
    passes: Callable[[Bools, Positions], bool],
    shares: Iterable[Fraction] = SHARES,
) -> Bools:
    """Return which examples the student handles if none has a say in its own threshold.

    For every fold the threshold is chosen on all others, by `fixed_sequence`.

    Parameters
    ----------
    confidences : array_like, shape (n,)
        The student's.
    fold : ndarray, shape (n,)
        The fold of each example.
    passes : callable
        Whether the target is shown to be kept: which of the examples the student handles, and
        which examples these are.
    shares : iterable of Fraction
        As for `thresholds`.
    """
    confidence, shares = np.asarray(confidences, np.float64), tuple(shares)
    handled = np.zeros(len(confidence), bool)
    for held_out in np.unique(fold):
        others = np.flatnonzero(fold != held_out)
        mine = confidence[others]

        def keeps(threshold: float, mine: Floats = mine, others: Positions = others) -> bool:
            return passes(mine >= threshold, others)

        threshold = fixed_sequence(thresholds(mine, shares), keeps)
        handled[fold == held_out] = confidence[fold == held_out] >= threshold
    return handled


def augrc(confidences: ArrayLike, residuals: ArrayLike) -> float:
    r"""Return the area under the generalized risk-coverage curve; lower is better.

    The generalized risk at a threshold is the share of *all* examples that are both answered and
    wrong, and the area is its mean over all coverages:

    .. math:: \int_0^1 P(\text{wrong}, g \ge \tau) \, dP(g \ge \tau)

    0 for a model that is never wrong, 1/2 for one that always is. Examples of equal confidence are
    answered at once, and the curve is a straight line between: the mean over all their orders. For
    0/1 residuals it is (1 - AUROC) a (1 - a) + (1 - a)^2 / 2 with a the accuracy, ties counting one
    half in AUROC.

    Parameters
    ----------
    confidences : array_like, shape (n,)
        Higher is surer.
    residuals : array_like, shape (n,)
        How wrong each answer is, in [0, 1].
    """
    confidence, wrong = np.asarray(confidences, np.float64), np.asarray(residuals, np.float64)
    if not len(confidence):
        raise ValueError("no example to judge")
    _, group, sizes = np.unique(-confidence, return_inverse=True, return_counts=True)
    steps = np.bincount(group, weights=wrong)
    before = np.cumsum(steps) - steps
    return float((sizes * (before + steps / 2)).sum() / len(confidence) ** 2)
