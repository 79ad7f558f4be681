"""How a number is told, once for every gate, report and note.

Nothing prints better than it is. `floor_text` and `ceil_text` are what all others come down to: a
number that should be high is cut off, one that should be low is raised.
"""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, Context
from fractions import Fraction

from pytest_distill._util.numbers import decimal
from pytest_distill._util.units import SCALES, Unit

PLACES = 4
"""Decimals of a score and of a ratio."""
QUANTITY_PLACES = 2
"""Decimals of a size, a time or a rate, in the unit that it is shown in."""
INFINITE = "infinite"
UNBOUNDED = "unbounded"
LEAST_P = 0.0001
"""Of lesser p-values no digits are shown."""

_SHOWN: dict[Unit, tuple[str, ...]] = {
    "B": ("TB", "GB", "MB", "kB", "B"),
    "s": ("s", "ms", "us"),
    "/s": ("/s",),
    "parameters": ("B", "M", "k", ""),
}
_MOST_DECIMALS = 6
_SURELY = 10**6
"""A number below it times another is exact to its reciprocal, and far beyond."""


def floor_text(value: float | Fraction, places: int = PLACES) -> str:
    """Return `value` cut off after `places` decimals, towards minus infinity: 0.94999 -> 0.9499."""
    return _infinite(value) or _scaled_text(math.floor(decimal(value) * 10**places), places)


def ceil_text(value: float | Fraction, places: int = PLACES) -> str:
    """Return `value` raised to `places` decimals, towards plus infinity: 12.00001 -> 12.0001."""
    return _infinite(value) or _scaled_text(math.ceil(decimal(value) * 10**places), places)


def score_text(score: float | Fraction, *, higher_is_better: bool, places: int = PLACES) -> str:
    """Return a metric's value, rounded to where it is worse."""
    return floor_text(score, places) if higher_is_better else ceil_text(score, places)


def shown_score(score: float, *, higher_is_better: bool) -> float:
    """Return the number that `score_text` shows of a finite score, quickly: there may be many."""
    steps: int = 10**PLACES
    scaled = score * steps
    if abs(scaled) < _SURELY and abs(scaled - round(scaled)) > 1 / _SURELY:  # not by an error
        return (math.floor(scaled) if higher_is_better else math.ceil(scaled)) / steps
    return float(score_text(score, higher_is_better=higher_is_better))


def quantity_text(value: float | Fraction, unit: Unit, *, up: bool) -> str:
    """Return a quantity for people, rounded `up` or down: ``48.33 ms``, ``1.3 GB``, ``22.72M``.

    A quantity without a unit is a score or a ratio.
    """
    rounded = ceil_text if up else floor_text
    if not unit or _infinite(value):
        return rounded(value)
    number = decimal(value)
    step = SCALES[unit][_scale(number, unit)] / 10**QUANTITY_PLACES
    number = (math.ceil(number / step) if up else math.floor(number / step)) * step
    return _in_unit(number, unit, QUANTITY_PLACES)  # 999.999 MB are now 1 GB


def size_text(size: int | None, unit: Unit) -> str:
    """Return a model's parameters or bytes, never fewer than they are: ``90.87 MB``."""
    return "unknown" if size is None else quantity_text(size, unit, up=True)


def limit_text(limit: float | Fraction, unit: Unit = "") -> str:
    """Return what a user demanded as it was written: ``0.95``, ``20.005 MB``, ``50 ms``."""
    if not unit:
        return str(limit).removesuffix(".0")
    return _in_unit(decimal(limit), unit, _MOST_DECIMALS)


def count_text(count: int, noun: str, plural: str = "") -> str:
    """Return how many there are of what: ``1 example``, ``22,713,216 parameters``."""
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"


def percent_text(share: float) -> str:
    """Return a share that somebody chose, such as a confidence, in per cent: ``97.5 %``."""
    return f"{plain_text(100 * share)} %"


def plain_text(value: float) -> str:
    """Return a number that somebody chose, without what binary floats add: 1 - 0.95 is 0.05."""
    return f"{value:.10g}"


def bound_text(value: float | None, *, lower: bool, unit: Unit = "") -> str:
    """Return a bound, rounded outwards; None and an infinite one in words."""
    if value is None or math.isinf(value):
        return UNBOUNDED
    return quantity_text(value, unit, up=not lower)


def interval_text(lower: float | None, upper: float | None, unit: Unit = "") -> str:
    """Return both bounds of an interval: ``0.9312 to unbounded``."""
    low, high = bound_text(lower, lower=True, unit=unit), bound_text(upper, lower=False, unit=unit)
    return f"{low} to {high}"


def range_text(lower: float | None, upper: float | None, unit: Unit = "") -> str:
    """Return the same where there is little room: ``0.9223..0.9619``."""
    return interval_text(lower, upper, unit).replace(" to ", "..")


def p_text(p: float, level: float = LEAST_P) -> str:
    """Return a p-value, raised to four decimals: never smaller than it is.

    Beside a significance level that is smaller still, with two digits.
    """
    if p < LEAST_P and level < LEAST_P:
        return f"{Context(prec=2, rounding=ROUND_CEILING).create_decimal_from_float(p):.1e}"
    return f"< {LEAST_P}" if p < LEAST_P else ceil_text(p)


def p_equals(p: float) -> str:
    """Return a p-value behind its sign: ``= 0.0012``, ``< 0.0001``."""
    shown = p_text(p)
    return shown if shown.startswith("<") else f"= {shown}"


def _scale(number: Fraction, unit: Unit) -> str:
    """Return the greatest unit of which `number` is at least one."""
    names = _SHOWN[unit]
    return next((name for name in names if abs(number) >= SCALES[unit][name]), names[-1])


def _in_unit(number: Fraction, unit: Unit, places: int) -> str:
    """Return a quantity in the unit that suits it, cut off, without zeros at its end."""
    scale = _scale(number, unit)
    shown = floor_text(number / SCALES[unit][scale], places).rstrip("0").rstrip(".")
    return f"{shown}{'' if unit == 'parameters' else ' '}{scale}".rstrip()


def _infinite(value: float | Fraction) -> str:
    """Return an infinite number in words; nothing for any other."""
    if isinstance(value, Fraction) or not math.isinf(value):
        return ""
    return INFINITE if value > 0 else f"minus {INFINITE}"


def _scaled_text(scaled: int, places: int) -> str:
    sign = "-" if scaled < 0 else ""
    whole, decimals = divmod(abs(scaled), 10**places)
    return f"{sign}{whole}.{decimals:0{places}d}"
