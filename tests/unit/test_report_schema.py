"""The schema of the JSON report is made of the records of which the report is made."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema

import pytest_distill
from pytest_distill.report.reading import schema

SCHEMA = Path(pytest_distill.__file__).parent / "report" / "schema.json"


def test_the_schema_is_that_of_the_records() -> None:
    """Who changes a record sees what readers will: ``python -m tests.docs.generated``."""
    assert SCHEMA.read_text(encoding="utf-8") == schema()


def test_the_schema_demands_every_key() -> None:
    """It is a schema itself, and a file that lacks what a reader looks for does not pass."""
    told = json.loads(schema())
    jsonschema.Draft202012Validator.check_schema(told)
    assert {"outcome", "gates", "remarks"} <= set(told["required"])
    assert {"nodeid", "outcome", "details"} <= set(told["$defs"]["GateRow"]["required"])
