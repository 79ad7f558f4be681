"""Several tests, and several intervals, at once, and the least of several ratios.

References
----------
Bonferroni, C. E. (1936). Teoria statistica delle classi e calcolo delle probabilità.
Dunn, O. J. (1961). Multiple comparisons among means. Journal of the American Statistical
Association 56:52-64.
Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal of
Statistics 6:65-70.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from pytest_distill.statistics.proportions import ProportionRetention, proportion_intervals
from pytest_distill.statistics.results import (
    TWO_SIDED,
    Floats,
    FloorTest,
    Retention,
    RetentionInterval,
    one_sided,
    shown,
)


def each_of(k: int, alpha: float = 0.05) -> float:
    """Return the confidence of each of k verdicts, so that all together err at most at `alpha`.

    ``1 - alpha/k`` (Bonferroni; Dunn 1961, section 2), however the verdicts depend on each other.
    """
    return 1 - alpha / k


def holm(p_values: Iterable[float]) -> Floats:
    """Return Holm's adjusted p-values, in the given order, shape (k,).

    The i-th smallest (from 0) is multiplied by k - i, and is at least its forerunner and at most 1.
    One at or under alpha may be acted on, and the chance of acting wrongly on any is at most alpha.
    """
    p = np.fromiter(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    stepped = p[order] * np.arange(len(p), 0, -1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(np.maximum.accumulate(stepped), 1.0)
    return adjusted


def slices_below(tests: Sequence[FloorTest | None], confidence: float = 0.95) -> list[bool]:
    """Return for each slice whether its retention is shown to be below its floor.

    By Holm's adjustment over all that have a test: the chance that any slice that holds is called
    so is at most 1 - `confidence`.
    """
    adjusted = iter(holm(test.p_below for test in tests if test is not None))
    return [test is not None and shown(float(next(adjusted)), confidence) for test in tests]


def intervals(
    ratios: Sequence[Retention | None], confidence: float = 0.95
) -> list[RetentionInterval | None]:
    """Return the interval of each ratio, for the report: slices may be many.

    Those of 0/1 scores all in one go, by the score test.
    """
    proportions = [ratio for ratio in ratios if isinstance(ratio, ProportionRetention)]
    found = iter(proportion_intervals(proportions, confidence))

    def interval(ratio: Retention | None) -> RetentionInterval | None:
        if isinstance(ratio, ProportionRetention):
            return next(found)
        return None if ratio is None else ratio.interval(confidence)

    return [interval(ratio) for ratio in ratios]


@dataclass(frozen=True, slots=True)
class LeastRetention:
    """The least of what was retained over several evals.

    It is at least the floor where every one is, so that each is tested at the full level
    (intersection-union); that one of them is below is shown by the least p-value, by Holm's rule.

    Parameters
    ----------
    ratios : tuple of Retention
        One an eval.
    """

    ratios: tuple[Retention, ...]

    @property
    def n(self) -> int:
        """Number of examples, of all evals."""
        return sum(ratio.n for ratio in self.ratios)

    @property
    def observed(self) -> float:
        """The least ratio."""
        return min(ratio.observed for ratio in self.ratios)

    def test(self, floor: float) -> FloorTest:
        """Return the p-values at a floor."""
        tests = [ratio.test(floor) for ratio in self.ratios]
        return FloorTest(
            max(test.p_retained for test in tests),
            float(holm(test.p_below for test in tests).min()),
        )

    def interval(self, confidence: float = 0.95) -> RetentionInterval:
        """Return the bounds of the least ratio: of all lower ones, and all upper ones, the least.

        The upper ones at a level for all of them together (Bonferroni).
        """
        k = len(self.ratios)
        plain = [ratio.interval(confidence) for ratio in self.ratios]
        together = [ratio.interval(1 - (1 - confidence) / k) for ratio in self.ratios]
        both = [ratio.interval(1 - (1 - TWO_SIDED) / 2 / k) for ratio in self.ratios]
        return RetentionInterval(
            min(i.one_sided_lower for i in plain),
            min(i.one_sided_upper for i in together),
            min(i.lower for i in plain),
            min(i.one_sided_upper for i in both),
            confidence,
            plain[0].method if k == 1 else f"each of {k} evals by its own test",
            self.n,
            None,
            tuple(dict.fromkeys(note for interval in plain for note in interval.notes)),
        )

    def needed(self, floor: float, confidence: float = 0.95) -> int | None:
        """Return about how many examples would settle it, as many times more of each eval.

        None where no number would: the least ratio is the floor.
        """
        k, below = len(self.ratios), self.observed < floor
        level = 1 - (1 - one_sided(confidence)) / k if below else confidence
        asked = [ratio for ratio in self.ratios if (ratio.observed < floor) is below]
        found = [(ratio.needed(floor, level), ratio.n) for ratio in asked]
        known = [needed / n for needed, n in found if needed is not None]
        if not known or (len(known) < len(found) and not below):
            return None
        return math.ceil((min(known) if below else max(known)) * self.n)
