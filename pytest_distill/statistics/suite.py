"""How much was retained over several evals: one test of a weighted sum of independent means.

"The aggregate is m" says that a sum over the evals of c (x - q y) is 0 on average, with x and y
numerator and denominator of an eval's ratio, and q what that ratio would be if all of them were
changed by one factor so that the aggregate is m. Means of different evals are independent, so that
their variances add up; the degrees of freedom are Satterthwaite's. As in the test of one ratio a
unit that was not seen is counted, in the eval in which it costs most.

References
----------
Satterthwaite, F. E. (1946). An approximate distribution of estimates of variance components.
Biometrics Bulletin 2:110-114.
Fieller, E. C. (1954). Some problems in interval estimation. Journal of the Royal Statistical
Society B 16:175-185.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy.special import ndtri, stdtrit

from pytest_distill.statistics.fieller import MeanTest, least_level, mean_test
from pytest_distill.statistics.jackknife import PseudoValues
from pytest_distill.statistics.planning import last_true
from pytest_distill.statistics.results import (
    MIN_CLUSTERS,
    POWER,
    TWO_SIDED,
    FloorTest,
    RetentionInterval,
    one_sided,
)
from pytest_distill.statistics.t_retention import TRetention

Combined = Literal["ratio_of_averages", "average_of_ratios", "geometric"]

_BISECTIONS = 40
_MOST_FACTOR = 1e6
_MIN_UNITS = 2


@dataclass(frozen=True, eq=False, slots=True)
class SuiteRetention:
    """The aggregate of what was retained over independent evals.

    Parameters
    ----------
    ratios : tuple of TRetention
        One an eval, at least two. For a ratio of averages numerators and denominators are scores.
    aggregate : {"ratio_of_averages", "average_of_ratios", "geometric"}
        Of which the bounds are.
    seen : float, optional
        The aggregate on these examples where it is 0 or infinite, so that a unit that was not seen
        is among those of `ratios`: the bounds reach to it.
    """

    ratios: tuple[TRetention, ...]
    aggregate: Combined
    seen: float | None = None

    @property
    def n(self) -> int:
        """Number of examples, of all evals."""
        return sum(ratio.n for ratio in self.ratios)

    @property
    def observed(self) -> float:
        """The aggregate; NaN where there is none."""
        return math.nan if self._no_aggregate else self._observed

    def test(self, floor: float) -> FloorTest:
        """Return the p-values at a floor; both are 1 where an eval has under 10 clusters."""
        if self._no_test:
            return FloorTest(1.0, 1.0)
        return FloorTest(self._p(floor, 1), self._p(floor, -1))

    def interval(self, confidence: float = 0.95) -> RetentionInterval:
        """Return the aggregate's bounds: what the test does not refute, by bisection."""
        alphas = 1 - one_sided(confidence), (1 - TWO_SIDED) / 2
        (one_lower, one_upper), (lower, upper) = (
            self._reaching(self._bound(alpha, 1), self._bound(alpha, -1)) for alpha in alphas
        )
        notes = dict.fromkeys(note for ratio in self.ratios for note in ratio.notes)
        bounded = all(ratio.bounded for ratio in self.ratios)
        added = "a worst-case example" if bounded else "a guess at the worst example"
        method = f"t over {len(self.ratios)} evals with {added}"
        return RetentionInterval(
            one_lower, one_upper, lower, upper, confidence, method, self.n, None, tuple(notes)
        )

    def needed(self, floor: float, confidence: float = 0.95, power: float = POWER) -> int | None:
        """Return about how many examples would settle it, as many times more of each eval.

        None where no number would: the observed aggregate is the floor. See `TRetention.needed`.
        """
        if self._no_aggregate or self._observed == floor:
            return None
        tests = self._tests(floor, 1 if self._observed > floor else -1)
        if tests is None:
            return None
        alpha = 1 - one_sided(confidence)

        def settled(factor: float) -> bool:
            larger = [replace(test, units=factor * test.units) for test in tests]
            return _excess(larger, alpha, power) >= 0

        factor = _least_factor(settled)
        if factor is None:
            return None
        sized = [ratio.top for ratio in self.ratios if ratio.top.sizes is not None]
        return math.ceil(self.n * max([factor, *(MIN_CLUSTERS / top.effective for top in sized)]))

    @property
    def _no_test(self) -> bool:
        return self._no_aggregate or any(ratio.top.too_few for ratio in self.ratios)

    @property
    def _no_aggregate(self) -> bool:
        return any(
            len(ratio.top.values) < _MIN_UNITS or not _has_ratio(ratio, self.aggregate)
            for ratio in self.ratios
        )

    @property
    def _observed(self) -> float:
        if self.aggregate == "ratio_of_averages":
            return math.fsum(r.top.estimate for r in self.ratios) / self._bottom
        if self.aggregate == "average_of_ratios":
            return math.fsum(ratio.observed for ratio in self.ratios) / len(self.ratios)
        return math.exp(math.fsum(math.log(r.observed) for r in self.ratios) / len(self.ratios))

    @property
    def _bottom(self) -> float:
        return math.fsum(ratio.bottom.estimate for ratio in self.ratios)

    def _p(self, floor: float, sign: int) -> float:
        tests = self._tests(floor, sign)
        return 1.0 if tests is None else least_level(lambda alpha: _excess(tests, alpha))

    def _tests(self, floor: float, sign: int) -> list[MeanTest] | None:
        """Return the tests of the means c (x - q y), whose sum is tested.

        None where of one of them nothing is known that was not seen.
        """
        found, observed = [], self._observed
        for ratio in self.ratios:
            c, q = self._terms(ratio, floor, observed)
            unit = ratio.unseen(q, sign)
            if unit is None:
                return None
            top, bottom = ratio.top, ratio.bottom
            found.append(
                mean_test(
                    sign * c * (top.estimate - q * bottom.estimate),
                    sign * c * (top.values - q * bottom.values),
                    sign * c * (unit[0] - q * unit[1]),
                    scale=1.0,
                )
            )
        return found

    def _terms(self, ratio: TRetention, floor: float, observed: float) -> tuple[float, float]:
        """Return c and q of an eval: by how much its mean adds to the aggregate, less the floor."""
        bottom, retained = ratio.bottom.estimate, ratio.observed
        at = ratio.top.estimate / bottom if bottom else 0.0  # the logarithm where it is one
        if self.aggregate == "ratio_of_averages":
            return 1 / self._bottom, floor
        if self.aggregate == "average_of_ratios":
            slope = retained if ratio.logarithmic else 1.0
            return slope / bottom, at - (observed - floor) / slope
        if ratio.logarithmic:
            return 1 / bottom, at + math.log(floor / observed)
        return 1 / ratio.top.estimate, at * floor / observed

    def _reaching(self, lower: float, upper: float) -> tuple[float, float]:
        if self.seen is None:
            return lower, upper
        return min(lower, self.seen), max(upper, self.seen)

    def _bound(self, alpha: float, sign: int) -> float:
        """Return the last aggregate that the test at that level refutes, seen from outside."""
        least = 0.0 if not self._no_test and self._observed >= 0 else -math.inf
        if self._no_test or (sign > 0 and self._observed <= 0):
            return least if sign > 0 else math.inf

        def refuted(place: float) -> bool:
            tests = self._tests(place / (1 - place), sign)
            return tests is not None and _excess(tests, alpha) >= 0

        inside = max(self._observed, 0.0) / (1 + max(self._observed, 0.0))
        outside = last_true(refuted, inside, 0.0 if sign > 0 else 1.0, _BISECTIONS)
        return outside / (1 - outside) if outside < 1 else math.inf


def suite_retention(ratios: Sequence[TRetention], aggregate: Combined) -> SuiteRetention:
    """Return the evidence on an aggregate of ratios.

    Of a model that got nothing right, or nothing wrong where lower is better, no logarithm or no
    average exists: there a unit that was not seen is counted among those that were, the one that
    speaks against what was observed.

    Parameters
    ----------
    ratios, aggregate
        As for `SuiteRetention`.
    """
    lacking = [ratio for ratio in ratios if not _has_ratio(ratio, aggregate)]
    nothing = any(ratio.bottom.estimate > 0 for ratio in lacking)  # a geometric mean of 0
    seen = None if not lacking else 0.0 if nothing else math.inf
    return SuiteRetention(tuple(_settled(ratio, aggregate) for ratio in ratios), aggregate, seen)


def _has_ratio(ratio: TRetention, aggregate: Combined) -> bool:
    if aggregate == "ratio_of_averages" or ratio.logarithmic:
        return True
    return ratio.bottom.estimate > 0 and (aggregate != "geometric" or ratio.top.estimate > 0)


def _settled(ratio: TRetention, aggregate: Combined) -> TRetention:
    unit = ratio.unseen(1.0, -1 if ratio.bottom.estimate > 0 else 1)
    if _has_ratio(ratio, aggregate) or unit is None:
        return ratio
    top, bottom = (_joined(v, x) for v, x in zip((ratio.top, ratio.bottom), unit, strict=True))
    return replace(ratio, top=top, bottom=bottom)


def _joined(found: PseudoValues, value: float) -> PseudoValues:
    units = len(found.values)
    return replace(
        found,
        estimate=(units * found.estimate + value) / (units + 1),
        values=np.append(found.values, value),
        sizes=None if found.sizes is None else np.append(found.sizes, found.typical),
    )


def _excess(tests: Sequence[MeanTest], alpha: float, power: float = 0.5) -> float:
    """Return by how much the sum of means lies above what the test asks for; see `MeanTest.excess`.

    A unit that was not seen is counted in one of them: the one in which it costs most.
    """
    means = np.array([test.mean for test in tests])
    squares = np.array([test.variance / test.units for test in tests])
    df = np.array([test.units - 1.0 for test in tests])
    counted = np.array([test.counted(alpha) for test in tests])
    some = np.eye(len(tests), dtype=bool)
    mean = np.where(some, counted[:, 0], means).sum(axis=1)
    square = np.where(some, counted[:, 1], squares)
    fourth = (square**2 / np.where(some, counted[:, 2], df)).sum(axis=1)
    variance = square.sum(axis=1)
    # No variance at all: no error, whatever the degrees of freedom.
    freedom = np.where(fourth > 0, variance**2 / np.where(fourth > 0, fourth, 1.0), 1.0)
    least = mean - (float(ndtri(power)) - stdtrit(freedom, alpha)) * np.sqrt(variance)
    return float(least.min())


def _least_factor(settled: Callable[[float], bool]) -> float | None:
    """Return the least factor, to a hundredth, for which `settled`, which does for all above it."""
    low, high = 0.0, 1.0
    while not settled(high):
        low, high = high, 2 * high
        if high > _MOST_FACTOR:
            return None
    while high - low > high / 100:
        middle = (low + high) / 2
        low, high = (low, middle) if settled(middle) else (middle, high)
    return high
