"""One model's score by itself: what a limit for it rests on."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from pytest_distill.statistics.jackknife import Range
from pytest_distill.statistics.results import FloorTest, RetentionInterval
from pytest_distill.statistics.t_retention import TRetention


@dataclass(frozen=True, eq=False, slots=True)
class Level:
    """A score, or its logarithm, by a t test with an example that was not seen counted.

    Parameters
    ----------
    ratio : TRetention
        Of the score to 1; with its sign turned where lower is better, so that a ceiling is a floor.
    higher_is_better : bool
        Whether the score is held against a floor, else against a ceiling.
    range : tuple of float
        The least and the greatest score.
    logarithmic : bool
        Whether the ratio is that of the score's logarithm.
    """

    ratio: TRetention
    higher_is_better: bool
    range: Range
    logarithmic: bool = False

    def test(self, limit: float) -> FloorTest:
        """Return the p-values of "the limit is not kept" and of "it is"."""
        return self.ratio.test(self._of(limit))

    def interval(self, confidence: float = 0.95) -> RetentionInterval:
        """Return the score's bounds: two one-sided ones at `confidence`, and the 95 % interval."""
        found = self.ratio.interval(confidence)
        one_sided = self._bounds(found.one_sided_lower, found.one_sided_upper)
        two_sided = self._bounds(found.lower, found.upper)
        return replace(
            found,
            one_sided_lower=one_sided[0],
            one_sided_upper=one_sided[1],
            lower=two_sided[0],
            upper=two_sided[1],
        )

    def needed(self, limit: float, confidence: float = 0.95) -> int | None:
        """Return about how many examples would settle it; see `TRetention.needed`."""
        return self.ratio.needed(self._of(limit), confidence)

    def _of(self, score: float) -> float:
        """Return the ratio that a score is."""
        value = math.log(score) if self.logarithmic else score
        return value if self.higher_is_better else -value

    def _bounds(self, lower: float, upper: float) -> tuple[float, float]:
        low, high = self.range
        ends = (lower, upper) if self.higher_is_better else (-upper, -lower)
        if self.logarithmic:
            ends = (_exp(ends[0]), _exp(ends[1]))
        return max(ends[0], low), min(ends[1], high)


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf
