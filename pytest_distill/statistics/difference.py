"""The difference of paired 0/1 scores: the score test of a difference of two proportions.

The p-values are exact, the greatest over what the hypothesis leaves open, up to 20,000 examples; of
more the normal law is near enough. The one-sided bounds are where the p-values reach their level,
the two-sided interval for the report is the score test's.

References
----------
Tango, T. (1998). Equivalence test and confidence interval for the difference in proportions for the
paired-sample design. Statistics in Medicine 17:891-908.
Liu, J.-P. et al. (2002). Tests for equivalence or non-inferiority for paired binary data.
Statistics in Medicine 21:231-245.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from pytest_distill.statistics.planning import MOST as MOST_EXAMPLES
from pytest_distill.statistics.planning import first_true, last_true
from pytest_distill.statistics.results import (
    POWER,
    TWO_SIDED,
    FloorTest,
    RetentionInterval,
    one_sided,
)
from pytest_distill.statistics.score import difference_statistic
from pytest_distill.statistics.unconditional import MOST, difference_above_tail, difference_tail

_HALVINGS = 50
_FINER = 10
_STEP = 1 / 16


@dataclass(frozen=True, slots=True)
class ProportionDifference:
    """By how much paired 0/1 scores are better than others, from what differs.

    Parameters
    ----------
    wins, losses : int
        Examples on which the first does better, and worse.
    n : int
        Number of examples.
    """

    wins: int
    losses: int
    n: int

    @property
    def observed(self) -> float:
        """The difference on these examples, above 0 where the first is better."""
        return (self.wins - self.losses) / self.n

    def test(self, limit: float) -> FloorTest:
        """Return the p-values of "the difference is below the limit", and of "it is not"."""
        if not -1 < limit < 1:
            return FloorTest(float(limit > -1), float(limit < 1))
        if self.n > MOST:
            below = float(ndtr(self._score(limit)))
        else:
            below = difference_above_tail(self.wins, self.losses, self.n, limit)
        return FloorTest(self.p_retained(limit), below)

    def p_retained(self, limit: float) -> float:
        """Return the first of the p-values alone, of a limit in (-1, 1)."""
        if self.n > MOST:
            return float(ndtr(-self._score(limit)))
        return difference_tail(self.wins, self.losses, self.n, limit)

    def interval(self, confidence: float = 0.95) -> RetentionInterval:
        """Return the bounds: two one-sided ones at `confidence`, and the 95 % interval."""
        alpha = 1 - one_sided(confidence)
        return RetentionInterval(
            self._one_sided(alpha, 1),
            self._one_sided(alpha, -1),
            *self.report_bounds(),
            confidence,
            "Tango score",
            self.n,
        )

    def report_bounds(self) -> tuple[float, float]:
        """Return the two-sided 95 % interval alone: the score test's."""
        tail = (1 - TWO_SIDED) / 2
        return self._score_bound(tail, 1), self._score_bound(tail, -1)

    def needed(self, limit: float, confidence: float = 0.95, power: float = POWER) -> int | None:
        """Return about how many examples would settle it, if the observed shares are the true ones.

        By the normal law, and at least as many as an equal other needs without any difference. None
        where no number would: the observed difference is the limit.
        """
        gap = self.observed - limit
        if not gap:
            return None
        alpha = 1 - one_sided(confidence)
        spread = math.sqrt(max((self.wins + self.losses) / self.n - self.observed**2, 0.0))
        reach = float(ndtri(1 - alpha)) + float(ndtri(power))
        wanted = (reach * spread / gap) ** 2
        if wanted > MOST_EXAMPLES:
            return None
        least = 1
        if gap > 0 > limit:  # (1 + limit)^n is how likely no loss is at the limit
            least = first_true(lambda n: (1 + limit) ** n <= alpha, 1) or 1
        return max(math.ceil(wanted), least)

    def _score(self, limit: float) -> float:
        return float(difference_statistic(self.wins, self.losses, self.n, limit))

    def _score_bound(self, alpha: float, side: int) -> float:
        """Return the score test's lower (1) or upper (-1) bound: the end that it has refuted."""
        z = float(ndtri(1 - alpha))
        return last_true(
            lambda limit: side * self._score(limit) >= z, self.observed, -float(side), _HALVINGS
        )

    def _one_sided(self, alpha: float, side: int) -> float:
        """Return about where the exact p reaches `alpha`: a difference that it has refuted.

        From the score test's bound in steps outwards as long as the exact test does not refute,
        and then in halves.
        """
        rough = self._score_bound(alpha, side)
        if self.n > MOST:
            return rough

        def refuted(limit: float) -> bool:
            tail = difference_tail if side > 0 else difference_above_tail
            return tail(self.wins, self.losses, self.n, limit) <= alpha

        step = max(_STEP * abs(self.observed - rough), 1e-12)
        inside, outside = self.observed, rough
        while not refuted(outside):
            inside, outside, step = outside, outside - side * step, 2 * step
            if not -1 < outside < 1:
                return -float(side)
        return last_true(refuted, inside, outside, _FINER)


def proportion_difference(
    student: ArrayLike, other: ArrayLike, *, higher_is_better: bool = True
) -> ProportionDifference:
    """Count paired 0/1 scores, shape (n,) each."""
    gains = np.asarray(student, np.float64) - np.asarray(other, np.float64)
    if not np.isin(gains, (-1.0, 0.0, 1.0)).all():
        raise ValueError("scores other than 0 and 1: use Scoring.resampling_test or gain_test")
    up, down = int((gains > 0).sum()), int((gains < 0).sum())
    wins, losses = (up, down) if higher_is_better else (down, up)
    return ProportionDifference(wins, losses, len(gains))
