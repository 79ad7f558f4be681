from __future__ import annotations

import pytest

from .project import FAILS, SHIPS, Project, Run, decision_of, report_of, said, write_gates

INI = "[pytest]\npythonpath = .\ndistill_strict = true\n"


def test_the_exit_status_agrees_without_the_option(project: Project, run_both: Run) -> None:
    """With ini `distill_strict` a deselected gate keeps a plain run from status 0."""
    project.file("pytest.ini", INI)
    project.file("test_ship.py", SHIPS)
    assert run_both().ret == pytest.ExitCode.OK
    result = run_both("-k", "keeps")
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert decision_of(result) == ("INCOMPLETE", "1 gate did not run: test_pays")


def test_it_prints_the_last_line_alone(project: Project, run: Run) -> None:
    """The tables are for `--distill-report`."""
    project.file("pytest.ini", INI)
    project.file("test_ship.py", SHIPS)
    assert [line.split(" (more")[0].strip() for line in report_of(run())] == [
        "SHIP: 2 of 2 gates passed"
    ]
    assert len(report_of(run("--distill-report"))) > 5


def test_a_failed_gate_keeps_pytest_s_own_status(project: Project, run: Run) -> None:
    """The status was 1 before, and is."""
    project.file("pytest.ini", INI)
    project.file("test_ship.py", FAILS)
    result = run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert decision_of(result)[0] == "DO NOT SHIP"


def test_no_gate_at_all_is_incomplete(project: Project, run: Run) -> None:
    """A strict project whose tests ask no gate does not pass."""
    project.file("pytest.ini", INI)
    project.file("test_other.py", "def test_other():\n    pass\n")
    result = run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert decision_of(result) == ("INCOMPLETE", "no gate gave a verdict")


def test_required_gates_are_asked_for(project: Project, run: Run) -> None:
    """As under `--distill-report`."""
    project.file("pytest.ini", INI)
    project.config["required_gates"] = ["flips"]
    project.save()
    write_gates(project, it="assert_quality_retained(0.9)")
    result = run()
    assert decision_of(result) == ("INCOMPLETE", "1 required gate did not pass: flips")
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_false_is_a_plain_run(project: Project, run: Run) -> None:
    """`distill_strict = false` says nothing and changes nothing."""
    project.file("pytest.ini", INI.replace("true", "false"))
    project.file("test_ship.py", SHIPS)
    result = run("-k", "keeps")
    assert result.ret == pytest.ExitCode.OK
    assert "distill report" not in said(result)


def test_may_be_given_on_the_command_line(project: Project, run: Run) -> None:
    """By pytest's own `-o`."""
    project.file("test_ship.py", SHIPS)
    assert run("-o", "distill_strict=true", "-k", "keeps").ret == pytest.ExitCode.TESTS_FAILED


def test_collecting_alone_is_no_gate_run(project: Project, run: Run) -> None:
    """`--co` stays what it is."""
    project.file("pytest.ini", INI)
    project.file("test_ship.py", SHIPS)
    result = run("--co")
    assert result.ret == pytest.ExitCode.OK
    assert "SHIP" not in said(result).replace("test_ship", "")


def test_quietly_too(project: Project, run: Run) -> None:
    """`-q` and `-p no:terminal` take no word of the exit status."""
    project.file("pytest.ini", INI)
    project.file("test_ship.py", SHIPS)
    assert run("-q", "-k", "keeps").ret == pytest.ExitCode.TESTS_FAILED
    assert run("-p", "no:terminal", "-k", "keeps").ret == pytest.ExitCode.TESTS_FAILED
    assert run("-p", "no:terminal").ret == pytest.ExitCode.OK
