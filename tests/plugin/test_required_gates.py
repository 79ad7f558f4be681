from __future__ import annotations

import pytest

from .project import Project, Run, decision_of, said, write_gates

REPORTS = ("--distill-report", "--distill-json", "out.json")


def require(project: Project, *gates: str, where: str = "distill.yaml") -> None:
    """Write which gates must have passed."""
    project.config["required_gates"] = list(gates)
    project.save(where)


def test_a_required_gate_that_passed_ships(project: Project, run: Run) -> None:
    """By the gate's name and by a node id."""
    require(project, "quality_retained", "test_ship.py::test_lost")
    write_gates(project, kept="assert_quality_retained(0.9)", lost="assert_flips(0.2)")
    result = run(*REPORTS)
    assert decision_of(result) == ("SHIP", "")
    assert result.ret == pytest.ExitCode.OK


@pytest.mark.parametrize("name", ["beats_sft", "test_ship.py::test_pays", "test_gone.py::test_it"])
def test_one_that_nobody_asked_is_incomplete(project: Project, run: Run, name: str) -> None:
    """All tests pass, and the run does not ship, naming what is missing."""
    require(project, "quality_retained", name)
    write_gates(project, kept="assert_quality_retained(0.9)")
    result = run(*REPORTS)
    result.assert_outcomes(passed=1)
    outcome, reason = decision_of(result)
    assert outcome == "INCOMPLETE"
    assert reason == f"1 required gate did not pass: {name.rpartition('::')[2]}"
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert project.json()["culprits"] == [name]


def test_a_deleted_test_file_ships_nothing(project: Project, run_both: Run) -> None:
    """The run that shipped does not ship once a file of gates is gone."""
    require(project, "quality_retained", "flips")
    write_gates(project, kept="assert_quality_retained(0.9)")
    write_gates(project, file="test_flips.py", lost="assert_flips(0.2)")
    assert decision_of(run_both(*REPORTS)) == ("SHIP", "")
    (project.path / "test_flips.py").unlink()
    result = run_both(*REPORTS)
    assert decision_of(result) == ("INCOMPLETE", "1 required gate did not pass: flips")
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_nothing_ships_when_all_gates_are_deleted(project: Project, run: Run) -> None:
    """A folder whose distill.yaml requires gates and whose tests have none is no pass."""
    require(project, "quality_retained")
    project.file("test_other.py", "def test_other():\n    pass\n")
    result = run(*REPORTS)
    assert decision_of(result)[0] == "INCOMPLETE"
    assert result.ret == pytest.ExitCode.TESTS_FAILED


@pytest.mark.parametrize("body", ["pytest.skip('later')", "1 / 0"])
def test_one_that_did_not_run_did_not_pass(project: Project, run: Run, body: str) -> None:
    """A node id that was skipped or broke is missing like one that is not there."""
    require(project, "test_ship.py::test_lost")
    write_gates(project, kept="assert_quality_retained(0.9)", lost=f"{body}\nassert_flips(0.2)")
    result = run(*REPORTS)
    assert decision_of(result)[0] == "INCOMPLETE"
    assert "test_lost" in decision_of(result)[1]


def test_one_that_failed_does_not_ship(project: Project, run: Run) -> None:
    """A verdict that failed goes before everything else."""
    require(project, "flips")
    write_gates(project, lost="assert_flips(0.1)")
    assert decision_of(run(*REPORTS))[0] == "DO NOT SHIP"


def test_an_own_assertion_counts_by_its_node_id(project: Project, run: Run) -> None:
    """A gate test with an assertion of its own can be required."""
    require(project, "test_ship.py::test_small")
    write_gates(project, kept="assert_quality_retained(0.9)")
    with (project.path / "test_ship.py").open("a") as file:
        file.write("\ndef test_small(student):\n    assert student.info.parameters == 100\n")
    assert decision_of(run(*REPORTS)) == ("SHIP", "")


def test_a_parametrised_test_is_named_with_its_parameter(project: Project, run: Run) -> None:
    """Each parameter is a node id of its own."""
    require(project, "test_ship.py::test_kept[0.9]", "test_ship.py::test_kept[0.8]")
    least = "@pytest.mark.parametrize('least', [0.9, 0.8])"
    write_gates(project)
    with (project.path / "test_ship.py").open("a") as file:
        file.write(f"\n{least}\ndef test_kept(least):\n    assert_quality_retained(least)\n")
    assert decision_of(run(*REPORTS)) == ("SHIP", "")
    result = run(*REPORTS, "-k", "0.9")
    assert decision_of(result)[0] == "INCOMPLETE"


def test_another_project_s_gate_does_not_count(project: Project, run_both: Run) -> None:
    """A required name is the gate of that distill.yaml, not of its neighbour's."""
    for folder in ("a", "b"):
        for name in ("gold", "teacher", "student", "sft"):
            text = (project.path / f"{name}.jsonl").read_text()
            project.file(f"{folder}/{name}.jsonl", text)
    project.save("a/distill.yaml")
    require(project, "flips", where="b/distill.yaml")
    (project.path / "distill.yaml").unlink()
    write_gates(project, file="a/test_a.py", lost="assert_flips(0.2)")
    write_gates(project, file="b/test_b.py", kept="assert_quality_retained(0.9)")
    result = run_both(*REPORTS)
    result.assert_outcomes(passed=2)
    assert decision_of(result) == ("INCOMPLETE", "1 required gate did not pass: flips")
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_neighbour_whose_tests_are_gone_still_asks(project: Project, run_both: Run) -> None:
    """A folder with a distill.yaml and no test is looked at when pytest walks through it."""
    project.save("a/distill.yaml")
    for name in ("gold", "teacher", "student", "sft"):
        project.file(f"a/{name}.jsonl", (project.path / f"{name}.jsonl").read_text())
    require(project, "flips", where="b/distill.yaml")
    (project.path / "distill.yaml").unlink()
    write_gates(project, file="a/test_a.py", lost="assert_flips(0.2)")
    result = run_both(*REPORTS)
    assert decision_of(result)[0] == "INCOMPLETE"


def test_a_list_that_cannot_be_read_requires_nobody_knows_what(project: Project, run: Run) -> None:
    """A broken distill.yaml that no test used is named, and nothing ships."""
    project.file("b/distill.yaml", "models: [\n")
    write_gates(project, kept="assert_quality_retained(0.9)")
    result = run(*REPORTS)
    assert decision_of(result) == ("INCOMPLETE", "1 distill.yaml not readable: b/distill.yaml")
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_without_the_report_they_are_not_asked_for(project: Project, run: Run) -> None:
    """A plain run is a plain test run."""
    require(project, "beats_sft")
    write_gates(project, kept="assert_quality_retained(0.9)")
    assert run().ret == pytest.ExitCode.OK


def test_one_file_alone_may_miss_some(project: Project, run: Run) -> None:
    """Naming a file on the command line does not do away with the list."""
    require(project, "quality_retained", "flips")
    write_gates(project, kept="assert_quality_retained(0.9)")
    write_gates(project, file="test_flips.py", lost="assert_flips(0.2)")
    result = run("test_ship.py", *REPORTS)
    assert decision_of(result) == ("INCOMPLETE", "1 required gate did not pass: flips")


@pytest.mark.parametrize("value", [[3], {"a": 1}, 3])
def test_a_list_of_something_else_is_an_error(project: Project, run: Run, value: object) -> None:
    """Names are texts."""
    project.config["required_gates"] = value
    project.save()
    write_gates(project, kept="assert_quality_retained(0.9)")
    result = run("--distill-report")
    result.assert_outcomes(errors=1)
    assert "required_gates" in said(result)
