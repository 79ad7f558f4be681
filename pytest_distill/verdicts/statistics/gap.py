"""Which share of the gap between plain fine-tuning and the teacher distilling closed."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy.special import stdtrit

from pytest_distill.verdicts.statistics.fieller import ratio_moments
from pytest_distill.verdicts.statistics.jackknife import PseudoValues
from pytest_distill.verdicts.statistics.results import TWO_SIDED, cluster_notes


@dataclass(frozen=True, slots=True)
class GapRecovered:
    """(student - sft) / (teacher - sft), with its two-sided 95 % interval.

    Parameters
    ----------
    recovered : float, optional
        0 is as good as the SFT student, 1 as good as the teacher; None where the teacher is no
        better than the SFT student: there is no gap.
    lower, upper : float, optional
        Infinite, both, where the gap itself is not told apart from 0; None where there is none.
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

    "g of the gap" is a one-sample t test on (student - sft) - g*(teacher - sft). Unlike a jackknife
    of the ratio itself it stays right when the gap is small, and says so, by an infinite interval,
    when the gap is not told apart from 0.

    Parameters
    ----------
    student, sft, teacher : PseudoValues
        Of the same examples, or clusters: `of_mean` or `of_metric`.
    higher_is_better : bool
        The metric's direction.
    confidence : float
        Of the two-sided interval.
    """
    sign = 1 if higher_is_better else -1
    gap = sign * (teacher.estimate - sft.estimate)
    gained = sign * (student.estimate - sft.estimate)
    method, n, clusters = "Fieller", student.n, student.clusters
    notes = cluster_notes(clusters)
    if not gap > 0:
        return GapRecovered(None, None, None, confidence, method, n, clusters, notes)
    x, y = sign * (student.values - sft.values), sign * (teacher.values - sft.values)
    moments = ratio_moments(gained, gap, x, y)
    t = float(stdtrit(moments.df, (1 + confidence) / 2)) if moments.df else math.inf
    lower, upper = -math.inf, math.inf
    if moments.bottom_above_zero(t):
        lower, upper = moments.lower(t, -math.inf), moments.upper(t)
    return GapRecovered(gained / gap, lower, upper, confidence, method, n, clusters, notes)
