"""Which keys a mapping has that pydantic validates, and what to say of one that it has not."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel, Tag

from pytest_distill.errors import did_you_mean


def known_keys(kind: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """Return the keys that the entry has in which the last part of `path` stands."""
    tagged: dict[str | int, type[BaseModel]] = {}
    for part in path[:-1]:
        if part in tagged:
            kind = tagged[part]
        elif field := kind.model_fields.get(str(part)):
            tagged = dict(_models_in(field.annotation))
            kind = next(iter(tagged.values()), kind)
    return names_of(kind)


def names_of(kind: type[BaseModel]) -> list[str]:
    """Return what the keys of a mapping are called in a file."""
    return [field.alias or name for name, field in kind.model_fields.items()]


def _models_in(hint: Any, tag: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    """Yield the models that a type allows, and what the path of an error calls each."""
    if isinstance(hint, type) and issubclass(hint, BaseModel):
        yield tag or hint.__name__, hint
    inside = get_args(hint)
    tag = next((each.tag for each in inside if isinstance(each, Tag)), tag)
    for each in inside:
        yield from _models_in(each, tag)


def unknown_key(name: str, known: Collection[str]) -> str:
    """Return what to say of a key that an entry has not."""
    if name.partition(":")[0] in known:
        return "unknown key; write a blank behind the ':'"
    return f"unknown key; {did_you_mean(name, known)}"
