"""What a value of a row says, also where it stands as text in the cell of a table."""

from __future__ import annotations

import ast
import json
import math
import re
import warnings
from decimal import Decimal
from numbers import Real
from typing import Any

MOST_DIGITS = 18
"""Of a whole number that stands as text."""

MOST_CHARACTERS = 100_000
"""Of a list or a mapping as Python prints it: a parser that is made for code reads it."""

EXACT = 2**53
"""From here on a float no longer tells whole numbers apart."""

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def whole(value: object) -> int | None:
    """Return a whole number; None where it is none."""
    if isinstance(value, str) and len(value) <= MOST_DIGITS:
        number, _, zeros = value.strip().partition(".")  # 7.0 where the column has a gap elsewhere
        digits = number.removeprefix("-")
        return (
            int(number) if digits.isascii() and digits.isdigit() and not zeros.strip("0") else None
        )
    if isinstance(value, float) and value.is_integer() and abs(value) < EXACT:
        return int(value)  # likewise
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def real(value: object) -> float | None:
    """Return a finite number; None where it is none."""
    if isinstance(value, str):
        if not _NUMBER.fullmatch(value.strip()):
            return None
    elif isinstance(value, bool) or not isinstance(value, Real | Decimal):
        return None
    try:
        found = float(value)
    except (OverflowError, ValueError):  # a whole number of hundreds of digits
        return None
    return found if math.isfinite(found) else None


def structure(value: Any) -> Any:
    """Return a list or a mapping that stands in a cell; any other value as it is.

    As JSON; or as Python prints it, which is what pandas writes of a list into a CSV file.
    """
    if not isinstance(value, str) or value.lstrip()[:1] not in ("[", "{"):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return _printed(value)


def _printed(value: str) -> Any:
    if len(value) > MOST_CHARACTERS:
        return value
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a backslash that escapes nothing
            return ast.literal_eval(value.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return value
