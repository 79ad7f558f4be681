"""Built-in types out of what user code hands in: numpy's, torch's and other libraries' numbers.

What an engine says goes into reports, the store and other processes, none of which takes more than
built-in types. So it is converted where it comes in, and refused there where it cannot be.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

SHOWN = 60
"""How many characters of a refused value a message shows."""


def whole(value: Any) -> int:
    """Return a whole number; ValueError where it is none. Truth values are no numbers."""
    value = _scalar(value)
    if not isinstance(value, bool):
        try:
            return operator.index(value)
        except TypeError:
            number = real(value)
            if number.is_integer():
                return int(number)
    raise ValueError(f"must be a whole number, not {shown(value)}")


def real(value: Any) -> float:
    """Return a number; ValueError where it is none. It may be infinite, or not a number."""
    value = _scalar(value)
    if not isinstance(value, bool) and isinstance(value, Real):
        try:
            return float(value)
        except OverflowError:
            pass
    raise ValueError(f"must be a number, not {shown(value)}")


def finite(value: Any, least: float = 0.0) -> float:
    """Return a finite number of at least `least`; ValueError where it is none."""
    number = real(value)
    if not math.isfinite(number) or number < least:
        raise ValueError(f"must be a finite number, {least:g} or more, not {shown(value)}")
    return number


def text(value: Any) -> str:
    """Return text, also of a path; ValueError where it is neither."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if not isinstance(value, str):
        raise ValueError(f"must be text, not {shown(value)}")
    return str.__str__(value)


def texts(value: Any) -> tuple[str, ...]:
    """Return a tuple of texts; ValueError where it is none."""
    return tuple(text(entry) for entry in sequence(value))


def sequence(value: Any) -> list[Any]:
    """Return a list of what a sequence or an array holds; ValueError where it is neither."""
    if not isinstance(value, list | tuple) and hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, str | bytes) or not isinstance(value, Sequence):
        raise ValueError(f"must be a list, not {shown(value)}")
    return list(value)


def json_able(value: Any) -> Any:
    """Return a value in the types that JSON has; ValueError where that is not possible."""
    if isinstance(value, Mapping):
        return {text(key): json_able(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple) or _is_array(value):
        return [json_able(entry) for entry in sequence(value)]
    value = _scalar(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return text(value)
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return real(value)
    raise ValueError(f"must be text, numbers, lists or mappings of them, not {shown(value)}")


def shown(value: Any) -> str:
    """Return a value and its type, for a message; nothing that it does gets in the way."""
    try:
        told = repr(value)
    except Exception:  # noqa: BLE001 (repr is the user's code)
        told = "a value"
    told = told if len(told) <= SHOWN else f"{told[:SHOWN]}..."
    return f"{told} ({type(value).__name__})"


def quoted(value: Any) -> str:
    """Return a name in quotes; of what should have been one, its value and type."""
    return f"'{value}'" if isinstance(value, str) else shown(value)


def _is_array(value: Any) -> bool:
    return getattr(value, "shape", ()) not in ((), None) and hasattr(value, "tolist")


def _scalar(value: Any) -> Any:
    """Return what an array or a tensor with a single value holds, in a built-in type."""
    if isinstance(value, int | float) and type(value).__module__ == "builtins":
        return value
    if hasattr(value, "item") and not isinstance(value, Mapping):
        try:
            return value.item()
        except Exception:  # noqa: BLE001 (whatever its library raises: it holds no single value)
            return value
    return value
