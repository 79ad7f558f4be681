"""Whether a model's probabilities are what they say.

References
----------
Guo, C., Pleiss, G., Sun, Y. and Weinberger, K. Q. (2017). On Calibration of Modern Neural Networks.
ICML, section 2, equations 2 and 3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

BINS = 15


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
    confidence, right = np.asarray(confidences, np.float64), np.asarray(correct, np.float64)
    if not len(confidence):
        raise ValueError("no example to judge")
    if not ((confidence >= 0) & (confidence <= 1)).all():
        raise ValueError("confidences beyond [0, 1]: calibration is about probabilities")
    place = np.searchsorted(np.linspace(0, 1, bins + 1)[1:-1], confidence, side="left")
    gaps = np.bincount(place, weights=right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(confidence))
