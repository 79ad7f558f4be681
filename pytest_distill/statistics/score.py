"""The score statistics of paired proportions: of their ratio, and of their difference."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from pytest_distill.statistics.results import Floats


def score_statistic(
    both: ArrayLike, teacher_only: ArrayLike, student_only: ArrayLike, ratio: ArrayLike
) -> Floats:
    r"""Return the score statistic of "student = ratio * teacher", standard normal if it is so.

    With a, b, c the three counts, u = a + b + c and m the ratio:

    .. math:: z = \frac{(a + c) - m (a + b)}{\sqrt{V}}, \quad V = (1 + m) Q - (1 - m) u

    where Q, the expected number of `teacher_only` under the constraint, is the larger root of
    (1 + m) Q^2 + ((a + b) m^2 - (a + c + 2 b)) Q + b (1 - m) u = 0. These are the published
    formulas with every probability times n; n itself and the examples that neither model got right
    cancel. It falls as m grows.

    Parameters
    ----------
    both, teacher_only, student_only : array_like
        Counts, or expected proportions; they broadcast.
    ratio : array_like
        The ratio m, at least 0.

    Returns
    -------
    ndarray
        The statistic; 0 where numerator and variance vanish, infinite where only the variance does.

    References
    ----------
    Nam and Blackwelder (2002), Statistics in Medicine 21:689-699, section 2.
    """
    a, b, c, m = (np.asarray(x, np.float64) for x in (both, teacher_only, student_only, ratio))
    gap = np.asarray((a + c) - m * (a + b))
    return _over_root(gap, ratio_variance(a, b, c, m))


def ratio_variance(a: Floats, b: Floats, c: Floats, m: Floats) -> Floats:
    """Return V of `score_statistic`: n times the variance of S - m T under the constraint."""
    u = a + b + c
    q = _larger_root(1 + m, (a + b) * m**2 - (a + c + 2 * b), b * (1 - m) * u)
    return np.asarray(np.maximum((1 + m) * q - (1 - m) * u, 0.0))


def difference_statistic(
    wins: ArrayLike, losses: ArrayLike, n: ArrayLike, gain: ArrayLike
) -> Floats:
    r"""Return the score statistic of "proportions differ by gain", standard normal if it is so.

    With c wins, b losses and g the gain:

    .. math:: z = \frac{c - b - n g}{\sqrt{n (2 q + g (1 - g))}}

    where q, the probability of a loss under the constraint, is the larger root of
    2 n q^2 + (g (2 n + b - c) - (b + c)) q - b g (1 - g) = 0. For g = 0 it is McNemar's.

    References
    ----------
    Tango, T. (1998). Equivalence test and confidence interval for the difference in proportions for
    the paired-sample design. Statistics in Medicine 17:891-908.
    """
    c, b, n, g = (np.asarray(x, np.float64) for x in (wins, losses, n, gain))
    q = _larger_root(2 * n, g * (2 * n + b - c) - (b + c), -b * g * (1 - g))
    variance = np.maximum(n * (2 * q + g * (1 - g)), 0.0)
    return _over_root(np.asarray(c - b - n * g), np.asarray(variance))


def _larger_root(a: Floats, b: Floats, c: Floats) -> Floats:
    """Return the larger root of a x^2 + b x + c, a > 0, without cancellation."""
    root = np.sqrt(np.maximum(b**2 - 4 * a * c, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(b <= 0, (root - b) / (2 * a), -2 * c / (root + b)))


def _over_root(value: Floats, variance: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(value == 0, 0.0, value / np.sqrt(variance)))
