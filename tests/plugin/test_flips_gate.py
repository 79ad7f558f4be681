from __future__ import annotations

import json
from typing import Any

import pytest

from .project import (
    Project,
    Run,
    answers,
    blocks_of,
    decision_of,
    failing_lines,
    gates_of,
    outcomes_of,
    refuse_package_frames,
    review_eval,
    said,
    write_gates,
)

REPORTS = ("--distill-report", "--distill-json", "out.json")


def must_keep(project: Project, *ids: Any, eval: str = "reviews") -> None:
    """Let an eval name examples that the student may not get wrong."""
    project.evals[eval]["must_keep"] = list(ids)
    project.save()


def test_the_share_of_lost_examples_is_bounded(project: Project, run: Run) -> None:
    """3 of 20 were lost: 0.15 is within 0.15 and not within 0.149; the 2 won make up for none."""
    write_gates(project, at="assert_flips(max_lost=0.15)", beyond="assert_flips(0.149)")
    result = run(*REPORTS)
    assert outcomes_of(project) == {"at": "PASSED", "beyond": "FAILED"}
    row = gates_of(project)["beyond"]
    assert (row["observed"], row["required"], row["relation"]) == (0.15, 0.149, "<=")
    assert (row["lost"], row["won"], row["n"]) == (3, 2, 20)
    assert decision_of(result)[0] == "DO NOT SHIP"


def test_the_message_names_the_examples(project: Project, run: Run) -> None:
    """The ids that were lost stand there, and the file has their fields."""
    write_gates(project, it="assert_flips(0.1)")
    message = failing_lines(run())
    assert message[0] == "assert 0.1500 <= 0.1 of the examples lost (accuracy)"
    assert "3 lost: e0, e1, e2" in message
    assert "2 won" in message
    (line,) = [line for line in message if line.startswith("lost examples: ")]
    rows = (project.path / line.removeprefix("lost examples: ")).read_text().splitlines()
    assert [json.loads(row)["id"] for row in rows] == ["e0", "e1", "e2"]


def test_the_report_says_what_it_rests_on(project: Project, run: Run) -> None:
    """As every verdict's, its line has the flips."""
    write_gates(project, it="assert_flips(0.2)")
    result = run(*REPORTS)
    assert any("3 lost" in line for line in blocks_of(result))


def test_a_must_keep_example_may_not_be_wrong(project: Project, run: Run) -> None:
    """However few were lost, one of the list fails the gate and is named."""
    must_keep(project, "e0", "e7")
    write_gates(project, it="assert_flips(0.5)")
    result = run(*REPORTS)
    assert outcomes_of(project) == {"it": "FAILED"}
    assert gates_of(project)["it"]["details"]["must_keep_broken"] == ["e0"]
    message = failing_lines(result)
    assert message[0] == "assert 1 <= 0 must_keep examples wrong (accuracy)"
    assert "note: must_keep: 1 of 2 broken: e0" in message


def test_must_keep_that_is_kept_passes(project: Project, run: Run) -> None:
    """`assert_flips()` alone looks at the list and at nothing else."""
    must_keep(project, "e7", "e19")
    write_gates(project, it="assert_flips()")
    result = run(*REPORTS)
    assert outcomes_of(project) == {"it": "PASSED"}
    assert decision_of(result) == ("SHIP", "")


def test_must_keep_counts_where_the_teacher_is_wrong_too(project: Project, run: Run) -> None:
    """The list is about the student: e18 is wrong with the teacher, and may not be here."""
    must_keep(project, "e18")
    project.rows("student.jsonl", answers(range(18)))
    write_gates(project, it="assert_flips()")
    run(*REPORTS)
    assert gates_of(project)["it"]["details"]["must_keep_broken"] == ["e18"]


def test_must_keep_counts_outside_of_the_slice(project: Project, run: Run) -> None:
    """A gate on the English half still looks at the whole list."""
    must_keep(project, "e0")
    write_gates(project, it="assert_flips(0.5, slice='lang=en')")
    run(*REPORTS)
    assert outcomes_of(project) == {"it": "FAILED"}


def test_must_keep_that_no_gate_looks_at_is_incomplete(project: Project, run_both: Run) -> None:
    """A list that nobody checks would keep nothing."""
    must_keep(project, "e7")
    write_gates(project, it="assert_quality_retained(0.9)")
    result = run_both(*REPORTS)
    result.assert_outcomes(passed=1)
    assert decision_of(result)[0] == "INCOMPLETE"
    assert result.ret == pytest.ExitCode.TESTS_FAILED


def test_must_keep_of_another_eval_is_not_looked_at(project: Project, run: Run) -> None:
    """A flips gate on one eval says nothing of the list of another one."""
    project.evals["second"] = review_eval()
    must_keep(project, "e0", eval="second")
    write_gates(project, it="assert_flips(0.5)")
    result = run(*REPORTS)
    result.assert_outcomes(passed=1)
    assert decision_of(result)[0] == "INCOMPLETE"
    assert "second" in decision_of(result)[1] or "flips" in decision_of(result)[1]


def test_an_unknown_must_keep_id_is_an_error(project: Project, run: Run) -> None:
    """It is named with its eval, since a list with a slip in it keeps less than it seems."""
    must_keep(project, "e7", "e99")
    write_gates(project, it="assert_flips()")
    result = run("--distill-report")
    assert result.ret not in (pytest.ExitCode.OK, pytest.ExitCode.INTERNAL_ERROR)
    assert "e99" in said(result)
    assert "must_keep" in said(result)
    assert decision_of(result)[0] == "INCOMPLETE"
    refuse_package_frames(result)


def test_ids_may_be_whole_numbers(project: Project, run: Run) -> None:
    """An id that the gold set has as a number is found by the number in the list."""
    for name in ("gold", "teacher", "student", "sft"):
        path = project.path / f"{name}.jsonl"
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        project.rows(path.name, [{**row, "id": int(row["id"][1:])} for row in rows])
    must_keep(project, 7, 0)
    write_gates(project, it="assert_flips()")
    run(*REPORTS)
    assert gates_of(project)["it"]["details"]["must_keep_broken"] == ["0"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "give max_lost=, or must_keep: in eval 'reviews'"),
        ("'x'", "max_lost='x'"),
        ("float('nan')", "max_lost=nan"),
        ("-0.1", "max_lost=-0.1"),
        ("1.5", "max_lost=1.5"),
        ("True", "max_lost=True"),
    ],
)
def test_a_wrong_argument_is_an_error(
    project: Project, run: Run, arguments: str, message: str
) -> None:
    """A share is a number in [0, 1], or there is a list."""
    write_gates(project, it=f"assert_flips({arguments})")
    result = run("--distill-report")
    result.assert_outcomes(failed=1)
    assert message in failing_lines(result)[-1]
    assert failing_lines(result)[-1].startswith("pytest_distill.ConfigError: ")
    assert decision_of(result)[0] == "INCOMPLETE"
    refuse_package_frames(result)


def test_graded_scores_are_lost_where_they_are_worse(project: Project, run: Run) -> None:
    """With scores between 0 and 1 an example is lost when the student's is below the teacher's."""
    project.evals["reviews"]["metrics"] = [{"name": "judge", "range": [0.0, 1.0]}]
    for name, score in (("teacher", 0.5), ("student", 0.6), ("sft", 0.1)):
        scores = [0.4 if name == "student" and i < 4 else score for i in range(20)]
        project.rows(
            f"{name}.jsonl", ({"id": f"e{i}", "scores": {"judge": s}} for i, s in enumerate(scores))
        )
    must_keep(project, "e3", "e4")
    write_gates(project, it="assert_flips(0.2)")
    run(*REPORTS)
    row = gates_of(project)["it"]
    assert (row["lost"], row["won"], row["observed"]) == (4, 16, 1.0)  # one of must_keep
    assert row["details"]["must_keep_broken"] == ["e3"]
