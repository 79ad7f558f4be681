"""Parts of a JSON Schema: naming one, and putting one in the place of another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]

TEXT: Json = {"type": "string"}


def ref(name: str) -> Json:
    """Return what stands for a part of the schema."""
    return {"$ref": f"#/definitions/{name}"}


def replace(within: Any, old: Json, new: Json | None) -> None:
    """Put `new` in the place of every part that is `old`; None: take it out of its list."""
    if isinstance(within, list):
        within[:] = [
            new if part == old else part for part in within if part != old or new is not None
        ]
    for key, part in within.items() if isinstance(within, dict) else enumerate(within):
        if part == old and new is not None:
            within[key] = new
        elif isinstance(part, dict | list) and part != new:
            replace(part, old, new)


def cases_of(cases: Iterable[tuple[Json, Json]], otherwise: Json) -> Json:
    """Return what holds in the first case that is met."""
    for condition, part in reversed([*cases]):
        otherwise = {"if": condition, "then": part, **({"else": otherwise} if otherwise else {})}
    return otherwise
