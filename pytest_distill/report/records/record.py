"""What the records of a report share. The standard library alone, as in all of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable
from dataclasses import fields
from typing import Any, TypeVar

Record = TypeVar("Record")
Key = TypeVar("Key", bound=Hashable)

LATER = {"later": True}
"""Metadata of a field that files of earlier versions lack, which are read as if it said nothing."""


def record_of(kind: type[Record], *sources: object, **more: Any) -> Record:
    """Return a record with the attributes that `sources` have under the names of its fields.

    Parameters
    ----------
    kind : type
        Which record.
    *sources : object
        The first that has an attribute of a field's name gives it.
    **more
        Fields that none has, or has otherwise.
    """
    for name in (each.name for each in fields(kind)):  # type: ignore[arg-type]
        found = next((s for s in sources if hasattr(s, name)), None)
        if found is not None and name not in more:
            value = getattr(found, name)
            infinite = isinstance(value, float) and math.isinf(value)
            more[name] = None if infinite else value
    return kind(**more)


def grouped(records: Iterable[Record], key: Callable[[Record], Key]) -> dict[Key, list[Record]]:
    """Return the records that have a key, by that, in the order in which they come."""
    found: dict[Key, list[Record]] = {}
    for record in records:
        found.setdefault(key(record), []).append(record)
    return found
