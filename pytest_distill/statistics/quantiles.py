"""Intervals of a quantile from order statistics, without any assumption on the distribution.

Of n values, the number at or below the quantile of order q is binomial(n, q), so that the chance
that the k-th smallest value lies above or below the quantile is known exactly (Conover, Practical
Nonparametric Statistics, 3rd ed., section 3.2; what scipy's ``quantile_test`` gives).

That holds for independent values. Values of one unit (an example that was timed several times)
are none: they count as one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

from pytest_distill.statistics.results import TWO_SIDED, Floats

Units = NDArray[np.intp]


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


@dataclass(frozen=True, slots=True)
class SerialCorrelation:
    """How strongly values depend on the one measured just before.

    Parameters
    ----------
    lag_one : float
        The autocorrelation at lag 1, in [-1, 1].
    bound : float
        2 / sqrt(n), two standard errors of n independent values.
    """

    lag_one: float
    bound: float

    @property
    def shown(self) -> bool:
        """Whether it is positive by more than chance: of independent values at most about 2.5 %."""
        return self.lag_one > self.bound


def quantile_interval(values: Floats, order: float, confidence: float = 0.95) -> QuantileInterval:
    """Return the quantile of order `order` in (0, 1) and its bounds.

    Parameters
    ----------
    values : array, shape (n,)
        At least one; independent of each other.
    """
    ordered = np.sort(values)
    n = len(ordered)
    below = bdtr(np.arange(n), n, order)  # P(B <= k) for k = 0 .. n - 1

    def lower(level: float) -> float:
        # The largest k with P(B >= k) >= level, which is P(B <= k - 1) <= 1 - level.
        places = np.flatnonzero(below <= 1 - level)
        return float(ordered[places[-1]]) if len(places) else -np.inf

    def upper(level: float) -> float:
        # The smallest k with P(B <= k - 1) >= level.
        places = np.flatnonzero(below >= level)
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


def needed_for_a_bound(order: float, confidence: float) -> int:
    """Return how many values a one-sided bound of a quantile of order >= 1/2 needs: 59 for p95."""
    return math.ceil(math.log(1 - confidence) / math.log(order))


def unit_interval(
    values: Floats, units: Units, order: float, confidence: float = 0.95
) -> QuantileInterval:
    """Return a quantile over units, each of which counts once, and its bounds.

    A unit's value is the median of its own for the median over units. For any other quantile it is
    the one that was taken first: medians of repeats vary less than what is asked about, and would
    hide whatever is slow now and then.

    Parameters
    ----------
    values : array, shape (n,)
        In the order in which they were taken.
    units : array of int, shape (n,)
        The unit of each value.
    """
    each = unit_medians(values, units) if order == 0.5 else values[_firsts(units)]
    return quantile_interval(each, order, confidence)


def unit_medians(values: Floats, units: Units) -> Floats:
    """Return the median of each unit's values.

    Of two in the middle it is the one that was taken first, not their mean: so it is as likely
    above the median of what it is drawn from as below, on whatever scale, and times have the same
    medians as their logarithms.
    """
    ordered = np.lexsort((values, units))
    _, sizes = np.unique(units, return_counts=True)
    starts = np.cumsum(sizes) - sizes
    low, high = ordered[starts + (sizes - 1) // 2], ordered[starts + sizes // 2]
    medians: Floats = values[np.minimum(low, high)]
    return medians


def serial_correlation(values: Floats, units: Units) -> SerialCorrelation | None:
    """Return the autocorrelation at lag 1 of values in the order in which they were taken.

    Where every unit has several values, of what each differs from the mean of its unit, so that
    units may be as different as they like; else of the first value of each. None where all are
    equal. The standard error of n independent values is about 1 / sqrt(n) (Bartlett 1946, J. R.
    Stat. Soc. Suppl. 8:27).
    """
    _, unit, sizes = np.unique(units, return_inverse=True, return_counts=True)
    if sizes.min() > 1:
        rest = values - (np.bincount(unit, weights=values) / sizes)[unit]
    else:
        rest = values[np.sort(_firsts(units))]
        rest = rest - rest.mean()
    spread = float(rest @ rest)
    if spread <= 1e-24 * len(rest) * max(1.0, float(np.abs(values).max()) ** 2):  # rounding
        return None
    return SerialCorrelation(float(rest[1:] @ rest[:-1]) / spread, 2 / math.sqrt(len(rest)))


def _firsts(units: Units) -> Units:
    """Return the place of each unit's first value."""
    return np.unique(units, return_index=True)[1]
