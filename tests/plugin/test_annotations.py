"""Annotations of GitHub Actions: at most ten, the worst first, and none that a name smuggles in."""

from __future__ import annotations

import json
import re
from typing import NamedTuple

import pytest

from .project import FAILS, SHIPS, Project, Run, decision_of, recorded, report_of, said, write_gates

REPORT = "--distill-report"
NO_OTHER = ("-p", "no:pytest_github_actions_annotate_failures")


class Command(NamedTuple):
    """A workflow command, as the runner reads it."""

    name: str
    properties: dict[str, str]
    message: str


def commands_of(result: pytest.RunResult) -> list[Command]:
    """Return what the runner of GitHub Actions takes from a log as commands."""
    found = []
    for line in (*result.outlines, *result.errlines):
        assert "##[" not in line  # the older form, which may stand anywhere in a line
        read = re.match(r"\s*::([\w-]+)(?: (.*?))?::(.*)", line)
        if read:
            given = (pair.partition("=") for pair in (read[2] or "").split(",") if pair)
            properties = {name: _unescaped(value) for name, _, value in given}
            found.append(Command(read[1], properties, _unescaped(read[3])))
    return found


def _unescaped(text: str) -> str:
    for code, meant in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
        text = text.replace(code, meant)
    return text


@pytest.fixture(autouse=True)
def _in_actions(monkeypatch: pytest.MonkeyPatch, project: Project) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(project.path))


def test_a_gate_that_failed_is_told_at_its_line(project: Project, run_both: Run) -> None:
    """The file is relative to the workspace; the last line of the report stays the last."""
    project.file("gates/test_ship.py", FAILS)
    result = run_both(REPORT, *NO_OTHER)
    (command,) = commands_of(result)
    assert command.name == "error"
    assert command.properties == {
        "file": "gates/test_ship.py",
        "line": "8",
        "title": "FAILED: quality_retained",
    }
    assert command.message.startswith(
        "0.9444 >= 0.95, quality_retained, reviews, accuracy, student, "
        "gates/test_ship.py::test_keeps: "
    )
    assert report_of(result)[-1].startswith("DO NOT SHIP")


def test_a_ship_is_not_annotated(project: Project, run: Run) -> None:
    """Nor is a failure that somebody answers for, nor a run without the report."""
    project.file("test_ship.py", SHIPS)
    assert commands_of(run(REPORT)) == []
    project.file("test_ship.py", FAILS)
    assert commands_of(run("--distill-json", "out.json", *NO_OTHER)) == []


def test_a_gate_that_is_excused_is_not_annotated(project: Project, run: Run) -> None:
    """It waits for the first baseline and keeps nothing from shipping; for GitLab it is `info`."""
    project.config["baseline"] = {"path": "baseline.json", "required": False}
    project.save()
    write_gates(project, kept="assert_quality_retained(0.5)", waits="assert_not_worse()")
    result = run(REPORT, "--distill-codequality", "quality.json")
    assert decision_of(result)[0] == "SHIP"
    assert commands_of(result) == []
    (entry,) = json.loads((project.path / "quality.json").read_text(encoding="utf-8"))
    assert (entry["check_name"], entry["severity"]) == ("not_worse", "info")
    assert entry["description"].startswith("NOT RUN: not_worse, ")


def test_nothing_is_annotated_elsewhere(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other services have other forms."""
    monkeypatch.setenv("GITHUB_ACTIONS", "false")
    project.file("test_ship.py", FAILS)
    assert commands_of(run(REPORT)) == []


def test_the_worst_come_first_and_ten_at_most(project: Project, run: Run) -> None:
    """FAILED before INCONCLUSIVE before NOT RUN."""
    gates = {f"a{i}_skipped": "@pytest.mark.skip\nassert_quality_retained(0.5)" for i in range(6)}
    gates["b_unsure"] = "assert_quality_retained(0.9, confidence=0.95)"
    gates |= {f"c{i}_failed": "assert_quality_retained(0.99)" for i in range(6)}
    write_gates(project, **gates)
    told = [c.properties["title"].partition(":")[0] for c in commands_of(run(REPORT, *NO_OTHER))]
    assert told == ["FAILED"] * 6 + ["INCONCLUSIVE"] + ["NOT RUN"] * 3


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["plainly", "n2"])
def test_nothing_is_doubled(project: Project, run: Run, workers: tuple[str, ...]) -> None:
    """What another plugin annotates is left to it; a gate that did not run is not."""
    write_gates(
        project,
        keeps="assert_quality_retained(0.99)",
        skipped='@pytest.mark.skip(reason="no GPU")\nassert_quality_retained(0.5)',
    )
    result = run(REPORT, *workers)
    keeps, skipped = sorted(commands_of(result), key=lambda command: "no GPU" in command.message)
    assert "title" not in keeps.properties  # the other plugin's
    assert skipped.properties["title"] == "NOT RUN: test_ship.py::test_skipped"


HOSTILE = (
    "::error file=x::y",
    "x\n::error::y\n",
    "\r\n::add-mask::e",
    "##[error]x",
    "a ##[add-mask]e",
    "100% %0A::error::z, a:b,c=d",
    "<b>|`@x`",
    "x" * 3000,
    "\x1b[31m\u202e",
)


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_no_text_of_a_gate_is_a_command(project: Project, run: Run, name: str) -> None:
    """A reason, a slice or a message that holds one is shown, in our own command and in the log."""
    rows = [{"id": f"e{i}", "text": "t", "label": "pos", "lang": name} for i in range(4)]
    project.rows("gold.jsonl", rows)
    for model in ("teacher", "student", "sft"):
        right = "neg" if model == "student" else "pos"
        project.rows(f"{model}.jsonl", [{"id": f"e{i}", "prediction": right} for i in range(4)])
    write_gates(
        project,
        slice=f"assert_quality_retained(0.9, slice={{'lang': {name!r}}})",
        reason=f"@pytest.mark.skip(reason={name!r})\nassert_quality_retained(0.5)",
        own=f"assert_quality_retained(0.9, slice={{'lang': 'no such' + {name!r}}})",
    )
    result = run(REPORT, *NO_OTHER, "--tb=line", "-rN")  # else pytest shows the test's own source
    found = commands_of(result)
    assert [command.name for command in found] == ["error"] * 3
    assert {command.properties["file"] for command in found} == {"test_ship.py"}
    assert all(set(command.properties) == {"file", "line", "title"} for command in found)
    assert "Traceback" not in said(result)


def test_a_gate_that_was_deselected_is_told_at_its_line(
    project: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where pytest's rootdir is a folder of the repository."""
    monkeypatch.setenv("GITHUB_WORKSPACE", str(project.path.parent))
    project.file("gates/test_ship.py", SHIPS)
    (command,) = commands_of(run(REPORT, "-k", "keeps"))
    assert command.properties == {
        "file": f"{project.path.name}/gates/test_ship.py",
        "line": "10",
        "title": "NOT RUN: gates/test_ship.py::test_pays",
    }


def test_no_line_that_is_wrapped_begins_with_a_command(project: Project, run: Run) -> None:
    """Names of students are as long as they are, and lines are not."""
    for n in range(2):
        name = f"{'x' * (74 + n)} ::error::{n}"
        project.models[name] = recorded("student", role="student")
    project.save()
    write_gates(
        project,
        **{
            f"a{n}": f"assert_quality_retained(0.99, student={name!r})"
            for n, name in enumerate(project.models)
            if "::" in name
        },
    )
    result = run(REPORT, *NO_OTHER, "--tb=line", "-rN")
    assert [command.properties["title"] for command in commands_of(result)] == [
        "FAILED: quality_retained"
    ] * 2
    assert "\\x3a:error::" in "\n".join(report_of(result))
