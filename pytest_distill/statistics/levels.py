"""What follows from a ratio of two estimates: one model's score by itself, likelihoods, an inverse.

Perplexity has no worst value: a text twice as bad as the worst is counted, since a few bad texts
decide and a sample may have missed its share of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from pytest_distill.statistics.jackknife import Clusters, Range, of_sums
from pytest_distill.statistics.results import FloorTest, Retention, RetentionInterval
from pytest_distill.statistics.t_retention import (
    TRetention,
    exponential,
    ratio_test,
    refuse_no_ratio,
)

_NATS = "t of log-likelihoods"


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
            ends = (exponential(ends[0]), exponential(ends[1]))
        return max(ends[0], low), min(ends[1], high)


def likelihood_retention(
    student_nats: ArrayLike,
    teacher_nats: ArrayLike,
    units: ArrayLike,
    *,
    logarithmic: bool,
    clusters: Clusters | None = None,
) -> TRetention:
    """Retention of a likelihood per unit of text, the units of both models being the same.

    Of perplexity it is ppl(teacher) / ppl(student), which is exp(-(sum nats(student) - sum
    nats(teacher)) / units), and its logarithm is tested by t on D = -(nats(student) -
    nats(teacher)) - ln(m)*units of each text, or cluster of texts. Of bits per byte it is
    sum nats(teacher) / sum nats(student), by a t test on D = nats(teacher) - m*nats(student).

    Parameters
    ----------
    student_nats, teacher_nats : array_like, shape (n,)
        Negative log-likelihood of each text.
    units : array_like, shape (n,)
        Its tokens, where the tokenizers are the same; else its words or bytes.
    logarithmic : bool
        Whether the score is exp(nats / units), else it is nats / units.
    clusters : sequence of hashable, optional
        The cluster of each text.
    """
    student, teacher = (np.asarray(x, np.float64) for x in (student_nats, teacher_nats))
    if logarithmic:
        pair, who, floor = (teacher - student, units), "number of units of text", -math.inf
    else:
        pair, who, floor = (teacher, student), "student", 0.0
    top, bottom = (of_sums(values, units, clusters) for values in pair)
    refuse_no_ratio(bottom, who)
    return replace(ratio_test(top, bottom, floor, _NATS), logarithmic=logarithmic)


def likelihood_level(
    nats: ArrayLike,
    units: ArrayLike,
    range: Range,
    *,
    logarithmic: bool,
    clusters: Clusters | None = None,
) -> Level:
    """Return the test of a negative log-likelihood per unit of text; lower is better.

    Parameters
    ----------
    nats, units, logarithmic, clusters
        Of one model, as for `likelihood_retention`.
    range : tuple of float
        The least and the greatest score.
    """
    gained = of_sums(-np.asarray(nats, np.float64), units, clusters)
    ratio = ratio_test(gained, of_sums(units, units, clusters), -math.inf, _NATS)
    return Level(ratio, False, range, logarithmic)


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
