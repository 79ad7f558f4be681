"""``--distill-markdown PATH``, and the summary of a job of GitHub Actions."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .project import FAILS, SHIPS, Project, Run, decision_of, write_gates

OPTION = ("--distill-markdown", "out.md")


def markdown(project: Project) -> str:
    """Return the file."""
    return (project.path / "out.md").read_text(encoding="utf-8")


def test_it_says_what_the_run_comes_to(project: Project, run_both: Run) -> None:
    """Outcome, numbers and test of what did not pass; the rest is folded."""
    project.file("test_ship.py", FAILS)
    run_both(*OPTION)
    told = markdown(project)
    assert told.startswith("## ✗ DO NOT SHIP\n")
    part = told.partition("### Gates that did not pass")[2].partition("</table>")[0]
    (bad,) = part.split("<tr>")[2:]
    for part in ("FAILED", "0.9444", "&gt;= 0.95", "quality_retained", "test_ship.py::test_keeps"):
        assert part in bad
    assert "<p><code>reviews, 20 examples</code></p>" in told
    assert "<summary>All gates: 1</summary>" in told


def test_a_ship_shows_no_gate_that_did_not_pass(project: Project, run: Run) -> None:
    """All its gates are folded."""
    project.file("test_ship.py", SHIPS)
    run(*OPTION)
    assert markdown(project).startswith("## ✓ SHIP\n")
    assert "did not pass" not in markdown(project)


def test_a_gate_that_did_not_run_says_why(project: Project, run: Run) -> None:
    """The reason stands in its row."""
    write_gates(project, keeps='@pytest.mark.skip(reason="no GPU")\nassert_quality_retained(0.1)')
    run(*OPTION)
    assert "<td>NOT RUN</td>" in markdown(project)
    assert "no GPU" in markdown(project)


@pytest.mark.parametrize("args", [["--no-such-option"], ["--distill-limit", "x"], ["-n", "x"]])
def test_a_run_that_did_not_begin_leaves_no_older_verdict(
    project: Project, run: Run, args: list[str]
) -> None:
    """It is replaced before the options are checked."""
    project.file("out.md", "## SHIP\n")
    run(*OPTION, *args)
    assert (
        markdown(project)
        == "## ✗ INCOMPLETE\n\n<ul>\n<li><code>the run did not end</code></li>\n</ul>\n"
    )


def test_a_parameter_of_a_test_is_no_markup(project: Project, run: Run) -> None:
    """The name of a test is anybody's text."""
    name = "'<script>|`x`|@octocat'"
    project.file(
        "test_ship.py",
        FAILS.replace(
            "    def test_keeps():",
            f"""
    @pytest.mark.parametrize("name", [{name}])
    def test_keeps(name):""",
        ),
    )
    run(*OPTION)
    assert "<code>test_ship.py::test_keeps[&lt;script&gt;|`x`|@octocat]</code>" in markdown(project)


@pytest.fixture
def summary(project: Project, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file of a job's summary, which is not there yet."""
    path = project.path / "summary" / "step.md"
    path.parent.mkdir()
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(path))
    return path


def test_the_summary_of_a_job_has_it_once(project: Project, run_both: Run, summary: Path) -> None:
    """Whatever stood there stays, and workers write none of their own."""
    summary.write_text("<details>before")
    project.file("test_ship.py", SHIPS)
    assert run_both("--distill-report", *OPTION).ret == pytest.ExitCode.OK
    assert summary.read_text(encoding="utf-8") == f"<details>before\n\n{markdown(project)}"


def test_without_a_report_the_summary_is_not_touched(
    project: Project, run: Run, summary: Path
) -> None:
    """A file that is asked for is not the job's."""
    project.file("test_ship.py", SHIPS)
    run(*OPTION)
    assert not summary.exists()


@pytest.mark.parametrize("kind", ["folder", "no folder", "fifo", "full", "loop"])
def test_a_summary_that_cannot_be_written_is_a_warning(
    project: Project, run: Run, summary: Path, kind: str
) -> None:
    """The run ends as it would have, and says so in a line."""
    if kind == "folder":
        summary.mkdir()
    elif kind == "no folder":
        summary.parent.rmdir()
    elif kind == "fifo":
        os.mkfifo(summary)
    elif kind == "full":
        summary.write_text("x" * (1024 * 1024 - 10))
    else:
        summary.symlink_to(summary)
    project.file("test_ship.py", SHIPS)
    result = run("--distill-report", "--distill-json", "out.json")
    assert result.ret == pytest.ExitCode.OK
    (line,) = [line for line in result.outlines if line.startswith("warning: ")]
    assert line.startswith(f"warning: GITHUB_STEP_SUMMARY {summary}: cannot be written: ")
    assert decision_of(result)[0] == project.json()["outcome"] == "SHIP"
    if kind == "full":
        assert summary.stat().st_size == 1024 * 1024 - 10


def test_nothing_says_ship_where_a_file_cannot_be_written(
    project: Project, run: Run, summary: Path
) -> None:
    """Neither a file that was written before, nor the summary."""
    project.file("test_ship.py", SHIPS)
    os.mkfifo(project.path / "fifo")
    result = run("--distill-report", *OPTION, "--distill-codequality", "fifo")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert markdown(project).startswith("## ✗ INCOMPLETE\n")
    assert "fifo: cannot be written: nobody reads it" in markdown(project)
    assert summary.read_text(encoding="utf-8") == markdown(project)
