"""A ratio of two estimates by a t test: its interval, its p-values, and the examples it needs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri, stdtr, stdtrit

from pytest_distill.verdicts.statistics.fieller import RatioMoments, ratio_moments
from pytest_distill.verdicts.statistics.jackknife import PseudoValues
from pytest_distill.verdicts.statistics.planning import first_true
from pytest_distill.verdicts.statistics.results import (
    MIN_CLUSTERS,
    POWER,
    TWO_SIDED,
    FloorTest,
    RetentionInterval,
    cluster_notes,
    one_sided,
)


@dataclass(frozen=True, eq=False, slots=True)
class TRetention:
    """Retention as a ratio of two estimates, by a t test on the pseudo-values of x - m*y.

    For the lower side one worst-case unit is appended to what was seen: near the ceiling a sample
    without a failure has no variance, and says nothing of the failures it happened to miss.

    Parameters
    ----------
    top, bottom : PseudoValues
        Of the ratio's numerator and denominator, of the same units.
    worst : tuple of float, optional
        The appended unit's values of the two. None where the metric has no worst value: the worst
        unit that was seen counts twice then, and nothing is told where all are alike.
    least : float
        The least ratio that the metric allows.
    method : str
        Its name in the report.
    logarithmic : bool
        Whether the ratio of the estimates is the logarithm of the retention.
    """

    top: PseudoValues
    bottom: PseudoValues
    worst: tuple[float, float] | None
    least: float
    method: str
    logarithmic: bool = False

    @property
    def n(self) -> int:
        """Number of examples."""
        return self.top.n

    @property
    def clusters(self) -> int | None:
        """Number of clusters; None where there are none."""
        return self.top.clusters

    @property
    def observed(self) -> float:
        """The ratio on these examples."""
        return self._retention(self.top.estimate / self.bottom.estimate)

    def interval(self, confidence: float = 0.95) -> RetentionInterval:
        """Return the ratio's bounds: two one-sided ones at `confidence`, and the 95 % interval."""
        pessimistic, plain = self._pessimistic(), self._plain()
        lowers, uppers = [], []
        for level in (one_sided(confidence), (1 + TWO_SIDED) / 2):
            lowers.append(
                self._retention(pessimistic.lower(critical_t(pessimistic, level), self.least))
            )
            uppers.append(self._retention(plain.upper(critical_t(plain, level))))
        return RetentionInterval(
            lowers[0], uppers[0], lowers[1], uppers[1],
            confidence, self.method, self.n, self.clusters,
            cluster_notes(self.clusters),
        )  # fmt: skip

    def test(self, floor: float) -> FloorTest:
        """Return the p-values at a floor; both are 1 under 10 clusters."""
        if self.clusters is not None and self.clusters < MIN_CLUSTERS:
            return FloorTest(1.0, 1.0)
        ratio = math.log(floor) if self.logarithmic else floor
        return FloorTest(
            p_retained=_p(self._pessimistic(), -1, ratio), p_below=_p(self._plain(), 1, ratio)
        )

    def needed(self, floor: float, confidence: float = 0.95, power: float = POWER) -> int | None:
        """Return about how many examples would settle it, if these are typical ones.

        The least number for which the test's statistic is expected to lie z(power) beyond what the
        test asks for. None where the observed ratio is the floor.
        """
        ratio = math.log(floor) if self.logarithmic else floor
        gap = self.top.estimate - ratio * self.bottom.estimate
        d = self.top.values - ratio * self.bottom.values
        variance = float(d.var(ddof=1)) if len(d) > 1 else 0.0
        level, beyond = one_sided(confidence), float(ndtri(power))
        top, bottom = self._appended_unit()
        worst = top - ratio * bottom
        if gap > 0 and not self._pessimistic().df:
            return None

        def settled(units: int) -> bool:
            # The moments of `units` examples like these, and of the appended one.
            mean, spread, df = gap, variance, units - 1
            if gap > 0:
                mean = (units * gap + worst) / (units + 1)
                spread += (worst - gap) ** 2 / (units + 1)
                df = units
            wanted = (float(stdtrit(df, level)) + beyond) * math.sqrt(spread / (df + 1))
            return mean >= wanted if gap > 0 else mean <= -wanted

        units = first_true(settled) if gap != 0 else None
        return None if units is None else math.ceil(units * self.n / len(d))

    def _plain(self) -> RatioMoments:
        return ratio_moments(
            self.top.estimate, self.bottom.estimate, self.top.values, self.bottom.values
        )

    def _pessimistic(self) -> RatioMoments:
        plain = self._plain()
        if self.worst is None and plain.v_ee == 0:
            return replace(plain, df=0)
        top, bottom = (
            _appended(of, value)
            for of, value in zip((self.top, self.bottom), self._appended_unit(), strict=True)
        )
        return ratio_moments(top.estimate, bottom.estimate, top.values, bottom.values)

    def _appended_unit(self) -> tuple[float, float]:
        if self.worst is not None:
            return self.worst
        # The unit that lies furthest under the observed ratio.
        ratio = self.top.estimate / self.bottom.estimate
        worst = np.argmin(self.top.values - ratio * self.bottom.values)
        return float(self.top.values[worst]), float(self.bottom.values[worst])

    def _retention(self, ratio: float) -> float:
        if not self.logarithmic:
            return ratio
        return math.exp(ratio) if ratio < 700 else math.inf


def _appended(of: PseudoValues, value: float) -> PseudoValues:
    units = len(of.values)
    estimate = (units * of.estimate + value) / (units + 1)
    return PseudoValues(estimate, np.append(of.values, value), of.n, of.clusters)


def critical_t(moments: RatioMoments, level: float) -> float:
    """Return the quantile of t that a statistic must exceed; infinite without a variance."""
    return float(stdtrit(moments.df, level)) if moments.df else math.inf


def _p(moments: RatioMoments, sign: int, ratio: float) -> float:
    if not moments.df:
        return 1.0
    return float(stdtr(moments.df, sign * moments.statistic(ratio)))
