"""JSON Schema: whether something is one and what fits it, which the library jsonschema tells.

Nothing is fetched: what a ``$ref`` names must be in the schema, or a metaschema of the standard.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import Any

from pytest_distill._util.apart import Apart, FailedApartError, LimitExceededError
from pytest_distill._util.packages import Package
from pytest_distill.errors import ConfigError
from pytest_distill.evals.normalisation import composed

JSONSCHEMA = Package("jsonschema", "jsonschema", "tools")
LATE: set[tuple[str, str]] = set()
"""Values and schemas, as JSON, of which it took too long in this run to tell whether they fit."""

_APART = Apart(f"{__name__}:is_valid")


class UnusableSchemaError(Exception):
    """What is wrong with a schema that nothing can be held against."""


def schema_problem(schema: Any) -> str | None:
    """Return why something is no JSON Schema; None where it is one.

    It is held against the metaschema that its ``$schema`` names, else against that of draft
    2020-12. What a ``$ref`` names is not looked at.

    Raises
    ------
    ConfigError
        Where jsonschema is not installed.
    """
    if not isinstance(schema, Mapping):
        return "it is no object"
    try:
        return _problem(json.dumps(schema))
    except (TypeError, ValueError, RecursionError) as error:
        return f"it cannot be written as JSON: {error}"


def usable(schema: Any) -> Mapping[str, Any]:
    """Return a schema that values can be held against.

    Raises
    ------
    UnusableSchemaError
        Where it is no JSON Schema, or a ``$ref`` in it leads nowhere or in a circle.
    ConfigError
        Where jsonschema is not installed.
    """
    problem = schema_problem(schema)
    if problem is None:
        problem = _loose_end(json.dumps(schema))
    if problem is not None:
        raise UnusableSchemaError(problem)
    checked: Mapping[str, Any] = schema
    return checked


def fits(value: Any, schema: Mapping[str, Any]) -> bool | None:
    """Return whether a value of JSON fits a schema; text is compared in NFC.

    Not one that nests too deep to be told, or that has numbers beyond a computer's; None where a
    pattern of the schema is looked for too long. That is done in a process of its own (`Apart`): a
    regular expression that goes back and forth can hang, and nothing interrupts it.

    Raises
    ------
    UnusableSchemaError, ConfigError
        As `usable` raises them.
    """
    text = composed(json.dumps(usable(schema), ensure_ascii=False))
    if '"pattern' not in text:  # nor "patternProperties"
        return is_valid(value, text)
    return _looked_for(json.dumps(value), text)


@lru_cache(maxsize=2**16)
def _looked_for(value: str, schema: str) -> bool | None:
    """Return `is_valid`, once for each pair; None where it takes too long."""
    try:
        return bool(_APART(json.loads(value), schema))
    except LimitExceededError:
        LATE.add((value, schema))
        return None
    except FailedApartError as error:
        raise ConfigError(f"a JSON Schema with patterns is read in a process: {error}") from None


def is_valid(value: Any, schema: str) -> bool:
    """Return whether a value fits the schema in a text of JSON."""
    try:
        return bool(_validator(schema).is_valid(value))
    except (RecursionError, OverflowError):
        return False


def _kind(schema: Mapping[str, Any]) -> Any:
    jsonschema = JSONSCHEMA.load("reading a JSON Schema")
    return jsonschema.validators.validator_for(schema, default=jsonschema.Draft202012Validator)


@cache
def _problem(text: str) -> str | None:
    schema = json.loads(text)
    if not isinstance(schema.get("$schema", ""), str):
        return "its '$schema' is no text"
    kind = _kind(schema)
    from jsonschema import SchemaError

    try:
        kind.check_schema(schema)
    except SchemaError as error:
        return f"{error.json_path}: {error.message}"
    return None


@cache
def _loose_end(text: str) -> str | None:
    """Return what is wrong with where a schema's references lead; None where nothing is."""
    from jsonschema_specifications import REGISTRY
    from referencing.exceptions import NoSuchResource, Unresolvable
    from referencing.jsonschema import DRAFT202012, specification_with

    schema = json.loads(text)
    named = _kind(schema).META_SCHEMA.get("$schema", "")
    resource = specification_with(named, default=DRAFT202012).create_resource(schema)
    try:
        for resolver, reference in _references(resource, REGISTRY.resolver_with_root(resource)):
            try:
                resolver.lookup(reference)
            except (Unresolvable, NoSuchResource, ValueError):
                return f"its '$ref' {reference!r:.60} leads nowhere here, and nothing is fetched"
        simplest: list[Any] = [None, 0, "", [], {}]
        for value in simplest:
            _validator(text).is_valid(value)
    except RecursionError:
        return "its '$ref' leads in a circle, or it nests too deep"
    return None


def _references(resource: Any, resolver: Any) -> Iterator[tuple[Any, str]]:
    """Yield each reference of a schema, and what resolves it."""
    if isinstance(resource.contents, Mapping):
        for key in ("$ref", "$dynamicRef", "$recursiveRef"):
            if isinstance(resource.contents.get(key), str):
                yield resolver, resource.contents[key]
    for inside in resource.subresources():
        yield from _references(inside, resolver.in_subresource(inside))


@lru_cache(maxsize=1024)
def _validator(text: str) -> Any:
    from referencing import Registry

    schema = json.loads(text)
    return _kind(schema)(schema, registry=Registry())
