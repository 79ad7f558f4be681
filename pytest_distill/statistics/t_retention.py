"""A ratio of two estimates by a t test: its interval, its p-values, and the examples it needs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtrit

from pytest_distill.statistics.fieller import (
    MeanTest,
    RatioMoments,
    Unit,
    mean_test,
    ratio_moments,
    unseen_weight,
)
from pytest_distill.statistics.jackknife import PseudoValues
from pytest_distill.statistics.not_seen import extreme, pairs_not_seen
from pytest_distill.statistics.planning import first_true
from pytest_distill.statistics.results import (
    MIN_CLUSTERS,
    POWER,
    TWO_SIDED,
    Floats,
    FloorTest,
    NoRatioError,
    RetentionInterval,
    one_sided,
)

_MOST_ROUNDS = 50


@dataclass(frozen=True, eq=False, slots=True)
class TRetention:
    """Retention as a ratio of two estimates, by a t test on the pseudo-values of x - m*y.

    One unit is counted beside those that were seen: the worst possible on the side on which the
    floor holds, the best possible on the other. Near the ceiling a sample without a failure has no
    variance, and says nothing of the failures it happened to miss; near the floor likewise.

    Parameters
    ----------
    top, bottom : PseudoValues
        Of the ratio's numerator and denominator, of the same units.
    worst, best : ndarray, shape (k, 2), optional
        Values of the two of units that were not seen: the one that is worst, or best, for the ratio
        in question is counted. None where nothing is known of them: then no test decides.
    floor : float
        The least ratio that the metric allows.
    method : str
        Its name in the report.
    bounded : bool
        Whether `worst` is the worst that is possible, and no guess from what was seen.
    logarithmic : bool
        Whether the ratio of the estimates is the logarithm of the retention.
    bottom_errs : bool
        Whether the denominator is the student's: of a metric where lower is better.
    """

    top: PseudoValues
    bottom: PseudoValues
    worst: Floats | None
    best: Floats | None
    floor: float
    method: str
    bounded: bool = True
    logarithmic: bool = False
    bottom_errs: bool = False

    @property
    def n(self) -> int:
        """Number of examples."""
        return self.top.n

    @property
    def observed(self) -> float:
        """The ratio on these examples; infinite where there is nothing to divide by."""
        return self._retention(self._ratio)

    def interval(self, confidence: float = 0.95) -> RetentionInterval:
        """Return the ratio's bounds: two one-sided ones at `confidence`, and the 95 % interval."""
        decide, report = (
            self.bounds(level) for level in (one_sided(confidence), (1 + TWO_SIDED) / 2)
        )
        if self.top.too_few:  # as by the p-values
            decide = self._retention(self.floor), math.inf
        return RetentionInterval(
            *decide, *report, confidence, self.method, self.n, self.top.clusters, self.notes
        )

    def bounds(self, level: float) -> tuple[float, float]:
        """Return the lower and the upper bound, each at confidence `level`, of however few."""
        return self._retention(self._bound(level, 1)), self._retention(self._bound(level, -1))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader must know of few clusters, or texts, and where no unit can be added."""
        if self.worst is not None:
            return self.top.notes
        return (
            *self.top.notes,
            "nothing tells how bad an example can be that was not seen: all gold labels are the "
            "same, or the metric has no worst value and all examples are alike by it",
        )

    def test(self, floor: float) -> FloorTest:
        """Return the p-values at a floor; both are 1 under 10 clusters."""
        return FloorTest(self.p_retained(floor), self._p(floor, -1))

    def p_retained(self, floor: float) -> float:
        """Return the first of the p-values alone."""
        return self._p(floor, 1)

    def _p(self, floor: float, sign: int) -> float:
        ratio = math.log(floor) if self.logarithmic else floor
        test = None if self.top.too_few else self._test(ratio, sign)
        return 1.0 if test is None else test.p()

    def needed(self, floor: float, confidence: float = 0.95, power: float = POWER) -> int | None:
        """Return about how many examples would settle it, if these are typical ones.

        The least number for which the test's statistic is expected to lie z(power) beyond what the
        test asks for, and of which there are 10 clusters. None where the observed ratio is the
        floor.
        """
        ratio = math.log(floor) if self.logarithmic else floor
        gap = self.top.estimate - ratio * self.bottom.estimate
        test = self._test(ratio, 1 if gap > 0 else -1)
        if gap == 0 or test is None:
            return None
        alpha = 1 - one_sided(confidence)
        return self._examples(lambda units: replace(test, units=units).excess(alpha, power) >= 0)

    def least(self, floor: float, confidence: float = 0.95) -> int | None:
        """Return with about how many examples a student as good as the teacher begins to pass.

        None where no number shows it: from a floor of 1 on, or where nothing is the worst possible.
        """
        if self.worst is None or not self.bounded or floor >= 1:
            return None
        # As good as the teacher: x = y, whose x - m*y is (1 - m)*y.
        share, of = 1 - floor, self.top if self.bottom_errs else self.bottom
        unit = extreme(self.worst, floor, -1)
        test = mean_test(share * of.estimate, share * of.values, unit[0] - floor * unit[1])
        alpha = 1 - one_sided(confidence)
        return self._examples(lambda units: replace(test, units=units).excess(alpha) >= 0)

    def unseen(self, ratio: float, sign: int) -> Unit | None:
        """Return the unit that is counted beside those that were seen; None where none is known.

        The worst (1) or the best (-1) for "the ratio is at least" the given one.
        """
        units = self.worst if sign > 0 else self.best
        return None if units is None else extreme(units, ratio, -sign)

    def _examples(self, settled: Callable[[int], bool]) -> int | None:
        """Return the least number of examples whose number of units is enough."""
        units = first_true(settled)
        if units is None:
            return None
        seen = len(self.top.values)
        if self.top.sizes is not None:
            units = max(units, math.ceil(MIN_CLUSTERS * seen / self.top.effective))
        return math.ceil(units * self.n / seen)

    @property
    def _ratio(self) -> float:
        top, bottom = self.top.estimate, self.bottom.estimate
        return top / bottom if bottom > 0 else math.inf

    def _test(self, ratio: float, sign: int) -> MeanTest | None:
        """Return the test of "the ratio is below" (1) or "above" (-1) the given one."""
        unit = self.unseen(ratio, sign)
        if unit is None:
            return None
        return mean_test(
            sign * (self.top.estimate - ratio * self.bottom.estimate),
            sign * (self.top.values - ratio * self.bottom.values),
            sign * (unit[0] - ratio * unit[1]),
        )

    def _bound(self, level: float, sign: int) -> float:
        """Return the lower (1) or the upper (-1) bound of the ratio at a confidence `level`."""
        # The unit that was not seen depends on the ratio, and the bound on it: a fixed point.
        bound, unit = self._ratio, None
        for _ in range(_MOST_ROUNDS):
            other = self.unseen(bound, sign)
            if other is None:
                return self.floor if sign > 0 else math.inf
            if other == unit:
                break
            unit = other
            moments = self._moments(unit, level)
            if moments is None:
                return math.inf
            t = float(stdtrit(moments.df, level))
            if sign > 0:
                bound = min(bound, moments.lower(t, self.floor))
            else:
                bound = max(bound, moments.upper(t))
        return bound

    def _moments(self, unit: Unit, level: float) -> RatioMoments | None:
        """Return the moments with that unit counted; None where there is nothing to divide by."""
        top, bottom, weight = self.top, self.bottom, unseen_weight(1 - level)
        if not len(bottom.values) * bottom.estimate + weight * unit[1] > 0:
            return None
        return ratio_moments(top.estimate, bottom.estimate, top.values, bottom.values, unit, weight)

    def _retention(self, ratio: float) -> float:
        return exponential(ratio) if self.logarithmic else ratio


def exponential(value: float) -> float:
    """Return exp(value), infinite where a float cannot hold it."""
    return math.exp(value) if value < 700 else math.inf


def ratio_test(
    top: PseudoValues,
    bottom: PseudoValues,
    floor: float,
    kind: str,
    *,
    bottom_errs: bool = False,
) -> TRetention:
    """Return the test of a ratio of two estimates, of the same units.

    Parameters
    ----------
    top, bottom, floor, bottom_errs
        As for `TRetention` and `pairs_not_seen`.
    kind : str
        Its name in the report, without what is counted beside the units that were seen.
    """
    worst, best = pairs_not_seen(top, bottom, bottom_errs=bottom_errs)
    unit = "example" if top.sizes is None else "text"
    if top.clusters is not None:
        kind, unit = "cluster jackknife", "cluster"
    added = f"a worst-case {unit}" if top.bounded else f"a guess at the worst {unit}"
    return TRetention(
        top,
        bottom,
        worst,
        best,
        floor,
        f"{kind} with {added}",
        bounded=top.bounded,
        bottom_errs=bottom_errs,
    )


def constant_test(found: PseudoValues, kind: str) -> TRetention:
    """Return the test of an estimate itself, more of which is better: as a ratio to 1."""
    one = replace(
        found,
        estimate=1.0,
        values=np.ones(len(found.values)),
        wrong=None if found.wrong is None else np.ones(len(found.wrong)),
        right=None if found.right is None else np.ones(len(found.right)),
    )
    return ratio_test(found, one, -math.inf, kind)


def refuse_no_ratio(bottom: PseudoValues, who: str, *, can_be_negative: bool = False) -> None:
    """Raise NoRatioError where there is nothing to divide by, or it may be 0 as well.

    Parameters
    ----------
    bottom : PseudoValues
        Of the denominator.
    who : str
        Whose it is.
    can_be_negative : bool
        Whether the metric can: then the two-sided 95 % interval must be above 0 too.
    """
    scores = f"the {who} scores {bottom.estimate:g}"
    if not (math.isfinite(bottom.estimate) and bottom.estimate > 0):
        raise NoRatioError(f"{scores}, not above 0: no ratio exists")
    if not can_be_negative:
        return
    own = ratio_moments(bottom.estimate, bottom.estimate, bottom.values, bottom.values)
    if not own.df or not own.bottom_above_zero(float(stdtrit(own.df, (1 + TWO_SIDED) / 2))):
        raise NoRatioError(
            f"{scores}, and its own 95 % interval includes 0: the ratio says nothing"
        )
