"""What an example is called: its id as text, and which ids are one.

Tools write one id in several forms: a table with a gap in its column makes 7.0 of 7, and a CSV
file makes a text of it. A text stays as it is written; that it meets another is decided by what
`meeting` makes of the two.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pytest_distill.evals.cells import EXACT

DEFAULT_ID_FIELD = "id"


def id_text(value: Any) -> str:
    """Return an id as text; ValueError, whose words follow the field's name, where it is none."""
    if isinstance(value, Decimal) and value == value.to_integral_value():
        return str(int(value))
    if isinstance(value, float):
        return _of_float(value)
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise ValueError(f"must be a text or a number, not {value!r:.60}")
    if value == "":
        raise ValueError("is empty")
    return str(value)


def _of_float(value: float) -> str:
    if not value.is_integer():  # infinite and NaN too
        if value - value != 0:
            raise ValueError(f"must be a text or a number, not {value!r}")
        return repr(value)
    if abs(value) >= EXACT:
        raise ValueError(
            f"is {value!r}, so large that a float no longer tells it from its neighbours: write "
            "ids as whole numbers or as texts"
        )
    return str(int(value))


def meeting(id: str) -> str:
    """Return what an id has in common with the other forms of it: ``7`` for ``7.0``.

    ``007`` is no number but a text, and meets itself alone.
    """
    if not id.endswith("0"):
        return id
    number, point, zeros = id.partition(".")
    if not point or zeros.strip("0"):
        return id
    digits = number.removeprefix("-")
    plain = digits.isascii() and digits.isdigit() and (digits == "0" or digits[0] != "0")
    return number if plain and len(digits) < 17 and int(digits) < EXACT else id


def would_meet(first: Any, second: Any) -> bool:
    """Return whether two values of one id are written in different forms."""
    return type(first) is not type(second) or first != second


def met(where: str, second: Any, first_where: str, first: Any, field: str) -> str:
    """Return what is wrong with two ids of one file that are one, in different forms."""
    return (
        f"{where}: the {field} {second!r:.60} is one with {first!r:.60} at {first_where}; write "
        "every id in one form"
    )
