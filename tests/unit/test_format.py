"""How numbers are told: never better than they are."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from pytest_distill._util.format import (
    bound_text,
    ceil_text,
    count_text,
    floor_text,
    interval_text,
    limit_text,
    p_equals,
    p_text,
    percent_text,
    plain_text,
    quantity_text,
    score_text,
    size_text,
)
from pytest_distill._util.units import Unit


@pytest.mark.parametrize(
    ("value", "floor", "ceiling"),
    [
        (0.94999999, "0.9499", "0.9500"),
        (0.57, "0.5700", "0.5700"),
        (Fraction(2, 3), "0.6666", "0.6667"),
        (-0.00005, "-0.0001", "0.0000"),
        (-1.23456, "-1.2346", "-1.2345"),
        (12, "12.0000", "12.0000"),
    ],
)
def test_numbers_are_cut_towards_one_side(value: float, floor: str, ceiling: str) -> None:
    """A floor never prints above the number and a ceiling never below it."""
    assert (floor_text(value), ceil_text(value)) == (floor, ceiling)


def test_an_infinite_ratio_is_written_out() -> None:
    """In words, with its sign."""
    assert (floor_text(math.inf), ceil_text(math.inf, 2)) == ("infinite", "infinite")
    assert floor_text(-math.inf) == "minus infinite"


def test_a_score_is_rounded_to_where_it_is_worse() -> None:
    """Down where higher is better, up where lower is."""
    assert score_text(Fraction(2, 3), higher_is_better=True) == "0.6666"
    assert score_text(Fraction(2, 3), higher_is_better=False, places=2) == "0.67"


@pytest.mark.parametrize(
    ("value", "unit", "down", "up"),
    [
        (0.0483211, "s", "48.32 ms", "48.33 ms"),
        (0.05, "s", "50 ms", "50 ms"),
        (Fraction(1, 20), "s", "50 ms", "50 ms"),
        (1.2345678, "s", "1.23 s", "1.24 s"),
        (0.0000015, "s", "1.5 us", "1.5 us"),
        (999_960_000, "B", "999.96 MB", "999.96 MB"),
        (999_996_000, "B", "999.99 MB", "1 GB"),
        (10**9, "B", "1 GB", "1 GB"),
        (999, "B", "999 B", "999 B"),
        (1000, "B", "1 kB", "1 kB"),
        (10**15, "B", "1000 TB", "1000 TB"),
        (0.9999999, "s", "999.99 ms", "1 s"),
        (90, "s", "90 s", "90 s"),
        (math.inf, "s", "infinite", "infinite"),
        (999_999, "parameters", "999.99k", "1M"),
        (299_999_999, "B", "299.99 MB", "300 MB"),
        (300_000_001, "B", "300 MB", "300.01 MB"),
        (0, "B", "0 B", "0 B"),
        (4_386_178, "parameters", "4.38M", "4.39M"),
        (12, "parameters", "12", "12"),
        (199.999, "/s", "199.99 /s", "200 /s"),
        (0.94996, "", "0.9499", "0.9500"),
    ],
)
def test_no_quantity_prints_better_than_it_is(value: float, unit: Unit, down: str, up: str) -> None:
    """A number that must be high is cut off, one that must be low is raised."""
    assert quantity_text(value, unit, up=False) == down
    assert quantity_text(value, unit, up=True) == up


def test_a_size_that_is_not_known_is_told_so() -> None:
    """A model behind an API has no size on this machine, which is not a size of zero."""
    assert size_text(None, "B") == "unknown"
    assert size_text(0, "B") == "0 B"


@pytest.mark.parametrize(
    ("limit", "unit", "told"),
    [
        (0.95, "", "0.95"),
        (1000.0, "", "1000"),
        (20_005_000.0, "B", "20.005 MB"),
        (Fraction(1, 20), "s", "50 ms"),
        (200.0, "/s", "200 /s"),
        (135e6, "parameters", "135M"),
        (Fraction(1, 60), "/s", "0.016666 /s"),
    ],
)
def test_a_limit_is_told_as_it_was_written(limit: float, unit: Unit, told: str) -> None:
    """A limit of 20.005 MB is no limit of 20 MB."""
    assert limit_text(limit, unit) == told


@pytest.mark.parametrize(
    ("p", "told"),
    [(0.05, "= 0.0500"), (0.04999, "= 0.0500"), (0.0001, "= 0.0001"), (0.00009, "< 0.0001")],
)
def test_a_p_value_is_never_told_smaller_than_it_is(p: float, told: str) -> None:
    """It is raised, and below the least that is shown no digits are."""
    assert p_equals(p) == told


def test_a_p_value_beside_a_tiny_level_keeps_two_digits() -> None:
    """`< 0.0001` would not tell on which side of 0.00001 it is."""
    assert p_text(0.0000123, level=0.00001) == "1.3e-5"
    assert p_text(0.0000123, level=0.05) == "< 0.0001"
    assert p_text(0.2, level=0.00001) == "0.2000"


def test_bounds_are_rounded_outwards() -> None:
    """An interval is never told narrower than it is; a bound that does not exist is in words."""
    assert interval_text(0.94999, 0.96001) == "0.9499 to 0.9601"
    assert interval_text(0.0123456, 0.0123456, "s") == "12.34 ms to 12.35 ms"
    assert interval_text(-math.inf, None) == "unbounded to unbounded"
    assert bound_text(0.94999, lower=False) == "0.9500"


def test_one_of_a_thing_is_singular() -> None:
    """Of all other counts, zero too, the word is in the plural."""
    assert [count_text(n, "cluster") for n in (0, 1, 1234)] == [
        "0 clusters",
        "1 cluster",
        "1,234 clusters",
    ]


def test_what_binary_floats_add_is_not_told() -> None:
    """1 - 0.95 is 0.05, and a confidence of 0.975 is 97.5 %."""
    assert (plain_text(1 - 0.95), percent_text(0.975)) == ("0.05", "97.5 %")
