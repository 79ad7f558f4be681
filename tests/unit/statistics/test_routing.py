"""Choosing a threshold by fixed sequence, cross-fitting it, and the risk-coverage area."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.stats
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from pytest_distill.statistics.confidences import (
    SHARES,
    augrc,
    cross_fitted,
    fixed_sequence,
    folds,
    thresholds,
)
from pytest_distill.statistics.proportions import proportion_retention
from pytest_distill.statistics.results import NoRatioError

Array = NDArray[np.float64]
LEVEL = 0.05


def shown(student: Array, teacher: Array, handled: NDArray[np.bool_], floor: float) -> bool:
    """Return whether the pair is shown to keep the floor."""
    try:
        ratio = proportion_retention(np.where(handled, student, teacher), teacher)
    except NoRatioError:
        return False
    return ratio.test(floor).p_retained <= LEVEL


@pytest.mark.parametrize("n", [1, 2, 7, 12, 20, 33])
def test_a_threshold_is_the_highest_that_handles_its_share(n: int) -> None:
    """Among all confidences there are, and one for each share unless two share it."""
    sure = np.random.default_rng(n).random(n).round(1)
    expected = []
    for share in SHARES:
        enough = [t for t in sorted(set(sure)) if Fraction(int((sure >= t).sum()), n) >= share]
        expected.append(max(enough))
    assert thresholds(sure) == list(dict.fromkeys(expected))


def test_a_wanted_share_is_met_exactly() -> None:
    """0.8 of 10 examples is 8, and no float arithmetic makes 9 of it."""
    (threshold,) = thresholds(np.arange(10.0), [Fraction("0.8")])
    assert threshold == 2.0


def test_equal_confidences_are_not_parted() -> None:
    """Where all are equal there is one threshold, at which all are handled."""
    assert thresholds(np.full(9, 0.5)) == [0.5]


def test_the_sequence_stops_at_the_first_failure() -> None:
    """What passes behind it is not looked at, and the last that passed before is chosen."""
    asked = []

    def passes(threshold: float) -> bool:
        asked.append(threshold)
        return threshold != 0.6

    assert fixed_sequence([0.9, 0.8, 0.6, 0.5], passes) == 0.8
    assert asked == [0.9, 0.8, 0.6]


@pytest.mark.parametrize("falling", [[], [0.9, 0.8]])
def test_where_nothing_passes_the_teacher_answers_all(falling: list[float]) -> None:
    """No confidence reaches an infinite threshold."""
    assert fixed_sequence(falling, lambda _: False) == math.inf


@pytest.mark.parametrize("seed", range(60))
def test_routing_of_twelve_examples_equals_enumeration(seed: int) -> None:
    """The choice on all examples, and the cross-fit, are those of a search by hand."""
    rng = np.random.default_rng(seed)
    n, floor = 12, (0.5, 0.7, 0.8)[seed % 3]
    sure = rng.random(n).round(1)
    student = (rng.random(n) < 0.5 + sure / 2).astype(float)
    teacher = (rng.random(n) < 0.9).astype(float)

    def by_hand(places: list[int]) -> float:
        """Return the threshold that is chosen on some examples."""
        chosen = math.inf
        for k in range(1, 21):
            count = math.ceil(Fraction(k, 20) * len(places))
            t = sorted((sure[i] for i in places), reverse=True)[count - 1]
            handled = np.array([sure[i] >= t for i in places])
            if not shown(student[places], teacher[places], handled, floor):
                return chosen
            chosen = t
        return chosen

    found = fixed_sequence(thresholds(sure), lambda t: shown(student, teacher, sure >= t, floor))
    assert found == by_hand(list(range(n)))
    fold = folds(n, k=4)
    crossed = cross_fitted(
        sure, fold, lambda handled, at: shown(student[at], teacher[at], handled, floor)
    )
    for i in range(n):
        rest = [j for j in range(n) if fold[j] != fold[i]]
        assert crossed[i] == (sure[i] >= by_hand(rest))


def test_folds_are_even_and_the_same_each_time() -> None:
    """23 examples make five folds of 4 or 5."""
    fold = folds(23)
    assert sorted(np.bincount(fold)) == [4, 4, 5, 5, 5]
    assert (fold == folds(23)).all()
    assert (fold != folds(23, seed=1)).any()


def test_a_cluster_lies_in_one_fold() -> None:
    """What belongs together has no say in its own threshold."""
    clusters = [f"p{i // 3}" for i in range(30)]
    fold = folds(30, clusters)
    assert len(set(zip(clusters, fold, strict=True))) == 10
    assert set(fold) == set(range(5))


@pytest.mark.parametrize(("n", "clusters"), [(3, None), (30, ["a", "b", "c"] * 10)])
def test_there_are_no_more_folds_than_units(n: int, clusters: list[str] | None) -> None:
    """Three examples, or three clusters, make three folds."""
    assert len(set(folds(n, clusters))) == 3


def area_by_hand(residuals: tuple[float, ...]) -> float:
    """Return the trapezoid area of one order, the surest first."""
    n = len(residuals)
    risk = [0.0, *np.cumsum(residuals) / n]
    return float(sum((risk[i] + risk[i + 1]) / 2 / n for i in range(n)))


@pytest.mark.parametrize("seed", range(8))
def test_augrc_is_the_mean_over_all_orders_of_ties(seed: int) -> None:
    """Enumerated over every order of seven examples that their confidences allow."""
    rng = np.random.default_rng(seed)
    sure, residuals = rng.integers(0, 3, 7) / 2, rng.random(7).round(2)
    areas = [
        area_by_hand(tuple(residuals[list(order)]))
        for order in itertools.permutations(range(7))
        if all(sure[a] >= sure[b] for a, b in itertools.pairwise(order))
    ]
    assert augrc(sure, residuals) == pytest.approx(np.mean(areas))


@pytest.mark.parametrize("seed", range(5))
def test_augrc_of_right_and_wrong_follows_from_auroc(seed: int) -> None:
    """It is (1 - AUROC) a (1 - a) + (1 - a)^2 / 2, with scikit-learn's AUROC."""
    rng = np.random.default_rng(seed)
    sure = rng.random(300).round(2)
    right = rng.random(300) < sure
    a = right.mean()
    auroc = roc_auc_score(right, sure)
    assert augrc(sure, ~right) == pytest.approx((1 - auroc) * a * (1 - a) + (1 - a) ** 2 / 2)


@pytest.mark.parametrize(("wrong", "area"), [(0.0, 0.0), (1.0, 0.5)])
def test_augrc_of_the_extremes(wrong: float, area: float) -> None:
    """Never wrong is 0, always wrong is a half, whatever the confidences."""
    assert augrc([0.1, 0.5, 0.5], [wrong] * 3) == area


def test_augrc_needs_examples() -> None:
    """Of none it says nothing."""
    with pytest.raises(ValueError, match="no example"):
        augrc([], [])


def test_the_fixed_sequence_keeps_its_promise() -> None:
    """It misses the target in at most 5 % of gold sets, where picking the best misses often.

    The student is right with 0.9 - 0.2 (1 - u) at confidence u, the teacher with 0.9 throughout: a
    pair that handles the share h keeps 1 - h^2 / 9, and 0.97 up to h = 0.5196.
    """
    rng, n, floor, reps = np.random.default_rng(0), 1000, 0.97, 200
    most = 3 * math.sqrt(1 - floor)
    missed = picked_missed = handled = 0.0
    for _ in range(reps):
        sure = rng.random(n)
        student = (rng.random(n) < 0.9 - 0.2 * (1 - sure)).astype(float)
        teacher = (rng.random(n) < 0.9).astype(float)
        falling = thresholds(sure)
        pairs = {t: np.where(sure >= t, student, teacher) for t in falling}
        chosen = fixed_sequence(
            falling,
            lambda t, sure=sure, student=student, teacher=teacher: shown(  # type: ignore[misc]
                student, teacher, sure >= t, floor
            ),
        )
        picked = [t for t in falling if pairs[t].sum() >= floor * teacher.sum()]
        missed += 1 - chosen > most
        picked_missed += 1 - min(picked, default=1.0) > most
        handled += max(0.0, 1 - chosen)
    assert missed <= scipy.stats.binom.ppf(0.99, reps, 0.05)
    assert picked_missed / reps > 0.3
    assert handled / reps > 0.2  # it is no test that passes nothing
