"""Retention of paired 0/1 scores: the constrained-maximum-likelihood score test of a ratio.

The p-values are exact, the greatest over what the hypothesis leaves open, up to 20,000 examples
that one of the two gets right; of more the normal law is near enough. The one-sided bounds are
where the p-values reach their level, the two-sided interval for the report is the score test's.

References
----------
Nam, J. and Blackwelder, W. C. (2002). Analysis of the ratio of marginal probabilities in a
matched-pair setting. Statistics in Medicine 21:689-699.
Tang, N.-S., Tang, M.-L. and Chan, I. S. F. (2003). On tests of equivalence via non-unity relative
risk for matched-pair design. Statistics in Medicine 22:1217-1233.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from pytest_distill.statistics.planning import examples_needed, first_true
from pytest_distill.statistics.results import (
    POWER,
    TWO_SIDED,
    Floats,
    FloorTest,
    NoRatioError,
    RetentionInterval,
    one_sided,
)
from pytest_distill.statistics.score import score_statistic
from pytest_distill.statistics.unconditional import MOST, above_tail, below_tail

_HALVINGS = 64
_STEP = 1 / 64
_FINER = 4


@dataclass(frozen=True, slots=True)
class ProportionRetention:
    """Retention of paired 0/1 scores, from the four counts.

    Examples that neither model got right do not enter it. Without an example on which the two
    differ, the floor m is shown to hold where m^a is small enough: never 1.

    Parameters
    ----------
    both, teacher_only, student_only, neither : int
        How many examples each model got right: a, b, c, d of the formulas.
    """

    both: int
    teacher_only: int
    student_only: int
    neither: int

    @classmethod
    def counted(cls, student: NDArray[np.bool_], teacher: NDArray[np.bool_]) -> ProportionRetention:
        """Count the examples by what each model got right, shape (n,)."""
        counts = (student & teacher, ~student & teacher, student & ~teacher, ~student & ~teacher)
        return cls(*(int(count.sum()) for count in counts))

    @property
    def n(self) -> int:
        """Number of examples."""
        return self.both + self.teacher_only + self.student_only + self.neither

    @property
    def observed(self) -> float:
        """The ratio on these examples; infinite where there is nothing to divide by."""
        bottom = self.both + self.teacher_only
        return (self.both + self.student_only) / bottom if bottom else math.inf

    def interval(self, confidence: float = 0.95) -> RetentionInterval:
        """Return the ratio's bounds: two one-sided ones at `confidence`, and the 95 % interval."""
        alpha = 1 - one_sided(confidence)
        rough = self.report_interval(confidence)
        if not self._few:
            return rough
        return replace(
            rough,
            one_sided_lower=self._exact_bound(rough.one_sided_lower, alpha, lower=True),
            one_sided_upper=self._exact_bound(rough.one_sided_upper, alpha, lower=False),
        )

    def report_interval(self, confidence: float = 0.95) -> RetentionInterval:
        """Return the bounds of the score test: quicker, for where no bound decides."""
        return proportion_intervals([self], confidence)[0]

    def test(self, floor: float) -> FloorTest:
        """Return the p-values at a floor."""
        if self._few:
            return FloorTest(self.p_retained(floor), above_tail(*self._counts, floor))
        score = float(self._score(np.asarray(floor, np.float64)))
        return FloorTest(p_retained=float(ndtr(-score)), p_below=float(ndtr(score)))

    def p_retained(self, floor: float) -> float:
        """Return the first of the p-values alone."""
        return below_tail(*self._counts, floor) if self._few else self.test(floor).p_retained

    def needed(self, floor: float, confidence: float = 0.95, power: float = POWER) -> int | None:
        """Return about how many examples would settle it; see `examples_needed`."""
        right = self.both + self.teacher_only
        if not right:
            return None
        needed = examples_needed(
            floor,
            teacher=right / self.n,
            discordance=(self.teacher_only + self.student_only) / self.n,
            retention=self.observed,
            confidence=confidence,
            power=power,
        )
        least = self.least(floor, confidence)
        if needed is None or self.observed < floor or least is None:
            return needed
        return max(needed, least)

    def least(self, floor: float, confidence: float = 0.95) -> int | None:
        """Return with about how many examples a student without a loss begins to pass.

        One that retains m loses none of a examples that the teacher gets right with the
        probability m^a, so that a is 29, 59, 149 and 299 at the floors .90, .95, .98 and .99.
        """
        right = self.both + self.teacher_only
        if floor >= 1 or not right:
            return None
        alpha = 1 - one_sided(confidence)
        least = first_true(lambda a: ProportionRetention(a, 0, 0, 0).p_retained(floor) <= alpha, 1)
        return None if least is None else math.ceil(least * self.n / right)

    @property
    def _few(self) -> bool:
        return self.n - self.neither <= MOST

    @property
    def _counts(self) -> tuple[int, int, int]:
        return self.both, self.teacher_only, self.student_only

    def _score(self, ratio: Floats) -> Floats:
        return score_statistic(*self._counts, ratio)

    def _exact_bound(self, rough: float, alpha: float, *, lower: bool) -> float:
        """Return about where the exact p reaches `alpha`: a ratio at which it has."""

        def passes(ratio: float) -> bool:
            tail = below_tail if lower else above_tail
            return tail(*self._counts, ratio) <= alpha

        # On the scale m / (1 + m), as the score test's bounds: steps from the rough bound, towards
        # the observed ratio as long as the test passes or else away from it, and then halves.
        place = _scaled(rough)
        if place in (0.0, 1.0):
            return rough
        first = _STEP * (abs(_scaled(self.observed) - place) or _STEP) * (1 if lower else -1)
        passed = passes(rough)
        step = first if passed else -first
        while passes(_unscaled(place + step)) is passed:
            place, step = place + step, 2 * step
            if not 0 < place + step < 1:
                return 0.0 if lower else math.inf
        near, far = (place, place + step) if passed else (place + step, place)
        while abs(near - far) > abs(first) / _FINER:
            middle = (near + far) / 2
            near, far = (middle, far) if passes(_unscaled(middle)) else (near, middle)
        return _unscaled(near)


def _scaled(ratio: float) -> float:
    return ratio / (1 + ratio) if math.isfinite(ratio) else 1.0


def _unscaled(place: float) -> float:
    return place / (1 - place) if place < 1 else math.inf


def proportion_intervals(
    ratios: Sequence[ProportionRetention], confidence: float = 0.95
) -> list[RetentionInterval]:
    """Return the score interval of each of many ratios, bisecting for all of them at once.

    Where the teacher is always right, the lower bound is that of Wilson's interval for the
    student's proportion, and so is the upper bound as long as its square is at most that
    proportion. Without an example on which the two differ, the lower bound is a / (a + z^2).
    """
    levels = np.array([one_sided(confidence), (1 + TWO_SIDED) / 2])
    z = np.asarray(ndtri(levels), np.float64)
    counts = np.array([[r.both, r.teacher_only, r.student_only] for r in ratios], np.float64)
    score = partial(score_statistic, *counts.reshape(-1, 3, 1).swapaxes(0, 1))
    observed = np.array([[_scaled(r.observed)] for r in ratios]).reshape(-1, 1)
    lower, upper = (_bisected(score, observed, outside, z) for outside in (0.0, 1.0))
    return [
        RetentionInterval(low[0], high[0], low[1], high[1], confidence, "score", ratio.n)
        for ratio, low, high in zip(ratios, lower.tolist(), upper.tolist(), strict=True)
    ]


def _bisected(
    score: Callable[[Floats], Floats], observed: Floats, outside: float, z: Floats
) -> Floats:
    """Return the last ratio that the score test refutes, from 0 or infinity on to the observed one.

    On the scale t = m / (1 + m), which keeps every ratio m in [0, 1]. The end that the test has
    judged is returned: a bound is never better than it is.
    """
    inside, ends = observed + np.zeros_like(z), np.full_like(observed + z, outside)
    for _ in range(_HALVINGS):
        middle = np.minimum((inside + ends) / 2, np.nextafter(1.0, 0.0))
        found = score(middle / (1 - middle))
        refuted = found < -z if outside else found >= z
        inside, ends = np.where(refuted, inside, middle), np.where(refuted, middle, ends)
    with np.errstate(divide="ignore"):
        return np.asarray(ends / (1 - ends), np.float64)


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
        Where the teacher scores 0 on all examples.
    ValueError
        Where a score is neither 0 nor 1, or the two differ in length.
    """
    s, t = np.asarray(student), np.asarray(teacher)
    if s.shape != t.shape or s.ndim != 1:
        raise ValueError(f"shapes {s.shape} and {t.shape}: must be one score an example, of each")
    if not (((s == 0) | (s == 1)).all() and ((t == 0) | (t == 1)).all()):
        raise ValueError("scores other than 0 and 1: use Scoring.t_retention")
    top, bottom = (s == 1, t == 1) if higher_is_better else (t == 1, s == 1)
    if not (t == 1).any():
        raise NoRatioError(f"the teacher scores 0 on all {len(s)} examples: no ratio exists")
    return ProportionRetention.counted(top, bottom)
