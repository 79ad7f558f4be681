"""The schema of the JSON report is made of the records of which the report is made."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema

import pytest_distill
from pytest_distill.report.reading import schema

SCHEMA = Path(pytest_distill.__file__).parent / "report" / "schema.json"
WRITE = "from pytest_distill.report.reading import schema; print(schema(), end='')"


def test_the_schema_is_that_of_the_records() -> None:
    """Who changes a record writes the schema anew, and sees what readers of the file will see."""
    message = f'python -c "{WRITE}" > pytest_distill/report/schema.json'
    assert SCHEMA.read_text(encoding="utf-8") == schema(), message


def test_the_schema_demands_every_key() -> None:
    """It is a schema itself, and a file that lacks what a reader looks for does not pass."""
    told = json.loads(schema())
    jsonschema.Draft202012Validator.check_schema(told)
    assert {"outcome", "gates", "remarks"} <= set(told["required"])
    assert {"nodeid", "outcome", "details"} <= set(told["$defs"]["GateRow"]["required"])
