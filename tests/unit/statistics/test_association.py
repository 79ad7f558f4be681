from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from pytest_distill.evals.metrics.labels import MATTHEWS
from pytest_distill.statistics.association import association
from pytest_distill.statistics.jackknife import of_metric


def drawn(n: int, labels: int, skill: float, seed: int = 0) -> tuple[list[str], list[str]]:
    """Return gold labels, and predictions that are right with `skill`, else drawn at random."""
    rng = np.random.default_rng(seed)
    gold = rng.integers(0, labels, n)
    said = np.where(rng.random(n) < skill, gold, rng.integers(0, labels, n))
    return [f"l{i}" for i in gold], [f"l{i}" for i in said]


def counts_of(
    gold: list[str], said: list[str]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return right, predicted and gold as the metric counts them, shape (n, 3 * labels)."""
    names = sorted({*gold, *said})
    rows = np.zeros((len(gold), 3, len(names)))
    for i, (g, s) in enumerate(zip(gold, said, strict=True)):
        rows[i, 1, names.index(s)] = rows[i, 2, names.index(g)] = 1
    rows[:, 0] = rows[:, 1] * rows[:, 2]
    return rows.reshape(len(gold), -1)


@pytest.mark.parametrize("labels", [2, 3, 5])
@pytest.mark.parametrize("clustered", [False, True])
def test_the_bounds_are_the_jackknife_of_the_metric(labels: int, clustered: bool) -> None:
    """The closed form leaves out examples or clusters as the general jackknife does."""
    gold, said = drawn(60, labels, 0.5)
    clusters = [f"c{i}" for i in np.random.default_rng(1).integers(0, 9, 60)] if clustered else None
    found = association(gold, said, clusters)
    values = of_metric(counts_of(gold, said), MATTHEWS.aggregate, clusters)
    half = stats.t.ppf(0.975, len(values.values) - 1) * stats.sem(values.values)
    assert found.estimate == pytest.approx(values.estimate)
    assert found.lower == pytest.approx(values.values.mean() - half)
    assert found.upper == pytest.approx(values.values.mean() + half)


def test_two_labels_are_tested_exactly() -> None:
    """Both p are scipy's of Fisher's exact test."""
    gold, said = drawn(60, 2, 0.4)
    table = [
        [sum(g == a and s == b for g, s in zip(gold, said, strict=True)) for b in ("l0", "l1")]
        for a in ("l0", "l1")
    ]
    found = association(gold, said)
    assert found.p_above == pytest.approx(stats.fisher_exact(table, "greater").pvalue)
    assert found.p_below == pytest.approx(stats.fisher_exact(table, "less").pvalue)


def test_more_labels_are_tested_by_random_pairings() -> None:
    """The approximation is near what 20,000 shuffles say."""
    gold, said = drawn(40, 3, 0.2, seed=2)
    rng = np.random.default_rng(0)
    observed = np.mean(np.array(gold) == np.array(said))
    shuffled = [np.mean(np.array(gold) == rng.permutation(said)) for _ in range(20_000)]
    shown = np.mean(np.array(shuffled) >= observed - 1e-9)
    assert 0.01 < shown < 0.6
    assert association(gold, said).p_above == pytest.approx(shown, abs=0.02)


@pytest.mark.parametrize(
    ("gold", "said", "shown"),
    [
        ("ab" * 3, "ab" * 3, False),  # one of twenty random pairings is as good
        ("ab" * 4, "ab" * 4, True),  # one of seventy
        ("a" * 19 + "b", "a" * 19 + "b", False),  # one of twenty
        ("abc", "abc", False),
        ("abc" * 4, "abc" * 4, True),
        ("a" * 10, "a" * 10, False),
    ],
)
def test_flawless_answers_need_examples_of_each_label(gold: str, said: str, shown: bool) -> None:
    """The jackknife of a perfect score has no width: the pairing test bars what few show."""
    assert association(gold, said).above is shown
    assert not association(gold, said).below


def test_inverted_labels_are_below() -> None:
    """Upper bound under 0, and hardly a random pairing as bad; constant answers are on no side."""
    found = association("ab" * 20, "ba" * 18 + "abab")
    assert found.below
    assert found.upper < 0
    constant = association("ab" * 20, "a" * 40)
    assert (constant.estimate, constant.above, constant.below) == (0.0, False, False)


def test_a_good_teacher_of_a_rare_class_is_above_though_under_the_majority() -> None:
    """It finds all 10 rare ones at 12 false alarms: 0.88 are right, and 0.90 are of one class."""
    gold = "b" * 10 + "a" * 90
    said = "b" * 10 + "b" * 12 + "a" * 78
    assert sum(g == s for g, s in zip(gold, said, strict=True)) < 90
    assert association(gold, said).above


def test_copies_are_worth_one_example() -> None:
    """Four things asked a hundred times each show no more than four things do."""
    gold, said = "abab" * 100, "abab" * 100
    clusters = [str(i % 4) for i in range(400)]
    assert association(gold, said).above
    assert not association(gold, said, clusters).above
    alone = association(gold, said, ["same"] * 400)
    assert (alone.lower, alone.upper) == (-math.inf, math.inf)


@pytest.mark.parametrize("n", [20, 100])
@pytest.mark.parametrize("labels", [2, 3])
def test_chance_is_seldom_taken_for_more_or_less(n: int, labels: int) -> None:
    """Each side errs in at most one of forty, within what 600 draws can tell."""
    found = [association(*drawn(n, labels, 0.0, seed)) for seed in range(600)]
    assert np.mean([a.above for a in found]) <= 0.04
    assert np.mean([a.below for a in found]) <= 0.04


@pytest.mark.parametrize(("gold", "said"), [("aaaabbc", "aabbbcc"), ("aaaaabc", "baaaaca")])
def test_p_of_more_labels_has_the_moments_of_all_pairings(gold: str, said: str) -> None:
    """A t of the matches, by their mean and variance over all 5040 pairings, off by a half."""
    matches = [sum(map(str.__eq__, gold, other)) for other in itertools.permutations(said)]
    mean, deviation = np.mean(matches), np.std(matches)
    right = sum(map(str.__eq__, gold, said))
    found = association(gold, said)
    above = stats.t.sf((right - mean - 0.5) / deviation, len(gold) - 1)
    below = stats.t.sf((mean - right - 0.5) / deviation, len(gold) - 1)
    assert found.p_above == pytest.approx(above)
    assert found.p_below == pytest.approx(below)


def test_two_labels_that_are_mostly_one_are_tested_exactly() -> None:
    """Where the commoner label must meet itself, as many as that are no evidence."""
    gold, said = "a" * 15 + "b" * 5, "a" * 13 + "b" * 2 + "a" * 3 + "b" * 2
    found = association(gold, said)
    assert found.p_above == pytest.approx(stats.fisher_exact([[13, 2], [3, 2]], "greater").pvalue)
    assert found.p_below == pytest.approx(stats.fisher_exact([[13, 2], [3, 2]], "less").pvalue)
