"""Paired tests of one student against another."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from numpy.typing import NDArray

from pytest_distill.verdicts.statistics import (
    difference_statistic,
    mcnemar_p,
    proportion_test,
    randomization_test,
    sign_flip_test,
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
    assert sign_flip_test(same, same).p_value == 1
    found = randomization_test(rows, rows, ratio_of_sums, example_gains=same - same)
    assert (found.p_value, found.ties) == (1, 3)


def test_proportions() -> None:
    """Wins, losses and ties are counted, and the method is named."""
    found = proportion_test([1, 1, 1, 0, 1], [0, 1, 0, 1, 1])
    assert (found.wins, found.losses, found.ties, found.n) == (2, 1, 2, 5)
    assert found.gain == pytest.approx(0.2)
    assert found.p_value == 0.5
    assert found.method == "exact McNemar"
    with pytest.raises(ValueError, match="use sign_flip_test"):
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
        [sign_flip_test(student, sft, gain).p_value for gain in (0, 0.03, 0.06, 0.2)],
        [
            randomization_test(rows[0], rows[1], ratio_of_sums, gain).p_value
            for gain in (0, 0.03, 0.06, 0.2)
        ],
    ):
        assert ps == sorted(ps)
        assert ps[0] < 0.001
        assert ps[-1] > 0.95


def test_sign_flip_enumerates_as_scipy() -> None:
    """With few differences it is scipy's exact permutation test of paired samples."""
    rng = np.random.default_rng(4)
    student, sft = rng.random(11), rng.random(11)
    expected = scipy.stats.permutation_test(
        (student, sft),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        alternative="greater",
        n_resamples=np.inf,
    ).pvalue
    found = sign_flip_test(student, sft)
    assert found.p_value == pytest.approx(expected)
    assert found.method == "sign-flip permutation, all outcomes"


def test_sign_flip_of_clusters_by_hand() -> None:
    """Clusters flip together: all 2^4 signs of the four clusters' sums."""
    gains = np.array([0.5, 0.1, -0.2, 0.3, 0.4, -0.1, 0.2, 0.2])
    clusters = ["a", "b", "a", "b", "c", "c", "d", "d"]
    sums = [0.3, 0.4, 0.3, 0.4]
    outcomes = [np.dot(signs, sums) for signs in itertools.product((1, -1), repeat=4)]
    expected = np.mean(np.array(outcomes) >= sum(sums) - 1e-12)
    found = sign_flip_test(gains, np.zeros(8), clusters=clusters)
    assert found.p_value == expected == 1 / 16
    assert (found.clusters, found.wins, found.losses) == (4, 6, 2)


def test_random_flips() -> None:
    """They are seeded, never give 0, and lie where the exact enumeration does."""
    rng = np.random.default_rng(4)
    student = rng.normal(0.15, 1, 14)
    exact = sign_flip_test(student, np.zeros(14), n_resamples=2**14)
    drawn = sign_flip_test(student, np.zeros(14), n_resamples=2**14 - 1, rng=1)
    assert exact.method.endswith("all outcomes")
    assert drawn.method == "sign-flip permutation"
    error = math.sqrt(exact.p_value * (1 - exact.p_value) / 2**14)
    assert abs(drawn.p_value - exact.p_value) < 4 * error
    assert drawn == sign_flip_test(student, np.zeros(14), n_resamples=2**14 - 1, rng=1)
    assert drawn != sign_flip_test(student, np.zeros(14), n_resamples=2**14 - 1, rng=2)
    assert sign_flip_test(np.ones(500), np.zeros(500)).p_value == 1e-4


def test_lower_is_better() -> None:
    """A lower score is a win where lower is better."""
    student, sft = np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0])
    found = sign_flip_test(student, sft, higher_is_better=False)
    assert (found.wins, found.gain, found.p_value) == (3, 1.0, 1 / 8)
    rows = [np.column_stack([x, np.ones(3)]) for x in (student, sft)]
    corpus = randomization_test(rows[0], rows[1], ratio_of_sums, higher_is_better=False)
    assert (corpus.gain, corpus.p_value) == (1.0, 1 / 8)


def test_randomization_by_brute_force() -> None:
    """All swaps of a corpus of eight examples, by hand, of a ratio of sums."""
    rng = np.random.default_rng(5)
    a, b = rng.integers(1, 9, (8, 2)).astype(float), rng.integers(1, 9, (8, 2)).astype(float)

    def gain(swap: tuple[bool, ...]) -> float:
        mask = np.array(swap)[:, None]
        mine, theirs = np.where(mask, b, a).sum(axis=0), np.where(mask, a, b).sum(axis=0)
        return float(mine[0] / mine[1] - theirs[0] / theirs[1])

    gains = np.array([gain(swap) for swap in itertools.product((False, True), repeat=8)])
    found = randomization_test(a, b, ratio_of_sums)
    assert found.p_value == pytest.approx(np.mean(gains >= gains[0] - 1e-12))
    assert found.gain == pytest.approx(gains[0])
    assert found.method == "approximate randomization, all outcomes"
    assert found.wins is None


def test_randomization_of_a_mean_is_the_sign_flip() -> None:
    """Swapping the outputs of a mean flips the signs of its differences, clusters included."""
    rng = np.random.default_rng(6)
    student, sft = rng.random(30), rng.random(30)
    rows = [np.column_stack([x, np.ones(30)]) for x in (student, sft)]
    clusters = [i // 3 for i in range(30)]
    one = sign_flip_test(student, sft, clusters=clusters)
    other = randomization_test(
        rows[0], rows[1], ratio_of_sums, clusters=clusters, example_gains=student - sft
    )
    assert other.p_value == one.p_value
    assert (other.wins, other.losses, other.clusters) == (one.wins, one.losses, 10)


def test_randomization_in_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many draws are made at once, the test holds its level on equal students."""
    monkeypatch.setattr("pytest_distill.verdicts.statistics.superiority._CHUNK", 64)
    rng = np.random.default_rng(7)
    ps = []
    for seed in range(200):
        student, sft = rng.random(40), rng.random(40)
        ps.append(sign_flip_test(student, sft, n_resamples=199, rng=seed).p_value)
    assert 0.01 < np.mean(np.array(ps) <= 0.05) < 0.1


def test_randomization_refusals() -> None:
    """Rows with other columns, and a metric that is not finite, are errors."""
    with pytest.raises(ValueError, match=r"must be the same \(n, k\)"):
        randomization_test(np.ones((3, 2)), np.ones((3, 3)), ratio_of_sums)
    with pytest.raises(ValueError, match="not finite"):
        randomization_test(
            np.zeros((2, 2)), np.ones((2, 2)), lambda t: np.asarray(t[..., 0] * np.nan)
        )
