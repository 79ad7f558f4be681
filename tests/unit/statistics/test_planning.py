"""Numbers of examples, the gap recovered and Holm."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from pytest_distill.statistics.gap import gap_recovered
from pytest_distill.statistics.jackknife import of_mean
from pytest_distill.statistics.multiple import holm, slices_below
from pytest_distill.statistics.planning import examples_needed, examples_needed_to_beat
from pytest_distill.statistics.proportions import ProportionRetention
from pytest_distill.statistics.results import FloorTest, Judgement
from pytest_distill.statistics.score import score_statistic
from pytest_distill.statistics.scoring import Scoring


@pytest.mark.parametrize(
    ("floor", "needed"), [(0.9, 29), (0.95, 59), (0.98, 149), (0.99, 299), (1.0, None)]
)
def test_a_flawless_student_needs_examples_too(floor: float, needed: int | None) -> None:
    """The least number with which it passes, and with one fewer it does not."""
    assert ProportionRetention(1, 0, 0, 0).least(floor) == needed
    if needed is not None:
        passes, fails = (ProportionRetention(k, 0, 0, 9) for k in (needed, needed - 1))
        assert passes.test(floor).judge(0.95) is Judgement.RETAINED
        assert fails.test(floor).judge(0.95) is Judgement.UNCLEAR
        assert passes.interval().one_sided_lower >= floor > fails.interval().one_sided_lower


def test_least_counts_the_examples_that_the_teacher_gets_wrong() -> None:
    """Of a teacher that is right on 3 of 4 it takes 79 examples to be right on 59."""
    assert ProportionRetention(75, 0, 0, 25).least(0.95) == math.ceil(59 / 0.75) == 79
    assert ProportionRetention(75, 0, 0, 25).needed(0.95) == 79
    assert ProportionRetention(75, 0, 0, 25).least(1.0) is None


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
    assert Scoring().t_retention([0.5, 0.5], [0.5, 0.5]).needed(1.0) is None


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
    n = Scoring().t_retention(student, teacher).needed(floor)
    assert n is not None
    clear = []
    for _ in range(500):
        drawn = rng.integers(0, 4000, n)
        test = Scoring().t_retention(student[drawn], teacher[drawn]).test(floor)
        clear.append((test.p_retained if floor == 0.9 else test.p_below) <= 0.05)
    assert 0.75 <= np.mean(clear) < 0.9


@pytest.mark.parametrize(("floor", "lost"), [(0.9, 0.05), (0.95, 0.01), (0.9, 0.15), (0.95, 0.0)])
def test_needed_of_right_and_wrong_has_the_power(floor: float, lost: float) -> None:
    """Drawing that many examples of this kind gives a clear answer at least 3 times in 4."""
    teacher, won = 0.85, 0.01
    cells = np.array([teacher * (1 - lost), teacher * lost, won, 1 - teacher - won])
    n = ProportionRetention(*(int(x) for x in np.round(cells * 10_000))).needed(floor)
    assert n is not None
    retained = (cells[0] + won) / teacher > floor
    tables = np.random.default_rng(0).multinomial(n, cells, 400)
    tests = [ProportionRetention(*map(int, table)).test(floor) for table in tables]
    clear = [(t.p_retained if retained else t.p_below) <= 0.05 for t in tests]
    assert 0.75 <= np.mean(clear) <= 0.98


def test_needed_of_clusters_counts_examples() -> None:
    """Clusters are asked for whole, and told in examples."""
    scores, teacher = np.tile([0.9, 0.8, 1.0, 0.9], 25), np.ones(100)
    alone = Scoring().t_retention(scores, teacher).needed(0.8)
    clustered = (
        Scoring(clusters=[i // 4 for i in range(100)]).t_retention(scores, teacher).needed(0.8)
    )
    assert alone is not None
    assert clustered is not None
    assert clustered > alone
    assert clustered % 4 == 0


@pytest.mark.parametrize("sizes", [[20] * 6, [60, 30, 10, 10, 5, 5]])
def test_needed_of_clusters_is_at_least_what_makes_ten(sizes: list[int]) -> None:
    """However clear the scores, it takes ten clusters, or what counts as ten by their sizes."""
    n = sum(sizes)
    clusters = np.repeat(np.arange(len(sizes)), sizes).tolist()
    found = Scoring(clusters=clusters).t_retention(np.full(n, 0.9), np.full(n, 0.9)).needed(0.3)
    effective = n**2 / sum(size**2 for size in sizes)
    assert found is not None
    assert found >= 10 * n / effective
    assert found <= 10 * n / effective + n / len(sizes)


def test_examples_needed_to_beat() -> None:
    """Connor's formula for 12 % wins and 6 % losses; none where there is no gain."""
    gains = [1] * 12 + [-1] * 6 + [0] * 82
    z, y = scipy.stats.norm.ppf([0.95, 0.8])
    expected = (z * math.sqrt(0.18) + y * math.sqrt(0.18 - 0.06**2)) ** 2 / 0.06**2
    assert examples_needed_to_beat(gains) == math.ceil(expected)
    assert examples_needed_to_beat([0, 0]) is None
    assert examples_needed_to_beat(gains, min_gain=0.06) is None


@pytest.mark.parametrize("scale", [0.1, 0.02])
def test_gap_recovered(scale: float) -> None:
    """The ratio of the gains, with an interval whose ends a weighted t test just accepts.

    Beside the examples the one counts that is worst, or best, for the ratio: who is right and who
    is wrong on it.
    """
    rng = np.random.default_rng(0)
    sft = rng.normal(0.6, 0.1, 200)
    student, teacher = sft + rng.normal(0.07, scale, 200), sft + rng.normal(0.1, scale, 200)
    models = [of_mean(x, ends=(0.0, 1.0)) for x in (student, sft, teacher)]
    found = gap_recovered(*models)
    assert found.recovered == pytest.approx((student - sft).mean() / (teacher - sft).mean())
    assert found.lower is not None
    assert found.upper is not None
    weight = 1 + (scipy.stats.norm.isf(0.025) ** 2 - 1) / 4
    unseen = [(s - o, t - o) for s in (0, 1) for o in (0, 1) for t in (0, 1)]
    for end, pick, t in ((found.lower, min, 1), (found.upper, max, -1)):
        values = np.append(
            (student - sft) - end * (teacher - sft), pick(x - end * y for x, y in unseen)
        )
        weights = np.append(np.ones(200), weight)
        mean, total = np.average(values, weights=weights), 200 + weight
        error = np.sqrt(np.average((values - mean) ** 2, weights=weights) / (total - 1))
        assert mean / error == pytest.approx(t * scipy.stats.t.isf(0.025, total - 1))
    turned = [of_mean(-x, ends=(0.0, -1.0)) for x in (student, sft, teacher)]
    assert gap_recovered(*turned, higher_is_better=False) == found
    assert (found.confidence, found.method) == (0.95, "Fieller")
    assert (found.n, found.clusters, found.notes) == (200, None, ())


def test_the_interval_of_a_gap_near_the_ceiling_covers() -> None:
    """A student that all but closes the gap, .97 of .98 right: 95 % of the intervals hold it."""
    rng, covered = np.random.default_rng(0), 0
    p_sft, p_student, p_teacher = 0.9, 0.97, 0.98
    truth = (p_student - p_sft) / (p_teacher - p_sft)
    for _ in range(400):
        u = rng.random(200)
        models = [
            of_mean((u < p).astype(float), ends=(0.0, 1.0)) for p in (p_student, p_sft, p_teacher)
        ]
        found = gap_recovered(*models)
        assert found.lower is not None
        assert found.upper is not None
        covered += found.lower <= truth <= found.upper
    assert covered / 400 >= 0.94


def test_gap_that_is_none() -> None:
    """It is undefined where the teacher is not above SFT, and unbounded where that is not told."""
    student, sft = [0.5, 0.9, 0.4], [0.6, 0.7, 0.5]
    none = gap_recovered(of_mean(student), of_mean(sft), of_mean(sft))
    assert (none.recovered, none.lower, none.upper) == (None, None, None)
    assert (none.confidence, none.method, none.n, none.clusters) == (0.95, "Fieller", 3, None)
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


def test_a_slice_at_its_level_fails() -> None:
    """Two slices, of which the clearer has a p of exactly .025: twice that is .05."""
    assert slices_below([FloorTest(1.0, 0.025), FloorTest(1.0, 0.5)]) == [True, False]


def test_a_gap_over_few_clusters_is_unbounded() -> None:
    """Its number of clusters is told, and under ten of them nothing is shown."""
    rng = np.random.default_rng(2)
    sft = rng.uniform(0.4, 0.6, 120)
    for groups in (8, 30):
        clusters = [str(n % groups) for n in range(120)]
        models = [of_mean(sft + gain, clusters, (0.0, 1.0)) for gain in (0.2, 0.0, 0.25)]
        found = gap_recovered(*models)
        assert found.recovered == pytest.approx(0.8)
        assert (found.n, found.clusters) == (120, groups)
        assert found.lower is not None
        assert math.isfinite(found.lower) is (groups == 30)
        assert found.notes[0].startswith(f"{groups} clusters")
