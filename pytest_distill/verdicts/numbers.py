"""Exact numbers, and printing them so that they never look better than they are."""

from __future__ import annotations

import math
from fractions import Fraction
from numbers import Real

from pytest_distill.errors import ConfigError

PLACES = 4


def exact(value: object, name: str) -> Fraction:
    """Return a user's number as the decimal that it was written as: 0.95 is 19/20.

    Raises
    ------
    ConfigError
        Where `value` is no finite number; `name` is the argument that it was given for.
    """
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not math.isfinite(float(value)):  # type: ignore[arg-type]
        raise ConfigError(f"{name}={value!r}: must be a finite number, such as 0.95")
    return Fraction(str(value))


def positive(value: object, name: str) -> Fraction:
    """Return `exact` of a number that must be above zero."""
    number = exact(value, name)
    if number <= 0:
        raise ConfigError(f"{name}={value!r}: must be above 0, such as 0.95")
    return number


def confidence(value: object) -> float | None:
    """Return how sure a verdict must be; None where the observed numbers decide.

    Raises
    ------
    ConfigError
        Where `value` is no confidence that a verdict can rest on.
    """
    if value is None:
        return None
    sure = exact(value, "confidence")
    if not Fraction(1, 2) < sure < 1:
        raise ConfigError(f"confidence={value!r}: must be above 0.5 and below 1, or None")
    return float(sure)


def kept(student: Fraction, teacher: Fraction, higher_is_better: bool) -> Fraction | None:
    """Return which share of the teacher's quality a student kept; None where no ratio exists."""
    if teacher <= 0 or (student <= 0 and not higher_is_better):
        return None
    return student / teacher if higher_is_better else teacher / student


def rounded_down(value: Fraction) -> float:
    """Return the greatest float that prints as a decimal not above `value`."""
    nearest = float(value)
    return nearest if decimal(nearest) <= value else math.nextafter(nearest, -math.inf)


def floor_text(value: float | Fraction, places: int = PLACES) -> str:
    """Return `value` cut off after `places` decimals, towards minus infinity: 0.94999 -> 0.9499."""
    return _scaled_text(math.floor(decimal(value) * 10**places), places)


def ceil_text(value: float | Fraction, places: int = PLACES) -> str:
    """Return `value` raised to `places` decimals, towards plus infinity: 12.00001 -> 12.0001."""
    return _scaled_text(math.ceil(decimal(value) * 10**places), places)


def decimal(value: float | Fraction) -> Fraction:
    """Return the decimal that a float prints as: what 0.57 means is 57/100, not a bit less."""
    return value if isinstance(value, Fraction) else Fraction(str(value))


def _scaled_text(scaled: int, places: int) -> str:
    sign = "-" if scaled < 0 else ""
    whole, decimals = divmod(abs(scaled), 10**places)
    return f"{sign}{whole}.{decimals:0{places}d}"
