"""Parts of the JSON Schema: what models may say, by their engine, and what tasks refuse."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from pytest_distill.config.models import kind_of
from pytest_distill.config.schema import DeclaredSize, ModelConfig, OuterModel, PlacedModel
from pytest_distill.engines.inner import BESIDE, Inner, key_of_inner
from pytest_distill.engines.lookup import DEFAULT as DEFAULT_ENGINE
from pytest_distill.engines.lookup import ENGINES, known_class

Json = dict[str, Any]

TEXT: Json = {"type": "string"}

OPTIONS: Mapping[str, tuple[type[ModelConfig], type[BaseModel]]] = {
    name: (kind_of(engine), engine.Options)
    for name, engine in ((name, known_class(name, {})) for name in ENGINES)
}
"""Engine -> what its models share with those of others, and the keys of its own."""


def add_options(part: Json, options: Json) -> None:
    """Put an engine's own keys beside those that its models share with others."""
    del part["properties"]["options"]
    part["properties"] |= options["properties"]
    # A name of a role says it too, and an entry without an engine has the default one.
    required = [*part.get("required", ()), *options.get("required", ())]
    part["required"] = [key for key in required if key not in ("role", "engine")]


def of_other_engine(part: Json, own: Json) -> None:
    """Allow what keys there may be; of those that only some engines share the type is theirs."""
    del part["properties"]["options"]
    for name, key in own["properties"].items():
        if name != "options" and name not in part["properties"]:
            part["properties"][name] = {"description": key["description"]}
    part |= {"required": ["engine"], "additionalProperties": True}


def model_part(other: Json) -> Json:
    """Return what an entry under ``models:`` is: its engine says which keys it has."""
    engine = {**TEXT, "minLength": 1, "description": other["properties"]["engine"]["description"]}
    engine |= {"default": DEFAULT_ENGINE, "examples": [*OPTIONS]}
    # Without a key its condition holds, so that an entry that names no engine has the default one.
    cases = [
        ({"properties": {"engine": {"const": name}}, **_if_named(name)}, ref(f"engine.{name}"))
        for name in OPTIONS
    ]
    whole = {"type": "object", "properties": {"engine": engine}}
    return {**whole, **cases_of(cases, ref("engine.other"))}


def _if_named(engine: str) -> Json:
    return {} if engine == DEFAULT_ENGINE else {"required": ["engine"]}


def inner_parts(parts: Json) -> Json:
    """Return what an entry under ``of:`` is: as one under ``models:``, of an engine that may be.

    Parameters
    ----------
    parts : mapping
        The other parts, of which those that hold such an entry are changed.
    """
    able = [name for name, (kind, _) in OPTIONS.items() if issubclass(kind, PlacedModel)]
    sized = {"properties": {"engine": {"enum": able}}}
    own = DeclaredSize.model_fields.keys() - ModelConfig.model_fields.keys()
    declared = [{"required": [key]} for key in sorted(own)]
    for name, (kind, options) in OPTIONS.items():
        if kind is OuterModel:
            of_checkpoint = {"properties": {key_of_inner(options): sized}}
            parts[f"engine.{name}"] |= {"if": of_checkpoint, "then": {"not": {"anyOf": declared}}}
    other = parts[Inner.__name__]
    del other["properties"]["options"]
    engine = {**TEXT, "minLength": 1, "not": {"enum": [n for n in OPTIONS if n not in able]}}
    said = {**other["properties"]["engine"], **engine, "examples": able}
    other["properties"]["engine"] = said
    other |= {"required": ["engine"], "additionalProperties": True}
    other["propertyNames"] = {"not": {"enum": [*BESIDE]}}
    cases = [
        ({"properties": {"engine": {"const": name}}, **_if_named(name)}, ref(f"inner.{name}"))
        for name in able
    ]
    whole = {"type": "object", "properties": {"engine": said}}
    return {
        **{f"inner.{name}": _without_beside(parts[f"engine.{name}"]) for name in able},
        "inner.other": other,
        Inner.__name__: {**whole, **cases_of(cases, ref("inner.other"))},
    }


def _without_beside(part: Json) -> Json:
    """Return what an engine's entry is without what is said of a model whatever runs it."""
    keys = part["properties"].items()
    return {**part, "properties": {key: said for key, said in keys if key not in BESIDE}}


_LABEL: Json = {"type": ["string", "integer", "boolean"]}
_MARKER: Json = {"type": "string", "minLength": 1}

_OF_KEYS: Mapping[str, Json] = {
    "labels": {
        "items": _LABEL,
        "minItems": 2,
        "uniqueItems": True,
        "additionalProperties": {**_LABEL, "minimum": 0},
        "minProperties": 1,
    },
    "thinking": {
        "properties": {
            "start": {**_MARKER, "description": "What the thinking begins with."},
            "end": {**_MARKER, "description": "What it ends with."},
        },
        "required": ["start", "end"],
        "additionalProperties": False,
    },
    "tools": {"items": {"type": "object"}, "minItems": 1},
}
"""Key of an eval -> what holds of it whatever form it has: each word is of one form only."""

_OF_ENTRIES: Mapping[str, tuple[str, Json]] = {
    "metrics": ("array", {"uniqueItems": True}),
    "at_tokens": ("array", {"uniqueItems": True}),
}
"""Key of several forms -> what holds of the one with this type."""


def add_checks(part: Json) -> None:
    """Add what can be said of the keys of an eval of one task, and of how they go together."""
    keys = part["properties"]
    for name, check in _OF_KEYS.items():
        if name in keys:
            keys[name] |= check
    for name, (kind, check) in _OF_ENTRIES.items():
        for form in keys.get(name, {}).get("anyOf", ()):
            if form.get("type") == kind:
                form |= check
    if "stop" in keys:
        one, several = keys["stop"]["anyOf"]
        one["minLength"] = several["items"]["minLength"] = 1
    if {"do_sample", "repeats"} <= keys.keys():
        part["allOf"] = [*_sampling()]


def _sampling() -> Iterator[Json]:
    """Yield that sampling needs a seed, and several answers sampling."""
    sampled: Json = {"properties": {"do_sample": {"const": True}}, "required": ["do_sample"]}
    several = {"properties": {"repeats": {"type": "integer", "minimum": 2}}}
    yield {
        "if": sampled,
        "then": {"properties": {"seed": {"type": "integer"}}, "required": ["seed"]},
    }
    yield {"if": {**several, "required": ["repeats"]}, "then": sampled}


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
