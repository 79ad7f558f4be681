"""Reading a field of an example, or its absence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_distill._util import strict_json
from pytest_distill.errors import GoldSetError, did_you_mean
from pytest_distill.evals.cells import structure
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
    """Return a field that must be a list of texts, or the JSON of one: a table has no lists."""
    value = structure(field(example, name))
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise wrong_type(example, name, "a list of texts", value)
    return tuple(value)


def entries(example: Example, name: str, of: str) -> Sequence[Any]:
    """Return a field that must be a list, or the JSON of one: a table has no lists.

    Parameters
    ----------
    example : Example
        Whose field it is.
    name : str
        The field.
    of : str
        What is listed, for messages.
    """
    value = read(field(example, name))
    if not isinstance(value, list | tuple):
        raise wrong_type(example, name, f"a list of {of}", value)
    return value


def read(value: Any) -> Any:
    """Return a value of a row, or what it is the JSON of: a table has texts and numbers alone."""
    return strict_json.loads_or(value, value) if isinstance(value, str) else value


def wrong_type(example: Example, name: str, wanted: str, value: Any) -> GoldSetError:
    """Return the error about a value of the wrong type."""
    return example.gold_error(f"'{name}' must be {wanted}, not {shown(value)}")


def shown(value: Any) -> str:
    """Return a value and its kind, as messages call it."""
    kind = next((said for kind, said in _JSON_TYPES.items() if isinstance(value, kind)), "a value")
    try:
        return "null" if value is None else f"{kind} {value!r:.60}"
    except ValueError:  # a number of more digits than Python writes
        return f"{kind} of too many digits"


_JSON_TYPES: Mapping[type, str] = {
    bool: "the boolean",
    dict: "the object",
    float: "the number",
    int: "the number",
    list: "the list",
    str: "the text",
}
