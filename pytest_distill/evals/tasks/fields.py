"""Reading a field of an example, or its absence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_distill.errors import GoldSetError, did_you_mean
from pytest_distill.evals.goldset import Example


def field(example: Example, name: str) -> Any:
    """Return the value of a field; GoldSetError where the row has none."""
    try:
        return example.fields[name]
    except KeyError:
        raise example.gold_error(
            f"no field '{name}'; {did_you_mean(name, example.fields)}"
        ) from None


def text(example: Example, name: str) -> str:
    """Return a field that must be text."""
    value = field(example, name)
    if not isinstance(value, str):
        raise wrong_type(example, name, "text", value)
    return value


def label(example: Example, name: str) -> str:
    """Return a field that must be a label, as text: 1 is '1', true is 'True'."""
    value = field(example, name)
    if not isinstance(value, str | int):
        raise wrong_type(example, name, "text, a whole number or a boolean", value)
    return str(value)


def texts(example: Example, name: str) -> tuple[str, ...]:
    """Return a field that must be a list of texts."""
    value = field(example, name)
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise wrong_type(example, name, "a list of texts", value)
    return tuple(value)


def wrong_type(example: Example, name: str, wanted: str, value: Any) -> GoldSetError:
    """Return the error about a value of the wrong type."""
    kind = next((said for kind, said in _JSON_TYPES.items() if isinstance(value, kind)), "a value")
    given = "null" if value is None else f"{kind} {value!r:.60}"
    return example.gold_error(f"'{name}' must be {wanted}, not {given}")


_JSON_TYPES: Mapping[type, str] = {
    bool: "the boolean",
    dict: "the object",
    float: "the number",
    int: "the number",
    list: "the list",
    str: "the text",
}
