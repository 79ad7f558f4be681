"""The JSON Schema that an answer is to fit: of the eval, or of each example."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_distill.errors import ConfigError
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.json_schemas import UnusableSchemaError, usable
from pytest_distill.evals.tasks import fields

Schema = str | Mapping[str, Any] | None
"""What ``schema`` says: the field that holds them, the one of all examples, or nothing."""


def check_schema(schema: Schema, *, tools: bool) -> None:
    """Raise ConfigError where ``schema`` cannot be what it is."""
    if schema is None:
        return
    if tools:
        raise ConfigError(
            "schema: is for an answer in JSON; with 'tools' the arguments of a call are held "
            "against the tool's own parameters: drop one of them"
        )
    if isinstance(schema, str) and schema:
        return
    if not isinstance(schema, Mapping):
        raise ConfigError(
            f"schema: must be a JSON Schema, or the name of the field that holds each example's, "
            f"not {fields.shown(schema)}"
        )
    try:
        usable(schema)
    except UnusableSchemaError as error:
        raise ConfigError(f"schema: is no JSON Schema to hold answers against: {error}") from None


def schema_of(example: Example, schema: Schema) -> Mapping[str, Any] | None:
    """Return the schema that the answer to an example is to fit; None without one.

    Raises
    ------
    GoldSetError
        Where the example's own is none.
    """
    if not isinstance(schema, str):
        return schema
    value = fields.read(fields.field(example, schema))
    if not isinstance(value, Mapping):
        raise fields.wrong_type(example, schema, "a JSON Schema", value)
    try:
        return usable(value)
    except UnusableSchemaError as error:
        raise example.gold_error(
            f"'{schema}' is no JSON Schema to hold an answer against: {error}"
        ) from None
