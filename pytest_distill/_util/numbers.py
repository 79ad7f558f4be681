"""Exact numbers: what a user wrote, within its bounds, and what is reckoned from it."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from fractions import Fraction
from numbers import Real

from pytest_distill.errors import ConfigError

Ratio = Fraction | float
"""An exact ratio; `math.inf`, its only float, where nothing remains to divide by."""
_MEAN_PLACES = 40
_MEAN_PARTS = 10**6
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


def checked_confidence(value: object) -> float | None:
    """Return the confidence level of a verdict; None where the observed numbers decide.

    Raises
    ------
    ConfigError
        Where `value` is no confidence that a verdict can rest on.
    """
    if value is None:
        return None
    try:
        return float(
            bounded(value, "confidence", above=0.5, below=1, meant=lambda level: 1 - level)
        )
    except ConfigError as error:
        raise ConfigError(f"{error} (None lets the observed numbers decide)") from None


def retained_share(student: Fraction, teacher: Fraction, higher_is_better: bool) -> Ratio | None:
    """Return the share of the teacher's quality that a student retains; None where no ratio exists.

    Infinite where lower is better and the student makes no error, as its teacher does.
    """
    if teacher <= 0 or (student < 0 and not higher_is_better):
        return None
    if higher_is_better:
        return student / teacher
    return teacher / student if student else math.inf


def geometric_mean(ratios: Sequence[Fraction]) -> Fraction:
    """Return the geometric mean of k ratios of at least 0, cut off where it is no fraction.

    After far more decimals than a floor has: it is at least the floor just where the product of
    the ratios is at least the floor's power k.
    """
    k = len(ratios)
    # Not as one fraction: to reduce it would take longer than all the rest.
    top = math.prod(ratio.numerator for ratio in ratios)
    bottom = math.prod(ratio.denominator for ratio in ratios)
    scale: int = 10**_MEAN_PLACES
    cut = Fraction(_root(top * scale**k // bottom, k), scale)
    near = cut.limit_denominator(_MEAN_PARTS)
    return near if near.numerator**k * bottom == top * near.denominator**k else cut


def _root(number: int, k: int) -> int:
    """Return the greatest whole number whose power `k` is at most `number`, by Newton's method."""
    if number < 2:
        return number
    # It falls from a start that is not under the root: that of floats, and a little more.
    bits = math.log2(number) / k
    shift = max(0, int(bits) - 60)
    root = (int(2 ** (bits - shift) * (1 + 1e-9)) + 1) << shift
    while True:
        lower = ((k - 1) * root + number // root ** (k - 1)) // k
        if lower >= root:
            return root
        root = lower


def rounded_down(value: Ratio) -> float:
    """Return the greatest float that prints as a decimal not above `value`."""
    nearest = float(value)
    if math.isinf(nearest):
        return nearest
    return nearest if decimal(nearest) <= value else math.nextafter(nearest, -math.inf)


def decimal(value: float | Fraction) -> Fraction:
    """Return the decimal that a float prints as: what 0.57 means is 57/100, not a bit less."""
    return value if isinstance(value, Fraction) else Fraction(str(value))
