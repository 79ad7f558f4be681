"""Likeness of two distributions: against scipy, and against what a missing part can be."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import entropy

from pytest_distill.evals.distributions import (
    Bounded,
    bounded_likeness,
    divergence,
    softmax,
    total_variation,
)

Floats = NDArray[np.float64]


def drawn(seed: int, n: int, k: int, sharpness: float = 2.0) -> tuple[Floats, Floats]:
    """Return n pairs of random distributions over k labels."""
    rng = np.random.default_rng(seed)
    one, other = softmax(rng.normal(0, sharpness, (2, n, k)))
    return one, other


def bounds(teacher: Floats, student: Floats, captured: list[int]) -> Bounded:
    """Return the bounds where only some tokens of the teacher are known."""
    others = [i for i in range(teacher.shape[1]) if i not in captured]
    return bounded_likeness(
        np.log(teacher[:, captured]),
        np.log(student[:, captured]),
        student[:, others].sum(axis=1),
        np.log(student[:, others].min(axis=1)),
    )


@pytest.mark.parametrize("k", [2, 5, 1000])
def test_the_divergence_is_scipy_s(k: int) -> None:
    """KL(teacher || student) in nats is scipy.stats.entropy(teacher, student)."""
    teacher, student = drawn(0, 50, k)
    assert divergence(teacher, student) == pytest.approx(entropy(teacher, student, axis=1))


def test_the_divergence_has_a_direction() -> None:
    """From a certain teacher to a doubtful student it is ln 2, and the other way it is infinite."""
    certain, doubtful = np.array([1.0, 0.0]), np.array([0.5, 0.5])
    assert divergence(certain, doubtful) == pytest.approx(np.log(2))
    assert divergence(doubtful, certain) == np.inf


def test_equal_distributions_do_not_diverge() -> None:
    """Both measures are exactly 0, and never below."""
    teacher, _ = drawn(1, 200, 300)
    assert not divergence(teacher, teacher).any()
    assert not total_variation(teacher, teacher).any()


def test_the_total_variation_is_the_missing_overlap() -> None:
    """1 - TV is the sum of the smaller probabilities: the rate at which drafts are accepted."""
    teacher, student = drawn(2, 50, 7)
    overlap = np.minimum(teacher, student).sum(axis=1)
    assert 1 - total_variation(teacher, student) == pytest.approx(overlap)


def test_probabilities_are_made_to_sum_to_one() -> None:
    """Rounded probabilities are compared as what they stand for."""
    assert total_variation([0.4, 0.4], [0.5, 0.5]) == 0.0


def test_choices_are_a_softmax() -> None:
    """Log-likelihoods far below 0 give the same probabilities as near it."""
    assert softmax([-1000.0, -1000.0 - np.log(3)]) == pytest.approx([0.75, 0.25])


@pytest.mark.parametrize("captured", [[0], [0, 1], [0, 2, 4]])
def test_whatever_is_missing_lies_within_the_bounds(captured: list[int]) -> None:
    """A thousand ways to spread the missing mass, corners among them, stay inside."""
    teacher, student = drawn(3, 20, 6)
    found = bounds(teacher, student, captured)
    others = [i for i in range(6) if i not in captured]
    rng = np.random.default_rng(4)
    spreads = [*np.eye(len(others)), *rng.dirichlet(np.full(len(others), 0.3), 1000)]
    for spread in spreads:
        whole = teacher.copy()
        whole[:, others] = (1 - teacher[:, captured].sum(axis=1))[:, None] * spread
        for measure, (low, high) in (
            (divergence, found.divergence),
            (total_variation, found.total_variation),
        ):
            value = measure(whole, student)
            assert (low <= value + 1e-12).all()
            assert (value <= high + 1e-12).all()


def test_the_bounds_are_sharp() -> None:
    """The student's own spread reaches the lower ones, its least likely token the upper."""
    teacher, student = drawn(5, 30, 6)
    found = bounds(teacher, student, [0, 1])
    missing = 1 - teacher[:, :2].sum(axis=1)
    alike, corner = teacher.copy(), teacher.copy()
    alike[:, 2:] = missing[:, None] * student[:, 2:] / student[:, 2:].sum(axis=1, keepdims=True)
    corner[:, 2:] = missing[:, None] * (
        np.arange(4) == student[:, 2:].argmin(axis=1, keepdims=True)
    )
    for measure, (low, high) in (
        (divergence, found.divergence),
        (total_variation, found.total_variation),
    ):
        assert measure(alike, student) == pytest.approx(low)
        assert measure(corner, student) == pytest.approx(high)


def test_a_whole_distribution_has_no_room_between_the_bounds() -> None:
    """Where every token was captured, or all of the mass, both bounds are the number itself."""
    teacher, student = drawn(6, 10, 4)
    found = bounded_likeness(np.log(teacher), np.log(student), np.zeros(10), np.full(10, -np.inf))
    for low_or_high in found.divergence:
        assert low_or_high == pytest.approx(divergence(teacher, student))
    teacher[:, 2:] = 0
    teacher /= teacher.sum(axis=1, keepdims=True)
    for low_or_high in bounds(teacher, student, [0, 1]).total_variation:
        assert low_or_high == pytest.approx(total_variation(teacher, student))


def test_rows_may_have_fewer_captured_tokens() -> None:
    """What fills a row up counts for nothing, whatever the student says of it."""
    short = bounded_likeness([[np.log(0.6)]], [[np.log(0.5)]], [0.5], [np.log(0.1)])
    filled = bounded_likeness(
        [[np.log(0.6), -np.inf]], [[np.log(0.5), np.log(0.2)]], [0.5], [np.log(0.1)]
    )
    assert filled.divergence == short.divergence
    assert filled.total_variation == short.total_variation


def test_a_student_that_rules_a_missing_token_out_has_no_upper_bound() -> None:
    """Whether the teacher does is not known: the divergence may be infinite."""
    found = bounded_likeness([[np.log(0.9)]], [[np.log(0.5)]], [0.5], [-np.inf])
    assert np.isfinite(found.divergence[0]).all()
    assert found.divergence[1] == np.inf
