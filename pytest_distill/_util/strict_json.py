"""JSON as its standard has it: what Python's reader takes beyond it is refused."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from typing import Any

MOST_NESTED = 100
"""Lists and objects in each other: how deep a text may go and be read, whoever asks, and where."""


def loads(text: str) -> Any:
    """Return the value of a text that is one JSON value, with blanks around it at most.

    Raises
    ------
    ValueError
        Where it is not: NaN and Infinity are none, and neither are two values. Nor is one read that
        nests deeper than `MOST_NESTED`.
    """
    value, end = decoded(text, 0)
    if _BLANKS.fullmatch(text, end) is None:
        raise ValueError("more than one JSON value")
    return value


def loads_or(text: str, otherwise: Any) -> Any:
    """Return the value of a text that is one JSON value; `otherwise` where it is not."""
    try:
        return loads(text)
    except ValueError:
        return otherwise


def decoded(text: str, start: int) -> tuple[Any, int]:
    """Return the JSON value that begins at `start`, after blanks, and where it ends."""
    blanks = _BLANKS.match(text, start)
    try:
        value, end = _DECODER.raw_decode(text, blanks.end() if blanks else start)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if _is_deeper(value, MOST_NESTED):
        raise ValueError(_TOO_DEEP)
    return value, end


def writable(value: Any) -> bool:
    """Return whether a value is one of JSON, and comes back from it as it is.

    A date is none, nor is a mapping whose names are numbers, nor half of a surrogate pair.
    """
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        return bool(json.loads(text.encode()) == value)
    except (TypeError, ValueError, RecursionError):
        return False


def equal(one: Any, other: Any) -> bool:
    """Return whether two values are the same as JSON: 1 is 1.0, but true is not 1.

    The order of an object's keys is nothing; that of a list is.
    """
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


_BLANKS = re.compile(r"[ \t\n\r]*")
_TOO_DEEP = f"nested deeper than {MOST_NESTED}"


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON")


def _whole(digits: str) -> int | float:
    try:
        return int(digits)
    except ValueError:  # more digits than Python turns into a number
        return float(digits)


_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_int=_whole)


def _is_deeper(value: Any, most: int) -> bool:
    """Return whether more than so many lists and objects stand in each other."""
    level = [value]
    for _ in range(most):
        level = [
            item
            for parent in level
            if isinstance(parent, dict | list)
            for item in (parent.values() if isinstance(parent, dict) else parent)
        ]
        if not level:
            return False
    return any(isinstance(value, dict | list) for value in level)


def refuse_no_json(
    value: Any, at: str = "", key: Callable[[str, str], None] = lambda _key, _where: None
) -> None:
    """Raise ValueError where a value holds what no JSON can.

    Parameters
    ----------
    value
        What YAML has for it.
    at : str
        Where it stands, for messages.
    key : callable
        Given each key and where that stands; raises ValueError where it must not be there.
    """
    if isinstance(value, dict):
        for name, inner in value.items():
            where = f"{at}.{name}" if at else str(name)
            if not isinstance(name, str):
                raise ValueError(f"'{where}' must be a text: write it in quotes")
            key(name, where)
            refuse_no_json(inner, where, key)
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            refuse_no_json(inner, f"{at}[{place}]", key)
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"'{at}' must be a finite number")
    elif not (value is None or isinstance(value, str | int | float)):
        raise ValueError(
            f"'{at}' is a {type(value).__name__}, which JSON has not: write it in quotes"
        )
