"""Where numbers vanish or clusters are too few: bounds and p-values say the same, and exist."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pytest_distill.statistics.gap import gap_recovered
from pytest_distill.statistics.jackknife import of_mean
from pytest_distill.statistics.rates import Rate
from pytest_distill.statistics.results import Judgement
from pytest_distill.statistics.scoring import Scoring

ENDS = (0.0, 1.0)


@pytest.mark.parametrize("scale", [1e-200, 1e-170, 1e-300])
def test_scores_whose_squares_vanish(scale: float) -> None:
    """Scores far under the metric's range have bounds that are no error, and show nothing."""
    rng = np.random.default_rng(0)
    teacher = rng.random(120) * scale
    found = Scoring((0.0, 1.0)).t_retention(0.97 * teacher, teacher)
    interval = found.interval()
    assert found.observed == pytest.approx(0.97)
    assert interval.one_sided_lower < 0.97 < interval.one_sided_upper
    assert found.test(0.9).judge(0.95) is Judgement.UNCLEAR
    models = [of_mean(share * teacher, None, ENDS) for share in (0.97, 0.8, 1.0)]
    gap = gap_recovered(*models)
    assert gap.recovered == pytest.approx(0.85)
    assert gap.lower is not None
    assert gap.lower < 0.85


@pytest.mark.parametrize("clusters", [9, 10])
def test_bounds_of_few_clusters_decide_nothing(clusters: int) -> None:
    """Under 10 clusters the one-sided bounds refute nothing, as p; the interval is still told."""
    n = 20 * clusters
    groups = [i // 20 for i in range(n)]
    scores = np.ones(n)
    scores[:5] = 0
    ratio = Scoring((0.0, 1.0), clusters=groups).t_retention(scores, np.ones(n))
    level = Scoring(clusters=groups).t_level(scores)
    ones = np.ones(n)
    rate = Rate(scores, scores, ones, higher_is_better=True, worst=0.0, clusters=groups)
    told = clusters == 10
    for found, most in ((ratio, math.inf), (level, 1.0), (rate, 1.0)):
        interval = found.interval()
        assert (found.test(0.1).judge(0.95) is Judgement.RETAINED) is told
        assert (interval.one_sided_lower >= 0.1) is told
        assert (interval.one_sided_lower > 0) is told
        assert (interval.one_sided_upper < most) is (told and most > 1)
        assert 0.1 < interval.lower < 0.98
