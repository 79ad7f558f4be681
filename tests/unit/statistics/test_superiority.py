"""Paired tests of one student against another."""

from __future__ import annotations

import itertools
import math
import time
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from numpy.typing import NDArray

from pytest_distill.statistics.score import difference_statistic
from pytest_distill.statistics.scoring import Scoring
from pytest_distill.statistics.superiority import (
    PairedTest,
    mcnemar_p,
    proportion_test,
    randomization_p,
    sign_flip_p,
)

Array = NDArray[np.float64]


def ratio_of_sums(totals: NDArray[Any]) -> Array:
    """Return a metric of two columns."""
    return np.asarray(totals[..., 0] / totals[..., 1])


@pytest.mark.parametrize(("wins", "losses"), [(9, 3), (3, 9), (0, 4), (4, 0), (1, 0), (700, 640)])
def test_mcnemar_is_the_binomial_test(wins: int, losses: int) -> None:
    """The p-value is scipy's binomtest of wins among the discordant; mid-p by its definition."""
    n = wins + losses
    exact = scipy.stats.binomtest(wins, n, alternative="greater").pvalue
    assert mcnemar_p(wins, losses) == pytest.approx(exact)
    half = 0.5 * scipy.stats.binom.pmf(wins, n, 0.5)
    assert mcnemar_p(wins, losses, mid_p=True) == pytest.approx(exact - half)


def test_no_discordant_example() -> None:
    """Two students with the same answers do not differ: p is 1, by every test."""
    same = np.array([1.0, 0.0, 1.0])
    rows = np.column_stack([same, np.ones(3)])
    assert proportion_test(same, same).p_value == 1
    assert proportion_test(same, same, mid_p=True).p_value == 1
    assert Scoring().resampling_test(same, same).p_value == 1
    found = Scoring(aggregate=ratio_of_sums).resampling_test(rows, rows, example_gains=same - same)
    assert (found.p_value, found.ties) == (1, 3)


def test_proportions() -> None:
    """Wins, losses and ties are counted, and the method is named."""
    found = proportion_test([1, 1, 1, 0, 1], [0, 1, 0, 1, 1])
    assert (found.wins, found.losses, found.ties, found.n) == (2, 1, 2, 5)
    assert found.gain == pytest.approx(0.2)
    assert found.p_value == 0.5
    assert found.method == "exact McNemar"
    with pytest.raises(ValueError, match=r"use Scoring\.resampling_test"):
        proportion_test([0.5], [0.0])


@pytest.mark.parametrize("gain", [-0.1, 0.02, 0.1, 0.3])
@pytest.mark.parametrize(("wins", "losses", "n"), [(20, 5, 100), (3, 8, 30), (12, 2, 20)])
def test_difference_score_against_a_numerical_maximum(
    wins: int, losses: int, n: int, gain: float
) -> None:
    """Tango's closed form equals the score at the likelihood's maximum under the constraint.

    With q the probability of a loss that of a win is q + gain, and of a tie 1 - 2 q - gain; the
    variance of wins - losses is n (2 q + gain - gain^2).
    """

    def minus_log_likelihood(q: float) -> float:
        ties = n - wins - losses
        return -(
            wins * math.log(q + gain) + losses * math.log(q) + ties * math.log(1 - 2 * q - gain)
        )

    bounds = (max(0.0, -gain) + 1e-12, (1 - gain) / 2 - 1e-12)
    q = scipy.optimize.minimize_scalar(
        minus_log_likelihood, bounds=bounds, method="bounded", options={"xatol": 1e-12}
    ).x
    expected = (wins - losses - n * gain) / math.sqrt(n * (2 * q + gain - gain**2))
    assert float(difference_statistic(wins, losses, n, gain)) == pytest.approx(expected, rel=1e-5)


def test_min_gain_shifts_the_null() -> None:
    """A greater gain to be exceeded is harder to show, whatever the test."""
    rng = np.random.default_rng(0)
    sft = (rng.random(300) < 0.7).astype(float)
    student = np.where(rng.random(300) < 0.3, 1.0, sft)
    rows = [np.column_stack([x, np.ones(300)]) for x in (student, sft)]
    for ps in (
        [proportion_test(student, sft, gain).p_value for gain in (0, 0.03, 0.06, 0.2)],
        [Scoring().resampling_test(student, sft, gain).p_value for gain in (0, 0.03, 0.06, 0.2)],
        [
            Scoring(aggregate=ratio_of_sums).resampling_test(rows[0], rows[1], gain).p_value
            for gain in (0, 0.03, 0.06, 0.2)
        ],
    ):
        assert ps == sorted(ps)
        assert ps[0] < 0.001
        assert ps[-1] > 0.95


def scipy_sign_flip(gains: Array) -> float:
    """Return scipy's exact permutation test of paired samples with these differences."""
    return float(
        scipy.stats.permutation_test(
            (gains, np.zeros(len(gains))),
            lambda x, y, axis: np.mean(x - y, axis=axis),
            permutation_type="samples",
            alternative="greater",
            n_resamples=np.inf,
        ).pvalue
    )


def average_p(gains: Array, unseen: float = -1.0) -> float:
    """Return p of the t test of a mean gain, the unseen gain counted 1 + (z^2 - 1) / 4 times."""

    def excess(log: float) -> float:
        level = math.exp(log)
        weight = 1 + (scipy.stats.norm.isf(level) ** 2 - 1) / 4
        weights, values = np.append(np.ones(len(gains)), weight), np.append(gains, unseen)
        mean, total = np.average(values, weights=weights), weights.sum()
        error = np.sqrt(np.average((values - mean) ** 2, weights=weights) / (total - 1))
        return float(mean / error - scipy.stats.t.isf(level, total - 1))

    half = math.log(0.5)
    return 1.0 if excess(half) <= 0 else math.exp(scipy.optimize.brentq(excess, -500, half))


@pytest.mark.parametrize("shift", [0.0, 0.1, 0.3])
def test_sign_flip_enumerates_as_scipy(shift: float) -> None:
    """With few differences it is scipy's exact permutation test of paired samples."""
    rng = np.random.default_rng(4)
    gains = rng.random(11) - rng.random(11) + shift
    p, exact = sign_flip_p(gains)
    assert exact
    assert p == pytest.approx(scipy_sign_flip(gains))
    found = Scoring((0.0, 1.0)).resampling_test(gains, np.zeros(11))
    assert found.p_value == pytest.approx(max(scipy_sign_flip(gains), average_p(gains)))
    assert found.method == "sign-flip permutation, all outcomes, and t with a worst-case example"


@pytest.mark.parametrize("min_gain", [0.0, 0.1])
@pytest.mark.parametrize("seed", range(12))
def test_the_greater_p_counts(seed: int, min_gain: float) -> None:
    """Of the permutation and of the average, where either may be the greater one."""
    rng = np.random.default_rng(seed)
    spread = (0.02, 0.6)[seed % 2]
    student = np.clip(0.75 + spread * rng.standard_normal(200), 0, 1)
    sft = np.full(200, 0.5)
    flipped, exact = sign_flip_p(student - sft - min_gain)
    average = average_p(student - sft - min_gain, -1 - min_gain)
    assert not exact
    found = Scoring().resampling_test(student, sft, min_gain)
    assert found.p_value == pytest.approx(max(flipped, average))


@pytest.mark.parametrize("n", [20, 50, 100])
def test_rare_catastrophes_do_not_pass(n: int) -> None:
    """Two students that are as good on average: one gains .01, but loses .99 on one of a hundred.

    Drawn without a catastrophe, every example is a win, and to flip signs alone passes.
    """
    rng, passed, flipped = np.random.default_rng(n), 0, 0
    for _ in range(300):
        gains = np.where(rng.random(n) < 0.01, -0.99, 0.01)
        passed += Scoring().resampling_test(gains + 0.99, np.full(n, 0.99)).p_value <= 0.05
        flipped += sign_flip_p(gains, n_resamples=199)[0] <= 0.05
    assert passed / 300 <= 0.055
    assert flipped / 300 > 0.2


def test_rare_catastrophes_of_a_corpus_do_not_pass() -> None:
    """The same of a metric over the whole corpus."""
    student, sft = (np.column_stack([np.full(50, x), np.ones(50)]) for x in (0.6, 0.59))
    found = Scoring(aggregate=ratio_of_sums).resampling_test(student, sft)
    assert randomization_p(student, sft, ratio_of_sums)[0] <= 0.001
    assert found.p_value > 0.05
    assert found.method == "approximate randomization, and jackknife with a guess at the worst" + (
        " example"
    )


def test_sign_flip_of_clusters_by_hand() -> None:
    """Clusters flip together: all 2^4 signs of the four clusters' sums."""
    gains = np.array([0.5, 0.1, -0.2, 0.3, 0.4, -0.1, 0.2, 0.2])
    clusters = ["a", "b", "a", "b", "c", "c", "d", "d"]
    sums = np.array([0.3, 0.4, 0.3, 0.4])
    outcomes = [np.dot(signs, sums) for signs in itertools.product((1, -1), repeat=4)]
    expected = np.mean(np.array(outcomes) >= sums.sum() - 1e-12)
    assert sign_flip_p(sums) == (expected, True)
    assert expected == 1 / 16
    found = Scoring(clusters=clusters).resampling_test(gains, np.zeros(8))
    assert (found.clusters, found.wins, found.losses) == (4, 6, 2)


@pytest.mark.parametrize(("groups", "passes"), [(9, False), (10, True)])
def test_few_clusters_show_nothing(groups: int, passes: bool) -> None:
    """Under ten clusters p is 1, however clear the gain, and the note says why."""
    n = groups * 20
    clusters = [i % groups for i in range(n)]
    student, sft = np.full(n, 0.95), np.full(n, 0.05)
    found = Scoring(clusters=clusters).resampling_test(student, sft)
    rows = [np.column_stack([x, np.ones(n)]) for x in (student, sft)]
    other = Scoring(aggregate=ratio_of_sums, clusters=clusters).resampling_test(rows[0], rows[1])
    for test in (found, other):
        assert (test.p_value <= 0.05) is passes
        assert (test.p_value == 1) is not passes
        assert test.notes[0].startswith(f"{groups} clusters: ")
        assert ("too few to tell" in test.notes[0]) is not passes


def test_random_flips() -> None:
    """They are seeded, never give 0, and lie where the exact enumeration does."""
    rng = np.random.default_rng(4)
    gains = rng.normal(0.15, 1, 14)
    exact, all_looked_at = sign_flip_p(gains, n_resamples=2**14)
    drawn, not_all = sign_flip_p(gains, n_resamples=2**14 - 1, rng=1)
    assert (all_looked_at, not_all) == (True, False)
    assert exact == pytest.approx(scipy_sign_flip(gains))
    assert abs(drawn - exact) < 4 * math.sqrt(exact * (1 - exact) / 2**14)
    assert drawn == sign_flip_p(gains, n_resamples=2**14 - 1, rng=1)[0]
    assert drawn != sign_flip_p(gains, n_resamples=2**14 - 1, rng=2)[0]
    assert sign_flip_p(np.ones(500))[0] == 1e-4


def test_blocks_of_many_units_agree_with_the_normal_law() -> None:
    """20,000 units, flipped in blocks, give the p of their sum by its variance under the flips."""
    rng = np.random.default_rng(1)
    for shift in (0.0, 0.008, 0.012):
        gains = rng.standard_t(5, 20_000) + shift
        expected = scipy.stats.norm.sf(gains.sum() / math.sqrt((gains**2).sum()))
        p, exact = sign_flip_p(gains)
        assert not exact
        # The blocks' own variance differs from that of all flips by some 1.5 %, sqrt(2 / 8192).
        assert p == pytest.approx(expected, abs=5 * math.sqrt(expected / 9999) + 0.01)
        rows = [np.column_stack([x, np.ones(20_000)]) for x in (gains, np.zeros(20_000))]
        swapped, _ = randomization_p(rows[0], rows[1], ratio_of_sums, n_resamples=1999)
        assert swapped == pytest.approx(expected, abs=5 * math.sqrt(expected / 1999) + 0.01)


def test_a_million_examples_take_about_as_long_as_twenty_thousand() -> None:
    """Fifty times the examples take far less than a hundred times as long."""

    def seconds(n: int) -> float:
        gains = np.random.default_rng(0).normal(0.0, 0.3, n)
        start = time.thread_time()
        Scoring().resampling_test(gains, np.zeros(n))
        return time.thread_time() - start

    seconds(20_000)
    assert seconds(1_000_000) < 100 * seconds(20_000)


def test_lower_is_better() -> None:
    """A lower score is a win where lower is better."""
    student, sft = np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0])
    found = Scoring((0.0, math.inf), higher_is_better=False).resampling_test(student, sft)
    assert (found.wins, found.gain) == (3, 1.0)
    rows = [np.column_stack([x, np.ones(3)]) for x in (student, sft)]
    corpus = Scoring(higher_is_better=False, aggregate=ratio_of_sums).resampling_test(
        rows[0], rows[1]
    )
    assert corpus.gain == 1.0
    better = randomization_p(rows[0], rows[1], ratio_of_sums, higher_is_better=False)
    assert better == (1 / 8, True)
    assert randomization_p(rows[0], rows[1], ratio_of_sums) == (1.0, True)
    many = np.random.default_rng(0).uniform(0.5, 0.9, 200)
    assert Scoring(higher_is_better=False).resampling_test(many - 0.4, many).p_value < 0.001
    assert Scoring(higher_is_better=False).resampling_test(many, many - 0.4).p_value == 1


def test_randomization_by_brute_force() -> None:
    """All swaps of a corpus of eight examples, by hand, of a ratio of sums."""
    rng = np.random.default_rng(5)
    a, b = rng.integers(1, 9, (8, 2)).astype(float), rng.integers(1, 9, (8, 2)).astype(float)

    def gain(swap: tuple[bool, ...]) -> float:
        mask = np.array(swap)[:, None]
        mine, theirs = np.where(mask, b, a).sum(axis=0), np.where(mask, a, b).sum(axis=0)
        return float(mine[0] / mine[1] - theirs[0] / theirs[1])

    gains = np.array([gain(swap) for swap in itertools.product((False, True), repeat=8)])
    expected = np.mean(gains >= gains[0] - 1e-12)
    p, exact = randomization_p(a, b, ratio_of_sums)
    assert exact
    assert p == pytest.approx(expected)
    found = Scoring(aggregate=ratio_of_sums).resampling_test(a, b)
    assert found.p_value >= expected
    assert found.gain == pytest.approx(gains[0])
    assert found.method.startswith("approximate randomization, all outcomes, and jackknife")
    assert found.wins is None


def test_randomization_of_a_mean_is_the_sign_flip() -> None:
    """Swapping the outputs of a mean flips the signs of its differences, clusters included."""
    rng = np.random.default_rng(6)
    student, sft = rng.random(30), rng.random(30)
    rows = [np.column_stack([x, np.ones(30)]) for x in (student, sft)]
    clusters = [i // 3 for i in range(30)]
    one = Scoring(clusters=clusters).resampling_test(student, sft)
    other = Scoring(aggregate=ratio_of_sums, clusters=clusters).resampling_test(
        rows[0], rows[1], example_gains=student - sft
    )
    assert other.p_value == one.p_value
    assert (other.wins, other.losses, other.clusters) == (one.wins, one.losses, 10)


def test_flips_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many draws are made at once, the test holds its level on equal students."""
    monkeypatch.setattr("pytest_distill.statistics.superiority._CHUNK", 64)
    rng = np.random.default_rng(7)
    ps = []
    for seed in range(200):
        gains = rng.random(40) - rng.random(40)
        ps.append(sign_flip_p(gains, n_resamples=199, rng=seed)[0])
    assert 0.01 < np.mean(np.array(ps) <= 0.05) < 0.1


def test_randomization_refusals() -> None:
    """Rows with other columns, and a metric that is not finite, are errors."""
    with pytest.raises(ValueError, match=r"must be the same \(n, k\)"):
        Scoring(aggregate=ratio_of_sums).resampling_test(np.ones((3, 2)), np.ones((3, 3)))
    with pytest.raises(ValueError, match="not finite"):
        Scoring(aggregate=lambda t: np.asarray(t[..., 0] * np.nan)).resampling_test(
            np.zeros((2, 2)), np.ones((2, 2))
        )


def test_a_corpus_metric_is_tested_in_its_direction_by_clusters_and_with_its_extremes() -> None:
    """Fewer errors win where lower is better; copies in clusters show what one of each does.

    An example's extremes are those of the metric, and no guess from what was seen.
    """
    rng = np.random.default_rng(9)
    student = rng.uniform(0.1, 0.4, 12)
    other = student + rng.uniform(0.1, 0.5, 12)
    one, two = (np.column_stack([x, np.ones(12)]) for x in (student, other))
    ends = np.array([[1.0, 1.0]]), np.array([[0.0, 1.0]])

    def found(mine: Array, theirs: Array, clusters: list[str] | None = None) -> PairedTest:
        scoring = Scoring((0, 1), False, ratio_of_sums, ends, clusters=clusters)
        return scoring.resampling_test(mine, theirs)

    once = found(one, two)
    assert once.gain == pytest.approx(other.mean() - student.mean())
    assert 2**-12 <= once.p_value < 0.1
    assert found(two, one).p_value > 0.95
    assert once.method.endswith("all outcomes, and jackknife with a worst-case example")
    groups = [str(n) for n in range(12)] * 4
    copies = found(np.tile(one, (4, 1)), np.tile(two, (4, 1)), clusters=groups)
    assert (copies.n, copies.clusters) == (48, 12)
    assert "all outcomes" in copies.method  # of twelve clusters, not of 48 examples
    assert copies.p_value >= 2**-12
