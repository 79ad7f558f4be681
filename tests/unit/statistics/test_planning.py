"""Numbers of examples, the gap recovered, Holm and chance."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.stats

from pytest_distill.verdicts.statistics import (
    FloorTest,
    NoRatioError,
    ProportionRetention,
    above_chance,
    examples_needed,
    examples_needed_to_beat,
    gap_recovered,
    holm,
    mean_retention,
    of_mean,
    score_statistic,
    slices_below,
    teacher_right_needed,
)


@pytest.mark.parametrize(
    ("floor", "needed"), [(0.9, 25), (0.95, 52), (0.98, 133), (0.99, 268), (1.0, None)]
)
def test_teacher_right_needed(floor: float, needed: int | None) -> None:
    """The least number with which a flawless student passes, and one fewer does not."""
    assert teacher_right_needed(floor) == needed
    if needed is not None:
        assert ProportionRetention(needed, 0, 0, 9).interval().one_sided_lower >= floor
        assert ProportionRetention(needed - 1, 0, 0, 9).interval().one_sided_lower < floor


def test_examples_needed_by_hand() -> None:
    """An identical student, p = .9, floor .9: s0^2 = .081, s1^2 = .0009, (r - m) p = .09.

    (1.645 * .2846 + .842 * .03)^2 / .0081 = 30.08, with z to five digits.
    """
    s0, s1 = math.sqrt(0.9 * 0.1 * 0.9), math.sqrt(0.9 * 0.1 * 0.01)
    expected = math.ceil((1.644854 * s0 + 0.841621 * s1) ** 2 / 0.0081)
    assert examples_needed(0.9, teacher=0.9, discordance=0.0, retention=1.0) == expected == 31


@pytest.mark.parametrize(
    ("floor", "teacher", "discordance", "retention"),
    [(0.9, 0.9, 0.1, 0.97), (0.95, 0.8, 0.06, 1.0), (0.9, 0.6, 0.3, 0.8), (0.95, 0.9, 0.1, 0.9)],
)
def test_power_at_the_examples_needed(
    floor: float, teacher: float, discordance: float, retention: float
) -> None:
    """Simulated with the number it names, the test gives a clear answer about 80 % of the time."""
    n = examples_needed(floor, teacher, discordance, retention)
    assert n is not None
    both = (teacher + retention * teacher - discordance) / 2
    cells = [both, teacher - both, retention * teacher - both]
    a, b, c, _ = np.random.default_rng(0).multinomial(n, [*cells, 1 - sum(cells)], 20_000).T
    score = score_statistic(a, b, c, floor)
    clear = score >= 1.644854 if retention > floor else score < -1.644854
    assert 0.76 < clear.mean() < 0.88


def test_no_number_settles_the_floor_itself() -> None:
    """Where the retention is the floor, and where a perfect student faces a floor of 1."""
    assert examples_needed(0.9, 0.9, 0.1, 0.9) is None
    assert ProportionRetention(90, 5, 5, 0).needed(1.0) is None
    assert mean_retention([0.5, 0.5], [0.5, 0.5]).needed(1.0) is None


def test_needed_of_counts() -> None:
    """What was seen is put into the formula."""
    found = ProportionRetention(80, 10, 5, 5).needed(0.9)
    assert found == examples_needed(0.9, 0.9, 0.15, 85 / 90)


@pytest.mark.parametrize("floor", [0.9, 0.99])
def test_needed_of_scores_has_the_power(floor: float) -> None:
    """Drawing that many from the scores seen gives a clear answer about 80 % of the time."""
    rng = np.random.default_rng(1)
    teacher = rng.choice([0.0, 0.5, 1.0], 4000, p=[0.1, 0.2, 0.7])
    student = np.where(rng.random(4000) < 0.05, 0.0, teacher)
    n = mean_retention(student, teacher).needed(floor)
    assert n is not None
    clear = []
    for _ in range(500):
        drawn = rng.integers(0, 4000, n)
        test = mean_retention(student[drawn], teacher[drawn]).test(floor)
        clear.append((test.p_retained if floor == 0.9 else test.p_below) <= 0.05)
    assert 0.7 < np.mean(clear) < 0.9


def test_needed_of_clusters_counts_examples() -> None:
    """Clusters are asked for whole, and told in examples."""
    scores, teacher = np.tile([0.9, 0.8, 1.0, 0.9], 25), np.ones(100)
    alone = mean_retention(scores, teacher).needed(0.8)
    clustered = mean_retention(scores, teacher, clusters=[i // 4 for i in range(100)]).needed(0.8)
    assert alone is not None
    assert clustered is not None
    assert clustered > alone
    assert clustered % 4 == 0


def test_examples_needed_to_beat() -> None:
    """Connor's formula for 12 % wins and 6 % losses; none where there is no gain."""
    gains = [1] * 12 + [-1] * 6 + [0] * 82
    z, y = scipy.stats.norm.ppf([0.95, 0.8])
    expected = (z * math.sqrt(0.18) + y * math.sqrt(0.18 - 0.06**2)) ** 2 / 0.06**2
    assert examples_needed_to_beat(gains) == math.ceil(expected)
    assert examples_needed_to_beat([0, 0]) is None
    assert examples_needed_to_beat(gains, min_gain=0.06) is None


def test_gap_recovered() -> None:
    """The ratio of the gains, with an interval whose ends scipy's t test just accepts."""
    rng = np.random.default_rng(0)
    sft = rng.normal(0.6, 0.1, 200)
    student, teacher = sft + rng.normal(0.07, 0.1, 200), sft + rng.normal(0.1, 0.1, 200)
    found = gap_recovered(of_mean(student), of_mean(sft), of_mean(teacher))
    assert found.recovered == pytest.approx((student - sft).mean() / (teacher - sft).mean())
    assert found.lower is not None
    assert found.upper is not None
    for end in (found.lower, found.upper):
        d = (student - sft) - end * (teacher - sft)
        assert scipy.stats.ttest_1samp(d, 0).pvalue == pytest.approx(0.05)
    turned = gap_recovered(*(of_mean(-x) for x in (student, sft, teacher)), higher_is_better=False)
    assert turned == found


def test_gap_that_is_none() -> None:
    """It is undefined where the teacher is not above SFT, and unbounded where that is not told."""
    student, sft = [0.5, 0.9, 0.4], [0.6, 0.7, 0.5]
    none = gap_recovered(of_mean(student), of_mean(sft), of_mean(sft))
    assert (none.recovered, none.lower, none.upper) == (None, None, None)
    unclear = gap_recovered(of_mean(student), of_mean(sft), of_mean([0.5, 0.9, 0.6]))
    assert unclear.recovered == pytest.approx(0.0)
    assert (unclear.lower, unclear.upper) == (-math.inf, math.inf)


def test_holm_by_hand() -> None:
    """Adjusted p-values: .01*4, .02*3, max(.03*2, .06), .04*1 raised to its forerunner's."""
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.9]) == pytest.approx([1.0, 1.0])
    assert len(holm([])) == 0


def test_slices_below() -> None:
    """Of three slices only those whose evidence outlives the adjustment fail."""
    tests = [FloorTest(p_retained=1 - p, p_below=p) for p in (0.001, 0.02, 0.3)]
    assert slices_below(tests) == [True, True, False]
    assert slices_below([*tests[1:], FloorTest(0.5, 0.5)]) == [False, False, False]


def test_above_chance() -> None:
    """0.30 of 0.40 on a task with four choices is a third of the skill."""
    found = above_chance(Fraction(3, 10), Fraction(4, 10), Fraction(1, 4))
    assert found == Fraction(1, 3)
    with pytest.raises(NoRatioError, match=r"guessing 0\.25: there is no skill"):
        above_chance(Fraction(3, 10), Fraction(1, 4), Fraction(1, 4))
