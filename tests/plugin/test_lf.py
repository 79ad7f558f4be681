from __future__ import annotations

import pytest

from .project import Project, Run, decision_of, report_of, write_gates

SUITE = """
    import contextlib
    import pytest
    from pytest_distill import assert_beats_sft, assert_quality_retained

    pytestmark = pytest.mark.distill(eval="reviews")

    def test_a():
        assert_beats_sft(confidence=None)

    def test_b():
        with contextlib.suppress(AssertionError):
            assert_quality_retained(min=0.95)

    def test_c():
        assert_quality_retained(min=0.96)

    def test_d():
        assert_quality_retained(min=0.94)
"""


def test_last_failed_runs_the_failed_gates(project: Project, run_both: Run) -> None:
    """`--lf` repeats the gates that did not pass, one whose failure was swallowed too."""
    project.file("test_ship.py", SUITE)
    run_both().assert_outcomes(passed=2, failed=2)
    result = run_both("--lf", "--distill-report")
    result.assert_outcomes(failed=2)
    outcome, reason = decision_of(result)
    assert outcome == "DO NOT SHIP"
    assert "did not pass: test_b, test_c" in reason


def test_last_failed_that_pass_do_not_ship_alone(project: Project, run: Run) -> None:
    """When the failed gates pass at last, the others were still not asked in this run."""
    project.file("test_ship.py", SUITE)
    run()
    project.file("test_ship.py", SUITE.replace("0.95", "0.9").replace("0.96", "0.9"))
    result = run("--lf", "--distill-report")
    result.assert_outcomes(passed=2)
    assert decision_of(result)[0] == "INCOMPLETE"
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_last_failed_in_one_file_does_not_ship_the_others(project: Project, run: Run) -> None:
    """`--lf` skips whole files that had no failure: their gates were not asked either."""
    project.file("test_ship.py", SUITE)
    project.file("test_other.py", SUITE.replace("0.95", "0.9").replace("0.96", "0.9"))
    run()
    project.file("test_ship.py", SUITE.replace("0.95", "0.9").replace("0.96", "0.9"))
    result = run("--lf", "--distill-report")
    result.assert_outcomes(passed=2)
    assert decision_of(result)[0] == "INCOMPLETE"
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_what_may_skip_itself_may_not_be_skipped_by_last_failed(project: Project, run: Run) -> None:
    """`allow_skipped` is about files that skip themselves, not about what `--lf` leaves out."""
    project.config["allow_skipped"] = "**"
    project.save()
    write_gates(project, file="test_other.py", kept="assert_quality_retained(0.9)")
    write_gates(project, odd="assert_flips(0.1)")
    run()
    write_gates(project, odd="assert_flips(0.2)")
    result = run("--lf", "--distill-report")
    assert decision_of(result) == ("INCOMPLETE", "1 file skipped unread: test_other.py")


def test_failed_first_changes_the_order_alone(project: Project, run: Run) -> None:
    """`--ff` reorders the run, not the report, and every gate counts."""
    project.file("test_ship.py", SUITE)
    run()
    result = run("--ff", "--distill-report")
    assert decision_of(result)[0] == "DO NOT SHIP"
    tests = [line for line in report_of(result) if line.startswith("test_")]
    assert tests == ["test_a", "test_b", "test_c", "test_d"]


def test_exit_first_leaves_the_rest_not_run(project: Project, run: Run) -> None:
    """`-x` stops at the first gate that does not pass; what came after it is NOT RUN."""
    project.file("test_ship.py", SUITE)
    result = run("-x", "--distill-report", "--distill-json", "out.json")
    result.assert_outcomes(passed=1, failed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert [gate["outcome"] for gate in project.json()["gates"]] == [
        "PASSED",
        "FAILED",
        "NOT RUN",
        "NOT RUN",
    ]


def test_stepwise_goes_on_where_it_stopped(project: Project, run: Run) -> None:
    """`--sw` continues at the gate that failed; those before it did not run this time."""
    project.file("test_ship.py", SUITE)
    run("--sw").assert_outcomes(passed=1, failed=1)
    project.file("test_ship.py", SUITE.replace("0.95", "0.9").replace("0.96", "0.9"))
    result = run("--sw", "--distill-report")
    result.assert_outcomes(passed=3, deselected=1)
    assert decision_of(result) == ("INCOMPLETE", "1 gate did not run: test_a")


def test_a_rerun_of_one_file_misses_no_other(project: Project, run: Run) -> None:
    """Naming a file on the command line asks for its gates and no others."""
    project.file("test_ship.py", SUITE.replace("0.95", "0.9").replace("0.96", "0.9"))
    project.file("test_strict.py", SUITE)
    result = run("test_ship.py", "--distill-report")
    assert decision_of(result) == ("SHIP", "test_ship.py")
