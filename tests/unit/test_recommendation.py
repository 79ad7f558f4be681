"""Which of several students is recommended."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.stats import binom

from pytest_distill.gates.recommendation import recommended

NAMES = ("giant", "big", "small", "tiny")


@pytest.mark.parametrize("fits", list(product((True, False), repeat=4)))
@pytest.mark.parametrize("keeps", list(product((True, False), repeat=4)))
def test_the_last_that_fits_and_keeps_before_the_first_that_fits_and_does_not(
    fits: tuple[bool, ...], keeps: tuple[bool, ...]
) -> None:
    """Of all ways in which four students may fit, and may keep the quality."""
    asked: list[str] = []

    def keep(name: str) -> list[str]:
        asked.append(name)
        return [] if keeps[NAMES.index(name)] else ["short"]

    found = recommended(NAMES, lambda n: [] if fits[NAMES.index(n)] else ["misfit"], keep)
    ends = next((i for i in range(4) if fits[i] and not keeps[i]), 4)
    before = [NAMES[i] for i in range(ends) if fits[i]]
    assert found.model == (before[-1] if before else None)
    assert list(found.ended_by) == list(NAMES[ends : ends + 1])
    assert found.not_tried == NAMES[ends + 1 :]
    assert list(found.passed_over) == [NAMES[i] for i in range(ends) if not fits[i]]
    assert asked == [*before, *NAMES[ends : ends + 1]]


@pytest.mark.parametrize("students", [5, 10, 20])
def test_a_bad_student_is_recommended_no_more_often_than_one_test_errs(students: int) -> None:
    """Twenty at the floor, each tested exactly at 5 %, are one chance and not twenty."""
    draw = np.random.default_rng(students)
    needed = int(binom.ppf(0.95, 400, 0.9)) + 1  # P(X >= needed) is at most 5 %
    names = [str(place) for place in range(students)]
    wrong = 0
    for right in draw.binomial(400, 0.9, (4000, students)):
        short = {n: [] if r >= needed else ["short"] for n, r in zip(names, right, strict=True)}
        wrong += recommended(names, lambda _: [], short.__getitem__).model is not None
    assert 0 < wrong / 4000 <= 0.055
