"""Several tests, and several intervals, at once.

References
----------
Bonferroni, C. E. (1936). Teoria statistica delle classi e calcolo delle probabilità.
Dunn, O. J. (1961). Multiple comparisons among means. Journal of the American Statistical
Association 56:52-64.
Holm, S. (1979). A simple sequentially rejective multiple test procedure. Scandinavian Journal of
Statistics 6:65-70.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pytest_distill.statistics.proportions import ProportionRetention, proportion_intervals
from pytest_distill.statistics.results import Floats, FloorTest, Retention, RetentionInterval, shown


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
