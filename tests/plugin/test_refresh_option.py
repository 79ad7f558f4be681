from __future__ import annotations

from .project import Project, Run, decision_of, failing_lines, report_of, write_gates
from .test_cache_option import ALL_NEW, ALL_STORED, REPORTS, counts, use_stored_engine


def test_everything_is_evaluated_anew(project: Project, run_both: Run) -> None:
    """`--distill-refresh` takes nothing from the store."""
    use_stored_engine(project)
    run_both(*REPORTS)
    asked = len(project.calls("predict"))
    result = run_both("--distill-refresh", *REPORTS)
    assert counts(project) == ALL_NEW
    assert len(project.calls("predict")) > asked
    assert decision_of(result) == ("SHIP", "")


def test_what_was_made_anew_is_stored(project: Project, run: Run) -> None:
    """The next run without the option has the new answers, not the old ones.

    The engine changed without a word: its student is right on nothing now.
    """
    use_stored_engine(project)
    run(*REPORTS)
    own = project.path / "own.py"
    own.write_text(own.read_text().replace("position not in right", "True"))
    run(*REPORTS)
    assert project.json()["outcome"] == "SHIP"
    run("--distill-refresh", *REPORTS)
    assert project.json()["outcome"] != "SHIP"
    run(*REPORTS)
    assert project.json()["outcome"] != "SHIP"
    assert counts(project) == ALL_STORED


def test_it_goes_with_a_folder(project: Project, run: Run) -> None:
    """`--distill-cache` names the store that is refreshed."""
    use_stored_engine(project)
    run("--distill-cache", "kept", *REPORTS)
    run("--distill-cache", "kept", "--distill-refresh", *REPORTS)
    assert counts(project) == ALL_NEW
    run("--distill-cache", "kept", *REPORTS)
    assert counts(project) == ALL_STORED


def test_the_title_agrees(project: Project, run: Run) -> None:
    """It says that all were made in this run."""
    use_stored_engine(project)
    run("--distill-report")
    lines = report_of(run("--distill-report", "--distill-refresh"))
    assert "reviews, 20 examples (predictions: 60 made in this run)" in lines


def test_an_older_figure_says_so(project: Project, run: Run) -> None:
    """A verdict on what an earlier run measured tells how to measure anew."""
    use_stored_engine(project)
    write_gates(project, slow="assert_latency(p50='0.0001 ms', examples=5)")
    hint = "(stored; --distill-refresh measures anew)"
    told = [
        hint in " ".join(failing_lines(run(*options)))
        for options in (REPORTS, REPORTS, (*REPORTS, "--distill-refresh"))
    ]
    assert told == [False, True, False]
    assert [row["taken"]["latency"]["earlier"] for row in project.json()["figures"]] == [False]
