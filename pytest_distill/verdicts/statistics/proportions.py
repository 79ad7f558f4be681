"""Retention of paired 0/1 scores: the constrained-maximum-likelihood score test of a ratio.

References
----------
Nam, J. and Blackwelder, W. C. (2002). Analysis of the ratio of marginal probabilities in a
matched-pair setting. Statistics in Medicine 21:689-699.
Tang, N.-S., Tang, M.-L. and Chan, I. S. F. (2003). On tests of equivalence via non-unity relative
risk for matched-pair design. Statistics in Medicine 22:1217-1233.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtr, ndtri

from pytest_distill.verdicts.statistics.planning import examples_needed
from pytest_distill.verdicts.statistics.results import (
    POWER,
    TWO_SIDED,
    Floats,
    FloorTest,
    NoRatioError,
    RetentionInterval,
    one_sided,
)
from pytest_distill.verdicts.statistics.score import score_statistic

_HALVINGS = 64


@dataclass(frozen=True, slots=True)
class ProportionRetention:
    """Retention of paired 0/1 scores, from the four counts.

    The interval is the set of ratios m that the score test accepts. Examples that neither model
    got right do not enter it. Where the teacher is always right, the lower bound is that of
    Wilson's interval for the student's proportion, and so is the upper bound as long as its square
    is at most that proportion. Without an example on which the two differ, the lower bound is
    a / (a + z^2): never 1.

    Parameters
    ----------
    both, teacher_only, student_only, neither : int
        How many examples each model got right: a, b, c, d of the formulas.
    """

    both: int
    teacher_only: int
    student_only: int
    neither: int

    @property
    def n(self) -> int:
        """Number of examples."""
        return self.both + self.teacher_only + self.student_only + self.neither

    @property
    def observed(self) -> float:
        """The ratio on these examples."""
        return (self.both + self.student_only) / (self.both + self.teacher_only)

    def interval(self, confidence: float = 0.95) -> RetentionInterval:
        """Return the ratio's bounds: two one-sided ones at `confidence`, and the 95 % interval."""
        return proportion_intervals([self], confidence)[0]

    def test(self, floor: float) -> FloorTest:
        """Return the p-values at a floor."""
        score = float(self._score(np.asarray(floor, np.float64)))
        return FloorTest(p_retained=float(ndtr(-score)), p_below=float(ndtr(score)))

    def needed(self, floor: float, confidence: float = 0.95, power: float = POWER) -> int | None:
        """Return about how many examples would settle it; see `examples_needed`."""
        return examples_needed(
            floor,
            teacher=(self.both + self.teacher_only) / self.n,
            discordance=(self.teacher_only + self.student_only) / self.n,
            retention=self.observed,
            confidence=confidence,
            power=power,
        )

    def _score(self, ratio: Floats) -> Floats:
        return score_statistic(self.both, self.teacher_only, self.student_only, ratio)


def proportion_intervals(
    ratios: Sequence[ProportionRetention], confidence: float = 0.95
) -> list[RetentionInterval]:
    """Return the interval of each of many ratios, bisecting for all of them at once."""
    levels = np.array([one_sided(confidence), (1 + TWO_SIDED) / 2])
    z = np.asarray(ndtri(levels), np.float64)
    counts = np.array([[r.both, r.teacher_only, r.student_only] for r in ratios], np.float64)
    score = partial(score_statistic, *counts.reshape(-1, 3, 1).swapaxes(0, 1))
    observed = np.array([[r.observed] for r in ratios]).reshape(-1, 1)
    lower, upper = _lower(score, observed, z), _upper(score, observed, z)
    return [
        RetentionInterval(low[0], high[0], low[1], high[1], confidence, "score", ratio.n)
        for ratio, low, high in zip(ratios, lower.tolist(), upper.tolist(), strict=True)
    ]


# Both bisect on t = m / (1 + m), which keeps every ratio m in [0, 1], and return the end that the
# test has judged: a bound is never better than it is.
def _lower(score: Callable[[Floats], Floats], observed: Floats, z: Floats) -> Floats:
    high = observed / (1 + observed) + np.zeros_like(z)
    low = np.zeros_like(high)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        shown = score(middle / (1 - middle)) >= z
        low, high = np.where(shown, middle, low), np.where(shown, high, middle)
    return np.asarray(low / (1 - low), np.float64)


def _upper(score: Callable[[Floats], Floats], observed: Floats, z: Floats) -> Floats:
    low = observed / (1 + observed) + np.zeros_like(z)
    high = np.ones_like(low)
    for _ in range(_HALVINGS):
        middle = np.minimum((low + high) / 2, np.nextafter(1.0, 0.0))
        refuted = score(middle / (1 - middle)) < -z
        low, high = np.where(refuted, low, middle), np.where(refuted, middle, high)
    with np.errstate(divide="ignore"):
        return np.asarray(high / (1 - high), np.float64)


def proportion_retention(
    student: ArrayLike, teacher: ArrayLike, *, higher_is_better: bool = True
) -> ProportionRetention:
    """Count paired 0/1 scores.

    Parameters
    ----------
    student, teacher : array_like, shape (n,)
        Scores, each 0 or 1.
    higher_is_better : bool
        Where it is False the ratio is teacher / student.

    Raises
    ------
    NoRatioError
        Where the denominator is 0.
    ValueError
        Where a score is neither 0 nor 1, or the two differ in length.
    """
    s, t = np.asarray(student), np.asarray(teacher)
    if s.shape != t.shape or s.ndim != 1:
        raise ValueError(f"shapes {s.shape} and {t.shape}: must be one score an example, of each")
    if not (((s == 0) | (s == 1)).all() and ((t == 0) | (t == 1)).all()):
        raise ValueError("scores other than 0 and 1: use mean_retention")
    top, bottom = (s == 1, t == 1) if higher_is_better else (t == 1, s == 1)
    if not bottom.any():
        who = "teacher" if higher_is_better else "student"
        raise NoRatioError(f"the {who} scores 0 on all {len(s)} examples: no ratio exists")
    counts = (top & bottom, ~top & bottom, top & ~bottom, ~top & ~bottom)
    return ProportionRetention(*(int(count.sum()) for count in counts))
