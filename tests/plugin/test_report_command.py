"""What ``python -m pytest_distill report`` draws from the JSON of a run is what the run wrote."""

from __future__ import annotations

from datetime import date

import pytest

from pytest_distill.cli import main
from pytest_distill.report.formats import FORMATS

from .project import Project, Run, recorded, report_of, write_gates


def gates(project: Project) -> None:
    """Write gates of every outcome, of two students, with slices, sizes and a waiver."""
    project.models["tiny"] = recorded("sft", role="student", parameters=10)
    project.config["waivers"] = [
        {
            "gate": "flips",
            "floor": 0.5,
            "owner": "ann|@bob",
            "expires": date(2999, 1, 1),
            "reason": "<b>`x`</b>",
        }
    ]
    project.save()
    write_gates(
        project,
        keeps="assert_quality_retained(0.9, student='student')",
        falls="assert_quality_retained(0.99, student='tiny')",
        unsure="assert_quality_retained(0.9, confidence=0.95, student='student')",
        slices="assert_slices_retained(by='lang', min=0.5, student='student')",
        flips="assert_flips(0.0, student='student')",
        skipped='@pytest.mark.skip(reason="no | GPU <here>")\nassert_quality_retained(0.5)',
        wrong="assert_quality_retained(0.9, metric='no such', student='student')",
    )


def test_every_format_is_byte_for_byte_that_of_the_run(project: Project, run_both: Run) -> None:
    """Also with workers: nothing is told that the JSON does not hold, but what models answered."""
    gates(project)
    run_both(*(word for name in FORMATS for word in (f"--distill-{name}", f"run.{name}")))
    drawn = [(f"--{name}", str(project.path / f"new.{name}")) for name in FORMATS]
    assert main(["report", str(project.path / "run.json"), *sum(drawn, ())]) == 0
    rows = project.json("run.json")["gates"]
    outcomes = {"waived" if row["waived"] else row["outcome"] for row in rows}
    assert outcomes == {"PASSED", "FAILED", "INCONCLUSIVE", "NOT RUN", "waived"}
    for name, format in FORMATS.items():
        written = (project.path / f"run.{name}").read_bytes()
        same = (project.path / f"new.{name}").read_bytes() == written
        assert same != format.shows_examples


def test_without_a_format_it_prints_the_report_of_the_run(
    project: Project, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    """As wide as the terminal was."""
    gates(project)
    result = run("--distill-report", "--distill-json", "run.json")
    capsys.readouterr()
    assert main(["report", str(project.path / "run.json"), "--width", "80"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line for line in printed if line] == [line for line in report_of(result) if line]
