"""The inverse of a retained share: a ratio of which less is better."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from pytest_distill.statistics.results import FloorTest, Retention, RetentionInterval


@dataclass(frozen=True, slots=True)
class Inverse:
    """What the examples say of student / teacher, by what they say of teacher / student.

    Parameters
    ----------
    of : Retention
        Teacher / student: of a quantity of which less is better.
    """

    of: Retention

    def interval(self, confidence: float = 0.95) -> RetentionInterval:
        """Return the ratio's bounds: two one-sided ones at `confidence`, and the 95 % interval."""
        found = self.of.interval(confidence)
        return replace(
            found,
            one_sided_lower=_inverse(found.one_sided_upper),
            one_sided_upper=_inverse(found.one_sided_lower),
            lower=_inverse(found.upper),
            upper=_inverse(found.lower),
        )

    def test(self, limit: float) -> FloorTest:
        """Return the p-values of "the ratio is above the limit" and of "it is at most that"."""
        return self.of.test(1 / limit)

    def needed(self, limit: float, confidence: float = 0.95) -> int | None:
        """Return about how many examples would settle it; None where no number would."""
        return self.of.needed(1 / limit, confidence)

    def least(self, limit: float, confidence: float = 0.95) -> int | None:
        """Return with about how many examples a student as short as the teacher begins to pass."""
        return self.of.least(1 / limit, confidence)


def _inverse(bound: float) -> float:
    return 1 / bound if bound > 0 else math.inf
