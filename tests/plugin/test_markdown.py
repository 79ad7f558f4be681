"""``--distill-markdown PATH``, and the summary of a job of GitHub Actions."""

from __future__ import annotations

import pytest

from .project import FAILS, SHIPS, Project, Run, write_gates

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
    (bad,) = (
        told.partition("### Gates that did not pass")[2].split("<details>")[0].split("<tr>")[2:]
    )
    for part in ("FAILED", "0.9444", "&gt;= 0.95", "quality_retained", "test_ship.py::test_keeps"):
        assert part in bad
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
