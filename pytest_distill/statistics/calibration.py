"""Whether a model's probabilities are what they say.

References
----------
Guo, C., Pleiss, G., Sun, Y. and Weinberger, K. Q. (2017). On Calibration of Modern Neural Networks.
ICML, section 2, equations 2 and 3.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

BINS = 15


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
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.intp]]:
    """Return both as arrays, and the bin of each answer, from 0."""
    confidence, right = np.asarray(confidences, np.float64), np.asarray(correct, np.float64)
    if not len(confidence):
        raise ValueError("no example to judge")
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise ValueError("confidences beyond [0, 1]: calibration is about probabilities")
    place = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence, side="left")
    return confidence, right, place
