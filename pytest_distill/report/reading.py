"""Reads back what crossed processes as JSON, and describes the report for others that read it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema

from pytest_distill.errors import ConfigError, one_line, some_of
from pytest_distill.report.attempt import TestRun
from pytest_distill.report.json_file import text as as_json
from pytest_distill.report.records.report import SCHEMA, Report
from pytest_distill.report.share import Share


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    """Return what reads JSON into records of a kind; made where it is needed, a third of a second.

    pydantic looks the types of their fields up here too: the modules of the records import some
    for type checkers alone.
    """
    from pytest_distill._util.units import Unit  # noqa: F401
    from pytest_distill.gates.verdict import Outcome, Relation  # noqa: F401
    from pytest_distill.report.records.gates import GateRow  # noqa: F401

    return TypeAdapter(kind)


def read_run(text: str) -> TestRun:
    """Return what a test's user property holds; ValueError or KeyError where it is another's."""
    run: TestRun = _adapter(dict[str, TestRun]).validate_json(text)["run"]
    return run


def read_share(text: str) -> Share:
    """Return what a worker told; ValueError where that is no share."""
    share: Share = _adapter(Share).validate_json(text)
    return share


def read_report(path: Path) -> Report:
    """Return the report in a file of ``--distill-json``.

    Raises
    ------
    ConfigError
        Where it is none, was written by another version of this package, or is not whole: in one
        line, with the key.
    """
    shown = one_line(str(path))
    try:
        written = path.read_text(encoding="utf-8")
        content = json.loads(written)
    except (OSError, ValueError, RecursionError) as error:
        why = one_line(str(getattr(error, "strerror", None) or error))[:300]
        raise ConfigError(f"{shown}: no report can be read: {why}") from None
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema is None:
        raise ConfigError(f"{shown}: is no report: name a file that --distill-json has written")
    if schema != SCHEMA or isinstance(schema, bool):
        raise ConfigError(
            f"{shown}: was written by another version (schema {schema!r:.20}, and this one reads "
            f"{SCHEMA}): run the gates again"
        )
    try:
        report: Report = _adapter(Report).validate_json(written, strict=True)
        as_json(report)
        problems = [*_lacking(content, report)]
    except ValidationError as error:
        problems = [f"{_key(e['loc'])}: {e['msg']}" for e in error.errors()]
    except ValueError:
        problems = ["a number in it is not finite"]
    if problems:
        told = one_line(some_of(problems, most=1))[:500]
        raise ConfigError(f"{shown}: is no whole report: {told}: run the gates again")
    return report


def _key(parts: Iterable[str | int]) -> str:
    shown = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return "".join(shown).removeprefix(".")


def _lacking(content: object, report: object, *key: str | int) -> Iterator[str]:
    """Yield the keys that a file lacks, though every version writes them."""
    if isinstance(content, dict) and is_dataclass(report):
        for name, later in ((f.name, f.metadata.get("later")) for f in fields(report)):
            if name in content:
                yield from _lacking(content[name], getattr(report, name), *key, name)
            elif not later:
                yield f"{_key((*key, name))}: is missing"
    elif isinstance(content, dict) and isinstance(report, Mapping):
        for name, value in report.items():
            yield from _lacking(content[name], value, *key, name)
    elif isinstance(content, list) and isinstance(report, tuple):
        for number, (one, other) in enumerate(zip(content, report, strict=True)):
            yield from _lacking(one, other, *key, number)


class _AsWritten(GenerateJsonSchema):
    """A record is written with all its fields, also those that have a default."""

    def field_is_required(self, *_: Any, **__: Any) -> bool:
        return True

    def field_title_should_be_set(self, *_: Any, **__: Any) -> bool:
        return False


def schema() -> str:
    """Return the JSON Schema (draft 2020-12) of the report, as ``schema.json`` holds it."""
    generated = _adapter(Report).json_schema(mode="serialization", schema_generator=_AsWritten)
    return json.dumps({"$schema": _AsWritten.schema_dialect, **generated}, indent=2) + "\n"
