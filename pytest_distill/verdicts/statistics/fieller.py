"""The t test of a ratio of two means, and its interval.

Fieller's idea: "mean(x) = m * mean(y)" is a one-sample test on x - m*y.

References
----------
Fieller, E. C. (1954). Some problems in interval estimation. Journal of the Royal Statistical
Society B 16:175-185.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pytest_distill.verdicts.statistics.results import Floats


@dataclass(frozen=True, slots=True)
class RatioMoments:
    """What the t test of x - m*y needs, split at the observed ratio r.

    With e = x - r*y, x - m*y = e + (r - m)*y: nothing cancels when x is nearly r*y.

    Parameters
    ----------
    ratio : float
        mean(x) / mean(y).
    bottom : float
        mean(y), above 0.
    v_ee, v_ey, v_yy : float
        Variances and covariance of the means of e and y.
    df : int
        Degrees of freedom; 0 where there is no variance to estimate.
    """

    ratio: float
    bottom: float
    v_ee: float
    v_ey: float
    v_yy: float
    df: int

    def statistic(self, ratio: float) -> float:
        """Return t of "the ratio is `ratio`"."""
        gap = self.ratio - ratio
        variance = self.v_ee + 2 * gap * self.v_ey + gap**2 * self.v_yy
        if gap == 0 or self.df < 1:
            return 0.0
        if variance <= 0:
            return math.copysign(math.inf, gap)
        return gap * self.bottom / math.sqrt(variance)

    def bottom_above_zero(self, t: float) -> bool:
        """Return whether mean(y) lies more than t standard errors above 0."""
        return self.df > 0 and self.bottom > t * math.sqrt(self.v_yy)

    def lower(self, t: float, least: float) -> float:
        """Return the greatest ratio up to which every one, from `least` on, has a t above `t`.

        With g = r - m it is the smaller positive root of
        (mean(y)^2 - t^2 v_yy) g^2 - 2 t^2 v_ey g - t^2 v_ee = 0, if there is one.
        """
        if self.df < 1 or (not self.bottom_above_zero(t) and self.statistic(least) < t):
            return least
        lead, root = self._lead_and_root(t)
        if self.v_ey < 0:
            gap = t**2 * self.v_ee / (root - t**2 * self.v_ey)
        else:
            gap = (t**2 * self.v_ey + root) / lead
        return max(self.ratio - gap, least)

    def upper(self, t: float) -> float:
        """Return the least ratio from which on every one has a t under -`t`; may be infinite."""
        if not self.bottom_above_zero(t):
            return math.inf
        lead, root = self._lead_and_root(t)
        if self.v_ey > 0:
            gap = t**2 * self.v_ee / (root + t**2 * self.v_ey)
        else:
            gap = (root - t**2 * self.v_ey) / lead
        return self.ratio + gap

    def _lead_and_root(self, t: float) -> tuple[float, float]:
        lead = self.bottom**2 - t**2 * self.v_yy
        return lead, t * math.sqrt(max(t**2 * self.v_ey**2 + self.v_ee * lead, 0.0))


def ratio_moments(top: float, bottom: float, x: Floats, y: Floats) -> RatioMoments:
    """Return the moments of paired values.

    Parameters
    ----------
    top, bottom : float
        The estimates that `x` and `y` are the (pseudo-)values of; `bottom` is above 0.
    x, y : ndarray, shape (n,)
        Values, one an independent unit.
    """
    n, ratio = len(x), top / bottom
    if n < 2:
        return RatioMoments(ratio, bottom, 0.0, 0.0, 0.0, 0)
    e = x - ratio * y
    e, y = e - e.mean(), y - y.mean()
    v_ee, v_ey, v_yy = (float(np.dot(p, q)) / n / (n - 1) for p, q in ((e, e), (e, y), (y, y)))
    return RatioMoments(ratio, bottom, v_ee, v_ey, v_yy, n - 1)
