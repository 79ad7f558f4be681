"""A mean over labels or tokens that may be known within bounds only, and its interval.

References
----------
Clopper, C. J. and Pearson, E. S. (1934). The use of confidence or fiducial limits illustrated in
the case of the binomial. Biometrika 26:404-413.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from scipy.special import betaincinv

from pytest_distill.evaluation.exact import exact_sum
from pytest_distill.verdicts.statistics.jackknife import Clusters, of_mean
from pytest_distill.verdicts.statistics.results import (
    MIN_CLUSTERS,
    TWO_SIDED,
    Floats,
    Judgement,
    RetentionInterval,
    cluster_notes,
    one_sided,
)
from pytest_distill.verdicts.statistics.t_retention import TRetention


@dataclass(frozen=True, eq=False, slots=True)
class Rate:
    """A mean per unit: sums of examples over their numbers of units, such as tokens.

    Examples are drawn, units are not: the tokens of one text are no independent evidence. So a
    share of single examples has the exact binomial interval, and everything else a t interval of
    the ratio of two means over the examples, sum and number of units (Fieller), with one
    worst-case example appended on the side on which a mistake is expensive.

    Parameters
    ----------
    low, high : ndarray, shape (n,)
        Bounds of each example's sum; the same where it is known. May be infinite.
    units : ndarray, shape (n,)
        How many units each example has.
    higher_is_better : bool
        Whether the rate is held against a floor, else against a ceiling.
    worst : float, optional
        The worst value of one unit. None where there is none: the worst example that was seen
        counts twice then.
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
        levels = (one_sided(confidence), (1 + TWO_SIDED) / 2)
        groups = None if self.clusters is None else len(set(self.clusters))
        if self._binomial:
            hits, n = int(self.low.sum()), len(self.low)
            pairs = [clopper_pearson(hits, n, level) for level in levels]
            method = "exact binomial"
        else:
            pairs = [self._t_bounds(level) for level in levels]
            added = "a worst-case" if self.worst is not None else "the worst"
            unit = "example" if groups is None else "cluster"
            method = f"t with {added} {unit}" + ("" if self.worst is not None else " twice")
        (one_lower, one_upper), (lower, upper) = pairs
        return RetentionInterval(
            one_lower, one_upper, lower, upper,
            confidence, method, len(self.low), groups, cluster_notes(groups),
        )  # fmt: skip

    def judge(self, interval: RetentionInterval, limit: Fraction) -> Judgement:
        """Return whether the one-sided bounds show that the limit is kept, or that it is not."""
        if self.higher_is_better:
            return interval.judge(limit)
        if interval.clusters is not None and interval.clusters < MIN_CLUSTERS:
            return Judgement.UNCLEAR
        if interval.one_sided_upper <= limit:
            return Judgement.RETAINED
        return Judgement.NOT_RETAINED if interval.one_sided_lower > limit else Judgement.UNCLEAR

    def needed(self, limit: float, confidence: float = 0.95) -> int | None:
        """Return about how many examples would settle it; see `TRetention.needed`."""
        bad = self.low if self.higher_is_better else self.high
        if not np.isfinite(bad).all():
            return None
        return self._t(bad).needed(self._sign * limit, confidence)

    @property
    def _sign(self) -> int:
        return 1 if self.higher_is_better else -1

    @property
    def _binomial(self) -> bool:
        single = bool((self.units == 1).all()) and self.clusters is None
        return single and self.exact and bool(np.isin(self.low, (0.0, 1.0)).all())

    def _t_bounds(self, level: float) -> tuple[float, float]:
        bad, good = (self.low, self.high) if self.higher_is_better else (self.high, self.low)
        # Of the mean with its sign turned where lower is better: an infinite sum is -inf there.
        pessimistic = optimistic = -math.inf
        if np.isfinite(bad).all():
            pessimistic = self._t(bad).interval(level).one_sided_lower
        if np.isfinite(good).all():
            optimistic = self._t(good).interval(level).one_sided_upper
        bounds = (pessimistic, optimistic) if self.higher_is_better else (-optimistic, -pessimistic)
        return max(bounds[0], 0.0), min(bounds[1], self.most)

    def _t(self, sums: Floats) -> TRetention:
        """Return the t test of the mean; with its sign turned where lower is better."""
        size = float(self.units.mean())  # with clusters too: pseudo-values are of mean examples
        return TRetention(
            of_mean(self._sign * sums, self.clusters),
            of_mean(self.units, self.clusters),
            None if self.worst is None else (self._sign * self.worst * size, size),
            least=0.0 if self.higher_is_better else -math.inf,
            method="t",
        )


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
