"""Intervals of a quantile from order statistics, without any assumption on the distribution.

Of n values, the number at or below the quantile of order q is binomial(n, q), so that the chance
that the k-th smallest value lies above or below the quantile is known exactly (Conover, Practical
Nonparametric Statistics, 3rd ed., section 3.2; what scipy's ``quantile_test`` gives).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

TWO_SIDED = 0.95


@dataclass(frozen=True, slots=True)
class QuantileInterval:
    """A quantile and its bounds; infinite where there are too few values for one.

    Parameters
    ----------
    estimate : float
        The quantile of the values, linear between order statistics.
    one_sided_lower, one_sided_upper : float
        Each holds alone, at `confidence`. They decide.
    lower, upper : float
        The two-sided 95 % interval, for the report.
    confidence : float
        Of the one-sided bounds.
    n : int
        Number of values.
    """

    estimate: float
    one_sided_lower: float
    one_sided_upper: float
    lower: float
    upper: float
    confidence: float
    n: int


def quantile_interval(
    values: NDArray[np.float64], order: float, confidence: float = 0.95
) -> QuantileInterval:
    """Return the quantile of order `order` in (0, 1) and its bounds.

    Parameters
    ----------
    values : array, shape (n,)
        At least one.
    """
    ordered = np.sort(values)
    n = len(ordered)
    below = bdtr(np.arange(n), n, order)  # P(B <= k) for k = 0 .. n - 1

    def lower(sure: float) -> float:
        # The largest k with P(B >= k) >= sure, which is P(B <= k - 1) <= 1 - sure.
        places = np.flatnonzero(below <= 1 - sure)
        return float(ordered[places[-1]]) if len(places) else -np.inf

    def upper(sure: float) -> float:
        # The smallest k with P(B <= k - 1) >= sure.
        places = np.flatnonzero(below >= sure)
        return float(ordered[places[0]]) if len(places) else np.inf

    half = (1 + TWO_SIDED) / 2
    return QuantileInterval(
        estimate=float(np.quantile(ordered, order)),
        one_sided_lower=lower(confidence),
        one_sided_upper=upper(confidence),
        lower=lower(half),
        upper=upper(half),
        confidence=confidence,
        n=n,
    )
