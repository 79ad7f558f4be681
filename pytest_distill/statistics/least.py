"""The least of what was retained over several evals: each tested by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pytest_distill.statistics.multiple import holm
from pytest_distill.statistics.results import (
    TWO_SIDED,
    FloorTest,
    Retention,
    RetentionInterval,
    one_sided,
)


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
