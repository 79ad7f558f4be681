from __future__ import annotations

import pytest

from .project import SHIPS, Project, Run, decision_of, gates_of, outcomes_of, said, write_gates

REPORTS = ("--distill-report", "--distill-json", "out.json")

SHOWS = """
def test_ids(gold):
    with open("ids.txt", "a") as file:
        file.write(" ".join(example.id for example in gold) + "\\n")
"""


def test_a_sample_never_ships(project: Project, run_both: Run) -> None:
    """Five of twenty examples: every gate may pass, and the run is PARTIAL and not 0."""
    write_gates(project, it="assert_quality_retained(0.1)", low="assert_score(0.1)")
    result = run_both("--distill-limit", "5", *REPORTS)
    result.assert_outcomes(passed=2)
    assert decision_of(result) == ("INCOMPLETE", "PARTIAL: 5 of 20")
    assert decision_of(result) == ("INCOMPLETE", "PARTIAL: 5 of 20")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert project.json()["outcome"] == "INCOMPLETE"
    assert gates_of(project)["it"]["n"] == 5
    assert {(e["n"], e["left_out"]) for e in project.json()["evaluations"]} == {(5, 15)}


def test_recorded_ids_outside_of_the_sample_are_no_error(project: Project, run: Run) -> None:
    """The files have all twenty; an id that the whole gold set lacks is still refused."""
    write_gates(project, it="assert_quality_retained(0.1)")
    run("--distill-limit", "5").assert_outcomes(passed=1)
    with (project.path / "student.jsonl").open("a") as file:
        file.write('{"id": "e99", "prediction": "pos"}\n')
    result = run("--distill-limit", "5")
    result.assert_outcomes(failed=1)
    assert "not in the gold set: 'e99'" in said(result)


def test_it_is_the_same_sample_each_time(project: Project, run: Run) -> None:
    """Twice, with workers, and with the gold set in another order: the same ids."""
    project.file("test_ids.py", SHOWS)
    run("--distill-limit", "5")
    run("--distill-limit", "5")
    run("--distill-limit", "5", "-n", "2")
    lines = (project.path / "gold.jsonl").read_text().splitlines()
    project.file("gold.jsonl", "\n".join(reversed(lines)) + "\n")
    run("--distill-limit", "5")
    samples = [set(line.split()) for line in (project.path / "ids.txt").read_text().splitlines()]
    assert len(samples) == 4
    assert all(sample == samples[0] for sample in samples)
    assert len(samples[0]) == 5


def test_a_bigger_sample_holds_the_smaller_one(project: Project, run: Run) -> None:
    """So that what a first try evaluated serves the next one."""
    project.file("test_ids.py", SHOWS)
    run("--distill-limit", "5")
    run("--distill-limit", "10")
    small, big = (set(line.split()) for line in (project.path / "ids.txt").read_text().splitlines())
    assert small < big


@pytest.mark.parametrize("limit", ["20", "1000"])
def test_a_limit_that_takes_all_does_not_ship(project: Project, run: Run, limit: str) -> None:
    """Whoever asks for a sample gets a PARTIAL run, even where it happens to hold everything."""
    project.file("test_ship.py", SHIPS)
    result = run("--distill-limit", limit, *REPORTS)
    told = f"PARTIAL: at most {limit} examples a gold set"
    assert decision_of(result) == ("INCOMPLETE", told)
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_a_failure_on_a_sample_is_a_failure(project: Project, run: Run) -> None:
    """DO NOT SHIP goes before PARTIAL."""
    write_gates(project, it="assert_quality_retained(2)")
    assert decision_of(run("--distill-limit", "5", *REPORTS))[0] == "DO NOT SHIP"
    assert outcomes_of(project) == {"it": "FAILED"}


def test_own_engines_are_asked_for_the_sample_alone(project: Project, run: Run) -> None:
    """That is what it is for: a quick first run."""
    project.use_own_engine()
    write_gates(project, it="assert_score(0.01)")
    run("--distill-limit", "3").assert_outcomes(passed=1)
    assert [call["n"] for call in project.calls("predict")] == [3]


def test_must_keep_outside_of_the_sample_is_no_error(project: Project, run: Run) -> None:
    """The ids are there, only not in this sample; a slip in the list stays an error."""
    project.evals["reviews"]["must_keep"] = [f"e{i}" for i in range(3, 20)]
    project.save()
    write_gates(project, it="assert_flips()")
    run("--distill-limit", "5").assert_outcomes(passed=1)
    project.evals["reviews"]["must_keep"] = ["e99"]
    project.save()
    result = run("--distill-limit", "5")
    result.assert_outcomes(failed=1)
    assert "e99" in said(result)


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1.5"])
def test_a_wrong_number_is_a_usage_error(project: Project, run: Run, limit: str) -> None:
    """No gate runs on it."""
    project.file("test_ship.py", SHIPS)
    result = run(f"--distill-limit={limit}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--distill-limit" in said(result)
    assert "Traceback" not in said(result)
