"""A mean over labels or tokens that may be known within bounds only, and its interval.

References
----------
Clopper, C. J. and Pearson, E. S. (1934). The use of confidence or fiducial limits illustrated in
the case of the binomial. Biometrika 26:404-413.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from scipy.special import betainc, betaincinv

from pytest_distill.statistics.exact import exact_sum
from pytest_distill.statistics.jackknife import Clusters, PseudoValues, of_mean, of_sums
from pytest_distill.statistics.levels import Level
from pytest_distill.statistics.planning import first_true
from pytest_distill.statistics.results import (
    POWER,
    TWO_SIDED,
    Floats,
    FloorTest,
    RetentionInterval,
    one_sided,
)
from pytest_distill.statistics.t_retention import ratio_test


@dataclass(frozen=True, eq=False, slots=True)
class Rate:
    """A mean per unit: sums of examples over their numbers of units, such as tokens.

    Examples are drawn, units are not: the tokens of one text are no independent evidence. So a
    share of single examples has the exact binomial interval, and everything else a t interval of
    the ratio of two means over the examples, sum and number of units (Fieller), with an example
    that was not seen counted: a worst-case one, or where none is the worst one twice as bad as the
    worst that was seen; on the other side likewise.

    Parameters
    ----------
    low, high : ndarray, shape (n,)
        Bounds of each example's sum; the same where it is known. May be infinite.
    units : ndarray, shape (n,)
        How many units each example has.
    higher_is_better : bool
        Whether the rate is held against a floor, else against a ceiling.
    worst : float, optional
        The worst value of one unit. None where there is none.
    most : float
        The greatest possible value of one unit.
    clusters : sequence of hashable, optional
        The cluster of each example.
    """

    low: Floats
    high: Floats
    units: Floats
    higher_is_better: bool
    worst: float | None
    most: float = 1.0
    clusters: Clusters | None = None

    @classmethod
    def of_examples(
        cls, hits: Floats, higher_is_better: bool, clusters: Clusters | None = None
    ) -> Rate:
        """Return the share of examples that are a hit (1, else 0), each of which is one unit."""
        ones, worst = np.ones(len(hits)), 0.0 if higher_is_better else 1.0
        return cls(hits, hits, ones, higher_is_better, worst, clusters=clusters)

    @property
    def observed(self) -> tuple[Fraction | float, Fraction | float]:
        """The bounds of the rate on these examples, as exact fractions; a float where infinite."""
        low, high = (_ratio(sums, self.units) for sums in (self.low, self.high))
        return low, high

    @property
    def exact(self) -> bool:
        """Whether the rate is known, and not only bounded."""
        return bool((self.low == self.high).all())

    def interval(self, confidence: float = 0.95) -> RetentionInterval:
        """Return the bounds: two one-sided ones at `confidence`, and the 95 % interval."""
        hits, n = self._hits, len(self.low)
        if hits is not None:
            levels = (one_sided(confidence), (1 + TWO_SIDED) / 2)
            decide, report = (clopper_pearson(hits, n, level) for level in levels)
            return RetentionInterval(*decide, *report, confidence, "exact binomial", n)
        groups = None if self.clusters is None else len(set(self.clusters))
        ends = math.inf, math.inf
        infinite = RetentionInterval(*ends, *ends, confidence, "t", n, groups)
        bad, good = (
            infinite
            if side is None
            else replace(side.interval(confidence), notes=side.ratio.top.notes)
            for side in self._sides()
        )
        low, high = (bad, good) if self.higher_is_better else (good, bad)
        return replace(
            good if bad is infinite else bad,
            one_sided_lower=low.one_sided_lower,
            lower=low.lower,
            one_sided_upper=high.one_sided_upper,
            upper=high.upper,
        )

    def test(self, limit: float) -> FloorTest:
        """Return the p-values of "the limit is not kept" and of "it is"."""
        hits = self._hits
        if hits is not None:
            above, below = _binomial_p(hits, len(self.low), limit)
            return FloorTest(above, below) if self.higher_is_better else FloorTest(below, above)
        pessimistic, optimistic = self._sides()
        # A mean of which one example is known to be infinite keeps no ceiling, for certain.
        without = 1.0 if self.higher_is_better else 0.0
        return FloorTest(
            1.0 if pessimistic is None else pessimistic.test(limit).p_retained,
            without if optimistic is None else optimistic.test(limit).p_below,
        )

    def needed(self, limit: float, confidence: float = 0.95) -> int | None:
        """Return about how many examples would settle it; see `TRetention.needed`."""
        hits = self._hits
        if hits is not None:
            return _binomial_needed(hits / len(self.low), limit, 1 - one_sided(confidence))
        pessimistic, _ = self._sides()
        return None if pessimistic is None else pessimistic.needed(limit, confidence)

    @property
    def _hits(self) -> int | None:
        """How many single examples are a hit; None where they are no such, and not binomial."""
        single = self._single and self.exact and bool(np.isin(self.low, (0.0, 1.0)).all())
        return int(self.low.sum()) if single else None

    @property
    def _single(self) -> bool:
        return self.clusters is None and bool((self.units == 1).all())

    def _sides(self) -> tuple[Level | None, Level | None]:
        """Return the tests of the sums that speak against the limit, and of those for it."""
        low, high = (self._level(sums) for sums in (self.low, self.high))
        return (low, high) if self.higher_is_better else (high, low)

    def _level(self, sums: Floats) -> Level | None:
        """Return the t test of the mean; None where a sum is infinite."""
        if not np.isfinite(sums).all():
            return None
        sign = 1 if self.higher_is_better else -1
        top, bottom = self._sums(sign * sums), self._sums(self.units)
        size = top.typical
        if self.worst is not None:
            best = self.most if self.higher_is_better else 0.0
            wrong, right = (np.array([sign * end * size]) for end in (self.worst, best))
            top = replace(top, wrong=wrong, right=right, bounded=True)
            bottom = replace(bottom, wrong=np.array([size]), right=np.array([size]), bounded=True)
        ratio = ratio_test(top, bottom, 0.0 if self.higher_is_better else -math.inf, "t")
        return Level(ratio, self.higher_is_better, (0.0, self.most))

    def _sums(self, values: Floats) -> PseudoValues:
        if self._single:
            return of_mean(values)
        return of_sums(values, self.units, self.clusters)


def _binomial_p(hits: int, n: int, share: float) -> tuple[float, float]:
    """Return P(X >= hits) and P(X <= hits), X ~ Binomial(n, share)."""
    at_least = float(betainc(hits, n - hits + 1, share)) if hits else 1.0
    at_most = float(betainc(n - hits, hits + 1, 1 - share)) if hits < n else 1.0
    return at_least, at_most


def _binomial_needed(share: float, limit: float, alpha: float) -> int | None:
    """Return about how many examples show by the exact test on which side of a limit a share is.

    With the usual power, if the observed share is the true one; None where that is the limit.
    """
    if share == limit:
        return None
    if share > limit:
        share, limit = 1 - share, 1 - limit

    def settled(n: int) -> bool:
        most, beyond = -1, n  # the most hits that show the share to be below the limit
        while beyond - most > 1:
            middle = (most + beyond) // 2
            shows = _binomial_p(middle, n, limit)[1] <= alpha
            most, beyond = (middle, beyond) if shows else (most, middle)
        return most >= 0 and _binomial_p(most, n, share)[1] >= POWER

    return first_true(settled)


def clopper_pearson(hits: int, n: int, level: float) -> tuple[float, float]:
    """Return the exact one-sided bounds of a proportion, each at confidence `level`.

    The lower is the p for which `hits` or more have the probability 1 - level, the upper the p for
    which `hits` or fewer do.
    """
    lower = float(betaincinv(hits, n - hits + 1, 1 - level)) if hits else 0.0
    upper = float(betaincinv(hits + 1, n - hits, level)) if hits < n else 1.0
    return lower, upper


def _ratio(sums: Floats, units: Floats) -> Fraction | float:
    if not np.isfinite(sums).all():
        return math.fsum(sums.tolist())
    return exact_sum(sums) / int(units.sum())
