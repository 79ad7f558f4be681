"""Which test suits which scores: exact ones where they exist, else those by t."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest

from pytest_distill.statistics.levels import Level, likelihood_retention
from pytest_distill.statistics.proportions import ProportionRetention
from pytest_distill.statistics.rates import Rate
from pytest_distill.statistics.scoring import Scoring
from pytest_distill.statistics.superiority import mcnemar_p
from pytest_distill.statistics.t_retention import TRetention

TEACHER = np.repeat([1.0, 0.0], [90, 30])
STUDENT = np.repeat([0.0, 1.0, 0.0, 1.0], [6, 84, 26, 4])
CLUSTERS = [i // 5 for i in range(120)]


def likelihoods(units: np.ndarray, nats: float) -> np.ndarray:
    """Return a log-likelihood and a number of units a text."""
    return np.column_stack([nats * units + np.arange(len(units)) % 3, units])


def per_unit(totals: np.ndarray) -> np.ndarray:
    """Return the mean of summed statistics."""
    return np.asarray(totals[..., 0] / totals[..., 1])


@pytest.mark.parametrize(("higher", "counts"), [(True, (84, 6, 4, 26)), (False, (84, 4, 6, 26))])
def test_retention_of_single_right_and_wrong_answers_is_counted(
    higher: bool, counts: tuple[int, int, int, int]
) -> None:
    """Scores that lie between, and clusters, are tested by t with the same ratio."""
    exact = Scoring(higher_is_better=higher).retention(STUDENT, TEACHER)
    assert exact == ProportionRetention(*counts)
    clustered = Scoring(higher_is_better=higher, clusters=CLUSTERS).retention(STUDENT, TEACHER)
    graded = Scoring(higher_is_better=higher).retention(0.9 * STUDENT, 0.9 * TEACHER)
    for found, method in ((clustered, "cluster jackknife"), (graded, "t")):
        assert isinstance(found, TRetention)
        assert found.interval().method.startswith(method)
        assert found.observed == pytest.approx(exact.observed)


@pytest.mark.parametrize("higher", [True, False])
def test_a_level_of_single_right_and_wrong_answers_is_binomial(higher: bool) -> None:
    """Of clusters, and of a metric that can be above 1, it is tested by t."""
    exact = Scoring(higher_is_better=higher).level(STUDENT)
    assert isinstance(exact, Rate)
    assert exact.interval().method == "exact binomial"
    for scoring in (
        Scoring((0.0, 2.0), higher),
        Scoring(higher_is_better=higher, clusters=CLUSTERS),
    ):
        found = scoring.level(STUDENT)
        assert isinstance(found, Level)
        assert found.interval().lower < STUDENT.mean() < found.interval().upper
        assert found.interval().upper <= scoring.range[1]


def test_a_gain_in_single_right_answers_is_counted_in_the_metric_s_direction() -> None:
    """Four wins and six losses, the other way round where lower is better."""
    ours = Scoring().paired_test(STUDENT, TEACHER)
    turned = Scoring(higher_is_better=False).paired_test(STUDENT, TEACHER, mid_p=True)
    assert (ours.wins, ours.losses, ours.p_value) == (4, 6, mcnemar_p(4, 6))
    assert (turned.wins, turned.losses, turned.p_value) == (6, 4, mcnemar_p(6, 4, mid_p=True))
    clustered = Scoring(clusters=CLUSTERS).paired_test(STUDENT, TEACHER)
    assert clustered.method.startswith("sign-flip permutation")
    assert (clustered.wins, clustered.losses, clustered.clusters) == (4, 6, 24)
    assert clustered.gain == ours.gain


@pytest.mark.parametrize("kind", ["mean", "exp"])
def test_likelihoods_of_the_same_units_are_tested_text_by_text(
    kind: Literal["mean", "exp"],
) -> None:
    """Of other units for each model only the two scores can be held against each other."""
    units = 20.0 + np.arange(60) % 7
    scoring = Scoring((0.0, math.inf), False, per_unit, per_unit=kind)
    student, teacher = likelihoods(units, 2.1), likelihoods(units, 2.0)
    found = scoring.t_retention(student, teacher)
    logarithmic = kind == "exp"
    same = likelihood_retention(student[:, 0], teacher[:, 0], units, logarithmic=logarithmic)
    assert found.interval() == same.interval()
    other = scoring.t_retention(likelihoods(units + 1, 2.1), teacher)
    assert other.interval().method.startswith("jackknife")
    level = scoring.level(student)
    score = float(per_unit(student.sum(axis=0)))
    assert level.interval().lower < (math.exp(score) if logarithmic else score)
    assert level.interval().upper > (math.exp(score) if logarithmic else score)
