"""Exact numbers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from pytest_distill._util.numbers import exact, positive, retained_share, rounded_down
from pytest_distill.errors import ConfigError
from pytest_distill.gates.verdict import as_float


@pytest.mark.parametrize(
    "value", [0.95, np.float64(0.95), np.float32(0.95), Fraction(19, 20)], ids=repr
)
def test_a_number_means_the_decimal_it_is_written_as(value: object) -> None:
    """0.95 is 19/20 whatever its type, though no binary float is."""
    assert exact(value, "min") == Fraction(19, 20)


@pytest.mark.parametrize("value", [None, "0.95", True, float("nan"), float("inf"), 1j], ids=repr)
def test_what_is_no_finite_number_is_refused(value: object) -> None:
    """The error names the argument and what was given for it."""
    with pytest.raises(ConfigError, match=r"min=.*must be a finite number"):
        exact(value, "min")


@pytest.mark.parametrize("value", [0, -0.5])
def test_a_floor_must_be_above_zero(value: float) -> None:
    """Every ratio of scores is above a floor of zero, so that such a gate says nothing."""
    with pytest.raises(ConfigError, match="must be above 0"):
        positive(value, "min")


def test_a_float_never_looks_better_than_the_fraction() -> None:
    """Just under 0.95 stays under 0.95 as a float, and just above stays above."""
    tiny = Fraction(1, 10**30)
    below, above = Fraction(19, 20) - tiny, Fraction(19, 20) + tiny
    assert rounded_down(below) < 0.95
    assert as_float(below, ">=") < 0.95
    assert as_float(above, "<=") > 0.95


@pytest.mark.parametrize(
    ("student", "teacher", "higher", "lower"),
    [
        ("0.5", "1", Fraction(1, 2), 2),
        ("0", "1", 0, math.inf),
        ("0", "0", None, None),
        ("1", "0", None, None),
        ("1", "-1", None, None),
        ("-1", "1", -1, None),
    ],
)
def test_a_ratio_exists_to_a_teacher_above_zero(
    student: str, teacher: str, higher: Fraction | None, lower: Fraction | float | None
) -> None:
    """Where lower is better no error at all is infinitely good, and below zero there is none."""
    scores = Fraction(student), Fraction(teacher)
    assert retained_share(*scores, True) == higher
    assert retained_share(*scores, False) == lower


def test_an_infinite_ratio_stays_infinite() -> None:
    """On either side of a limit it is the float that it is."""
    assert as_float(math.inf, ">=") == as_float(math.inf, "<=") == math.inf
