"""``python -m pytest_distill report``: every form of a report, drawn from its JSON."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_distill.cli import main
from pytest_distill.gates.verdict import Outcome
from pytest_distill.report.formats import FORMATS, as_text
from pytest_distill.report.records.gates import GateRow
from pytest_distill.report.records.models import EvaluationRow
from pytest_distill.report.records.report import Report

GATE = GateRow(
    nodeid="test_a.py::test_keeps",
    config="distill.yaml",
    gate="quality_retained",
    outcome=Outcome.FAILED,
    eval="reviews",
    metric="accuracy",
    model="student",
    observed=0.9,
    required=0.95,
    relation=">=",
    details={"slices": [{"slice": "lang=数", "n": 3, "retained": None}]},
)
EVALUATION = EvaluationRow("distill.yaml", "student", "reviews", 3, 0, None, None, ())
REPORT = Report(
    outcome="DO NOT SHIP",
    reason="it fell short",
    evaluations=(EVALUATION,),
    gates=(GATE,),
    worth=("<b>|`@x`",),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the file of `REPORT`."""
    path = tmp_path / "report.json"
    path.write_text(as_text("json", REPORT), encoding="utf-8")
    return path


def change(file: Path, *key: str | int, to: Any) -> None:
    """Let something else stand under a key of the file."""
    found = json.loads(file.read_text(encoding="utf-8"))
    inner = found
    for part in key[:-1]:
        inner = inner[part]
    if to is None:
        del inner[key[-1]]
    else:
        inner[key[-1]] = to
    file.write_text(json.dumps(found), encoding="utf-8")


def refused(file: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Return why a file is refused, which is one line."""
    assert main(["report", str(file), "--markdown", str(file.with_name("out.md"))]) == 1
    assert not file.with_name("out.md").exists()
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith(f"error: {file}: ")
    return line.removeprefix(f"error: {file}: ")


UNREADABLE = replace(REPORT, gates=(replace(GATE, nodeid="test_\udcff.py::test_\udc80"),))


@pytest.mark.parametrize(
    "report", [REPORT, Report(), UNREADABLE], ids=["whole", "begun", "not utf-8"]
)
def test_every_format_is_that_of_the_run(tmp_path: Path, report: Report) -> None:
    """Also of a run that did not end: all of them at once, byte for byte."""
    (tmp_path / "in.json").write_text(as_text("json", report), encoding="utf-8")
    asked = [word for name in FORMATS for word in (f"--{name}", str(tmp_path / f"out.{name}"))]
    assert main(["report", str(tmp_path / "in.json"), *asked]) == 0
    for name in FORMATS:
        assert (tmp_path / f"out.{name}").read_text(encoding="utf-8") == as_text(name, report)


def test_without_a_format_it_is_printed(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As wide as is asked for."""
    assert main(["report", str(file), "--width", "70"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any("FAILED" in line and "quality_retained" in line for line in lines)
    assert lines[-1].startswith("DO NOT SHIP")
    assert all(len(line) <= 70 for line in lines)


@pytest.mark.parametrize(
    ("key", "to", "problem"),
    [
        (("outcome",), "MAYBE", "outcome: Input should be 'SHIP', 'DO NOT SHIP' or 'INCOMPLETE'"),
        (("gates", 0, "outcome"), "passed", "gates[0].outcome: Input should be"),
        (("gates", 0, "observed"), "0.99", "gates[0].observed: Input should be a valid number"),
        (("gates", 0, "observed"), float("nan"), "a number in it is not finite"),
        (("gates", 0, "line"), 1.5, "gates[0].line: Input should be a valid integer"),
        (("gates",), {}, "gates: Input should be a valid array"),
        (("gates",), None, "gates: is missing"),
        (("gates", 0, "nodeid"), None, "gates[0].nodeid: "),
        (("gates", 0, "waived"), None, "gates[0].waived: is missing"),
    ],
)
def test_what_is_wrong_is_said_with_its_key(
    file: Path,
    capsys: pytest.CaptureFixture[str],
    key: tuple[str | int, ...],
    to: Any,
    problem: str,
) -> None:
    """A report that is not whole is not drawn: what is missing might be what failed."""
    change(file, *key, to=to)
    told = refused(file, capsys)
    assert told.startswith(f"is no whole report: {problem}")
    assert told.endswith(": run the gates again")


def test_a_file_that_lacks_what_later_versions_tell_is_read(file: Path) -> None:
    """As if it said nothing of lengths and endings; what every version writes must be there."""
    content = json.loads(file.read_text(encoding="utf-8"))
    assert content["evaluations"]
    for row in content["evaluations"]:
        for key in ("tokens", "thinking_tokens", "finished"):
            del row[key]
    file.write_text(json.dumps(content), encoding="utf-8")
    assert main(["report", str(file)]) == 0


@pytest.mark.parametrize("schema", [1, 3, True, "2", 2.5])
def test_another_version_is_refused(
    file: Path, capsys: pytest.CaptureFixture[str], schema: object
) -> None:
    """It says which one, and what to do."""
    change(file, "schema", to=schema)
    assert refused(file, capsys) == (
        f"was written by another version (schema {schema!r}, and this one reads 2): "
        "run the gates again"
    )


@pytest.mark.parametrize(
    ("written", "problem"),
    [
        (b"", "no report can be read: "),
        (b"{", "no report can be read: "),
        (b"\xff\xfe", "no report can be read: "),
        (b"[" * 100_000, "no report can be read: "),
        (b"[]", "is no report: name a file that --distill-json has written"),
        (b"null", "is no report: "),
        (b'{"outcome": "SHIP"}', "is no report: "),
        (b'{"schema": 2}', "is no whole report: outcome: is missing"),
    ],
)
def test_what_is_no_report_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], written: bytes, problem: str
) -> None:
    """Whatever stands in the file, and where there is none."""
    path = tmp_path / "report.json"
    path.write_bytes(written)
    assert refused(path, capsys).startswith(problem)
    path.unlink()
    assert refused(path, capsys).startswith("no report can be read: ")


def test_where_it_cannot_be_written_is_said(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder is no file."""
    assert main(["report", str(file), "--json", str(file.parent)]) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_a_key_of_a_later_version_is_not_in_the_way(file: Path) -> None:
    """New keys may come without another schema."""
    change(file, "later", to=[1])
    change(file, "gates", 0, "later", to={})
    out = file.with_name("out.json")
    assert main(["report", str(file), "--json", str(out)]) == 0
    assert out.read_text(encoding="utf-8") == as_text("json", REPORT)
