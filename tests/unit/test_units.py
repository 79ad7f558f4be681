"""Sizes, times and rates as people write them."""

from __future__ import annotations

from fractions import Fraction

import pytest

from pytest_distill._util.units import Unit, quantity
from pytest_distill.errors import ConfigError


@pytest.mark.parametrize(
    ("written", "unit", "number"),
    [
        ("300 MB", "B", 300_000_000),
        ("1.5GB", "B", 1_500_000_000),
        ("2 GiB", "B", 2 * 1024**3),
        (4096, "B", 4096),
        ("50 ms", "s", Fraction(1, 20)),
        ("0.1 ms", "s", Fraction(1, 10_000)),
        (0.05, "s", Fraction(1, 20)),
        ("250 µs", "s", Fraction(1, 4000)),
        ("2 min", "s", 120),
        ("200 /s", "/s", 200),
        ("90/min", "/s", Fraction(3, 2)),
        ("135M", "parameters", 135_000_000),
        ("1,000", "parameters", 1000),
        ("7B", "parameters", 7_000_000_000),
    ],
)
def test_quantities_are_read_exactly(written: object, unit: Unit, number: Fraction) -> None:
    """What people write is the decimal that stands there, in the unit's own scale."""
    assert quantity(written, unit, "max") == number


@pytest.mark.parametrize(
    ("written", "unit", "problem"),
    [
        ("50", "B", r"max='50': unknown unit ''; known are B, kB"),
        ("50 sec", "s", r"max='50 sec': unknown unit 'sec'; known are µs, us, ms, s, min$"),
        ("fast", "s", r"max='fast': must be above 0 and have a unit, such as '50 ms'"),
        ("0 ms", "s", r"max='0 ms': must be above 0"),
        (-1, "s", r"max=-1: must be above 0"),
        (float("nan"), "s", r"max=nan: must be a finite number"),
        (None, "B", r"max=None: must be above 0 and have a unit, such as '300 MB'"),
    ],
)
def test_what_is_no_quantity_is_refused(written: object, unit: Unit, problem: str) -> None:
    """The error says what can be written instead."""
    with pytest.raises(ConfigError, match=problem):
        quantity(written, unit, "max")
