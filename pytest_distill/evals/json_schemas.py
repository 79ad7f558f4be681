"""JSON Schema: whether something is one, which the library jsonschema tells."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from pytest_distill.errors import ConfigError

LACKING = (
    "JSON Schemas are read by the package jsonschema, which is not installed: "
    "pip install 'pytest-distill[tools]'"
)


def schema_problem(schema: Any) -> str | None:
    """Return why something is no JSON Schema; None where it is one.

    It is held against the metaschema that its ``$schema`` names, else against that of draft
    2020-12. Nothing is fetched: what a ``$ref`` names is not looked at.

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


@cache
def _problem(text: str) -> str | None:
    try:
        from jsonschema import SchemaError
        from jsonschema.validators import Draft202012Validator, validator_for
    except ImportError:
        raise ConfigError(LACKING) from None
    schema = json.loads(text)
    named = schema.get("$schema", "")
    if not isinstance(named, str):
        return "its '$schema' is no text"
    try:
        validator_for(schema, default=Draft202012Validator).check_schema(schema)
    except SchemaError as error:
        return f"{error.json_path}: {error.message}"
    return None
