"""What pydantic finds wrong with an entry, in words that fit behind a key."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel, Tag
from pydantic_core import ErrorDetails

from pytest_distill._util.strict import NOT_BLANK
from pytest_distill.errors import did_you_mean

_CLASS = re.compile(r" or instance of \w+$")
"""Nobody writes an object of ours into a file."""


def known_keys(kind: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """Return the keys that the entry has in which the last part of `path` stands."""
    tagged: dict[str | int, type[BaseModel]] = {}
    for part in path[:-1]:
        if part in tagged:
            kind = tagged[part]
        elif field := kind.model_fields.get(str(part)):
            tagged = dict(_models_in(field.annotation))
            kind = next(iter(tagged.values()), kind)
    return list(kind.model_fields)


def _models_in(hint: Any, tag: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield the models that a type allows, and what the path of an error calls each."""
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        yield tag or hint.__name__, hint
    inside = get_args(hint)
    tag = next((each.tag for each in inside if isinstance(each, Tag)), tag)
    for each in inside:
        yield from _models_in(each, tag)


def sentence(error: ErrorDetails, known: Collection[str]) -> str:
    """Return what pydantic found, in words that fit behind a key."""
    match error["type"]:
        case "extra_forbidden":
            return unknown_key(str(error["loc"][-1]), known)
        case "missing":
            return "is missing"
        case "value_error":
            return str(error["ctx"]["error"])
        case "string_pattern_mismatch" if error["ctx"]["pattern"] == NOT_BLANK:
            return "must not be empty"
    message = error["msg"].removeprefix("Input ").replace("valid dictionary", "mapping")
    message = _CLASS.sub("", message)
    return f"{message[0].lower()}{message[1:]}, not {error['input']!r}"


def unknown_key(name: str, known: Collection[str]) -> str:
    """Return what to say of a key that an entry has not."""
    if name.partition(":")[0] in known:
        return "unknown key; write a blank behind the ':'"
    return f"unknown key; {did_you_mean(name, known)}"
