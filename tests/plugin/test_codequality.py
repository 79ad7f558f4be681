"""``--distill-codequality PATH``: GitLab's code quality report of the gates that did not pass."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from .project import FAILS, SHIPS, Project, Run, write_gates

OPTION = ("--distill-codequality", "out.json")

GITLAB = jsonschema.Draft202012Validator(
    {
        "type": "array",
        "items": {
            "type": "object",
            "required": ["description", "check_name", "fingerprint", "severity", "location"],
            "properties": {
                "description": {"type": "string", "minLength": 1},
                "check_name": {"type": "string", "minLength": 1},
                "fingerprint": {"type": "string", "minLength": 1},
                "severity": {"enum": ["info", "minor", "major", "critical", "blocker"]},
                "location": {
                    "type": "object",
                    "required": ["path", "lines"],
                    "properties": {
                        "path": {"type": "string", "pattern": "^(?!/|\\./)."},
                        "lines": {
                            "type": "object",
                            "required": ["begin"],
                            "properties": {"begin": {"type": "integer", "minimum": 1}},
                        },
                    },
                },
            },
        },
    }
)
"""What GitLab's documentation says of the file."""


def entries(project: Project) -> list[dict[str, Any]]:
    """Return the entries of the file, which GitLab can read and tells apart."""
    raw = (project.path / "out.json").read_bytes()
    assert not raw.startswith(b"\xef\xbb\xbf")
    found: list[dict[str, Any]] = json.loads(raw)
    GITLAB.validate(found)
    assert len({entry["fingerprint"] for entry in found}) == len(found)
    return found


def test_a_gate_that_failed_is_an_entry(project: Project, run_both: Run) -> None:
    """At the line that asked it, with its numbers."""
    project.file("gates/test_ship.py", FAILS)
    run_both(*OPTION)
    (entry,) = entries(project)
    assert entry["check_name"] == "quality_retained"
    assert entry["severity"] == "blocker"
    assert entry["location"] == {"path": "gates/test_ship.py", "lines": {"begin": 8}}
    assert entry["description"].startswith("FAILED: 0.9444 >= 0.95, quality_retained, reviews, ")


def test_a_ship_has_no_entries(project: Project, run: Run) -> None:
    """Only then is the list empty."""
    project.file("test_ship.py", SHIPS)
    run(*OPTION)
    assert entries(project) == []


def test_every_kind_of_failure_has_its_severity(project: Project, run: Run) -> None:
    """The same gate asked twice is two entries."""
    write_gates(
        project,
        a="@pytest.mark.skip\nassert_quality_retained(0.5)",
        b="assert_quality_retained(0.9, confidence=0.95)",
        c="""with contextlib.suppress(AssertionError): assert_quality_retained(0.99)
assert_quality_retained(0.99)""",
    )
    run(*OPTION)
    severities = [entry["severity"] for entry in entries(project)]
    assert severities == ["blocker", "blocker", "critical", "major"]


def test_a_fingerprint_is_the_same_in_the_next_run(project: Project, run: Run) -> None:
    """Whatever else changed, its numbers and its line too."""
    project.file("test_ship.py", FAILS)
    run(*OPTION)
    (before,) = entries(project)
    project.file("test_ship.py", "\n\n" + FAILS.replace("0.95", "0.99"))
    run(*OPTION)
    (now,) = entries(project)
    assert before["location"] != now["location"]
    assert before["fingerprint"] == now["fingerprint"]


def test_what_else_is_missing_is_an_entry(project: Project, run: Run) -> None:
    """All gates passed, and another file could not be read."""
    project.file("test_ship.py", SHIPS)
    project.file("test_other.py", "1 / 0")
    run(*OPTION, "--continue-on-collection-errors")
    (entry,) = entries(project)
    assert entry["description"] == "INCOMPLETE: 1 file not collected: test_other.py"
    assert entry["location"]["path"] == "distill.yaml"


@pytest.mark.parametrize("args", [["--no-such-option"], ["--distill-limit", "x"]])
def test_a_run_that_did_not_begin_is_not_well(project: Project, run: Run, args: list[str]) -> None:
    """An empty list of an older run would say so."""
    project.file("out.json", "[]")
    run(*OPTION, *args)
    (entry,) = entries(project)
    assert entry["description"] == "INCOMPLETE: the run did not end"
