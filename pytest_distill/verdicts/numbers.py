"""Exact numbers, and printing them so that they never look better than they are."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from fractions import Fraction
from numbers import Real

from pytest_distill.errors import ConfigError

PLACES = 4
MOST_RETAINED = 2
"""A floor above it is no share of a teacher's quality: 95 is meant for 0.95."""


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
    return bounded(value, name, above=0)


def retained_floor(value: object, name: str) -> Fraction:
    """Return a floor for a share of the teacher's quality: a student may be better, not 95-fold."""
    return bounded(value, name, above=0, most=MOST_RETAINED, what="a share of the teacher's")


def bounded(
    value: object,
    name: str,
    *,
    above: float | None = None,
    least: float | None = None,
    below: float | None = None,
    most: float | None = None,
    what: str = "",
    meant: Callable[[Fraction], Fraction] | None = None,
) -> Fraction:
    """Return `exact` of a number within bounds: beyond them a gate always passes, or never does.

    Parameters
    ----------
    value : object
        What the user wrote.
    name : str
        The argument that it was given for.
    above, least : float, optional
        The lower bound: exclusive, or inclusive. An infinite bound bars nothing.
    below, most : float, optional
        The upper bound: exclusive, or inclusive.
    what : str
        What the number is, for the message.
    meant : callable, optional
        What the user may have meant, beside a sign too many and per cent.

    Raises
    ------
    ConfigError
        Where it is no such number, with the one that was probably meant.
    """
    number = exact(value, name)
    words = (
        ("above", operator.gt, above),
        ("at least", operator.ge, least),
        ("below", operator.lt, below),
        ("at most", operator.le, most),
    )
    bars = [
        (word, holds, limit)
        for word, holds, limit in words
        if limit is not None and math.isfinite(limit)
    ]

    def fits(candidate: Fraction) -> bool:
        return all(holds(candidate, decimal(limit)) for _, holds, limit in bars)

    if fits(number):
        return number
    limits = [f"{word} {limit:g}" for word, _, limit in bars]
    guesses = [*([meant(number)] if meant and number > 0 else []), *_guesses(number)]
    near = next((guess for guess in guesses if fits(guess)), None)
    asked = f"; did you mean {float(near):g}?" if near is not None else ""
    about = f"{what}, " if what else ""
    raise ConfigError(f"{name}={value!r}: must be {about}{' and '.join(limits)}{asked}")


def _guesses(number: Fraction) -> list[Fraction]:
    """Return what is often meant by a number out of bounds: per cent, or the sign is too many."""
    if number < 0:
        return [-number]
    return [number / 100] if number >= MOST_RETAINED else []


def confidence(value: object) -> float | None:
    """Return how sure a verdict must be; None where the observed numbers decide.

    Raises
    ------
    ConfigError
        Where `value` is no confidence that a verdict can rest on.
    """
    if value is None:
        return None
    try:
        sure = bounded(value, "confidence", above=0.5, below=1, meant=lambda level: 1 - level)
        return float(sure)
    except ConfigError as error:
        raise ConfigError(f"{error} (None lets the observed numbers decide)") from None


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
