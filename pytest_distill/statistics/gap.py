"""Which share of the gap between plain fine-tuning and the teacher distilling closed."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pytest_distill.statistics.jackknife import PseudoValues
from pytest_distill.statistics.not_seen import pairs_not_seen
from pytest_distill.statistics.results import TWO_SIDED, Floats
from pytest_distill.statistics.t_retention import TRetention


@dataclass(frozen=True, slots=True)
class GapRecovered:
    """(student - sft) / (teacher - sft), with its two-sided 95 % interval.

    Parameters
    ----------
    recovered : float, optional
        0 is as good as the SFT student, 1 as good as the teacher; None where the teacher is no
        better than the SFT student: there is no gap.
    lower, upper : float, optional
        Infinite, both, where the gap itself is not significantly above 0; None where there is none.
    confidence : float
        Of the interval.
    method : str
        How the interval was reached.
    n : int
        Number of examples.
    clusters : int, optional
        Number of clusters, where the examples come in clusters.
    notes : tuple of str
        What a reader must know beside the numbers.
    """

    recovered: float | None
    lower: float | None
    upper: float | None
    confidence: float
    method: str
    n: int
    clusters: int | None = None
    notes: tuple[str, ...] = ()


def gap_recovered(
    student: PseudoValues,
    sft: PseudoValues,
    teacher: PseudoValues,
    *,
    higher_is_better: bool = True,
    confidence: float = TWO_SIDED,
) -> GapRecovered:
    """Return the gap recovered, by Fieller's interval on pseudo-values.

    "g of the gap" is a one-sample t test on (student - sft) - g*(teacher - sft), with an example
    that was not seen counted on either side, as for the retention. Unlike a jackknife of the ratio
    itself it stays right when the gap is small, and says so, by an infinite interval, when the gap
    is not significantly above 0.

    Parameters
    ----------
    student, sft, teacher : PseudoValues
        Of the same examples, or clusters: `of_mean` or `of_metric`.
    higher_is_better : bool
        The metric's direction.
    confidence : float
        Of the two-sided interval.
    """
    method, n, clusters = "Fieller", student.n, student.clusters
    # Who is wrong on a unit that was not seen is the matter of three models: see `_not_seen`.
    gained, opened = (
        replace(gain, wrong=None, right=None, bounded=False)
        for model in (student, teacher)
        for gain in [model.gain_over(sft, higher_is_better=higher_is_better)]
    )
    if not opened.estimate > 0:
        return GapRecovered(None, None, None, confidence, method, n, clusters, student.notes)
    sign = 1 if higher_is_better else -1
    worst, best = _not_seen((student, sft, teacher), (gained, opened), sign)
    test = TRetention(gained, opened, worst, best, -math.inf, method)
    lower, upper = test.bounds((1 + confidence) / 2)
    if math.isinf(lower) or math.isinf(upper):
        lower, upper = -math.inf, math.inf
    return GapRecovered(test.observed, lower, upper, confidence, method, n, clusters, student.notes)


def _not_seen(
    models: tuple[PseudoValues, PseudoValues, PseudoValues],
    differences: tuple[PseudoValues, PseudoValues],
    sign: int,
) -> tuple[Floats | None, Floats | None]:
    """Return the worst and the best units for the ratio: who is right and wrong on them."""
    wrong, right = [m.wrong for m in models], [m.right for m in models]
    if any(side is None or not len(side) for side in (*wrong, *right)):
        return pairs_not_seen(*differences)

    def units(which: Iterable[tuple[Any, Any, Any]]) -> Floats:
        found = [np.column_stack([s - o, t - o]) for s, o, t in which]
        return np.asarray(sign * np.concatenate(found))

    (s_bad, o_bad, t_bad), (s_good, o_good, t_good) = wrong, right
    return (
        units([(s_bad, o_good, t_good), (s_bad, o_good, t_bad), (s_bad, o_bad, t_good)]),
        units([(s_good, o_bad, t_bad), (s_good, o_bad, t_good), (s_good, o_good, t_bad)]),
    )
