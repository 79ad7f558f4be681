"""Criteria that ``distill.yaml`` names: what they are made of, and who meets them."""

from __future__ import annotations

import dataclasses
import inspect
import json
from typing import Any

import pytest

import pytest_distill
from pytest_distill.gates.all import GATES

from .project import (
    Project,
    Run,
    answers,
    blocks_of,
    decision_of,
    failing_lines,
    outcomes_of,
    recorded,
    refuse_package_frames,
    report_of,
    said,
    write_gates,
)

EDGE: dict[str, Any] = {
    "quality_retained": {"min": 0.9},
    "smaller": {"max_ratio": 0.1},
}
STRICT: dict[str, Any] = {
    "quality_retained": {"min": 0.98},
    "beats_sft": None,
    "smaller": {"max_ratio": 0.01},
    "score": [{"min": 0.5}, {"min": 0.5, "slice": "lang=de"}],
}


@pytest.fixture
def criteria(project: Project) -> Project:
    """Return a project with an easy criterion and a hard one."""
    project.config["criteria"] = {"edge": EDGE, "strict": STRICT}
    project.save()
    return project


@pytest.mark.parametrize("name", GATES)
def test_function_and_criterion_have_one_definition(name: str) -> None:
    """An assertion takes its gate's arguments, by the same names and defaults."""
    function = getattr(pytest_distill, f"assert_{name}")
    arguments = {
        p.name: dataclasses.MISSING if p.default is p.empty else p.default
        for p in inspect.signature(function).parameters.values()
    }
    gate: Any = GATES[name]
    assert arguments == {field.name: field.default for field in dataclasses.fields(gate)}


def test_every_part_is_a_verdict_of_its_own(criteria: Project, run_both: Run) -> None:
    """The report shows the parts that passed and those that did not, and what they belong to."""
    criteria.file(
        "test_ship.py",
        """
        from pytest_distill import assert_meets

        def test_edge(comparison):
            comparison.assert_meets("edge")

        def test_strict(comparison):
            assert_meets("strict")
        """,
    )
    result = run_both("--distill-report", "--distill-json", "out.json")
    rows = criteria.json()["gates"]
    assert [(row["criterion"], row["gate"], row["outcome"]) for row in rows] == [
        ("edge", "quality_retained", "PASSED"),
        ("edge", "smaller", "PASSED"),
        ("strict", "quality_retained", "FAILED"),
        ("strict", "beats_sft", "INCONCLUSIVE"),
        ("strict", "smaller", "FAILED"),
        ("strict", "score", "PASSED"),
        ("strict", "score", "PASSED"),
    ]
    assert rows[-1]["slice"] == "lang=de"
    assert decision_of(result)[0] == "DO NOT SHIP"
    assert " (criterion edge)" in " ".join(report_of(result))


def test_the_failure_names_all_that_fell_short(criteria: Project, run: Run) -> None:
    """Not the first part only: a reader sees at once how far the student is."""
    write_gates(criteria, strict="assert_meets('strict')")
    lines = failing_lines(run())
    assert "assert 2 >= 5 parts of criterion strict met" in lines
    assert "assert 0.9444 >= 0.98 quality retained (accuracy)" in lines
    assert "assert 0.1000 <= 0.01 of the parameters of teacher" in lines
    assert any(line.startswith("assert p ") for line in lines)


def test_a_part_without_a_verdict_is_no_pass(criteria: Project, run: Run) -> None:
    """The other parts are judged all the same, its row names the criterion, nothing is complete."""
    criteria.config["criteria"]["edge"] = {"latency": {"p95": "1 s"}, **EDGE}
    criteria.save()
    write_gates(criteria, edge="assert_meets('edge')")
    result = run("--distill-report", "--distill-json", "out.json")
    assert "criterion 'edge': latency: model 'student' does not run here" in said(result)
    rows = criteria.json()["gates"]
    assert [row["outcome"] for row in rows] == ["PASSED", "PASSED", "NOT RUN"]
    assert (rows[-1]["gate"], rows[-1]["criterion"]) == ("latency", "edge")
    assert blocks_of(result)[-1].startswith("NOT RUN latency model 'student' does not run here")
    assert decision_of(result)[0] == "INCOMPLETE"


def test_a_part_may_name_its_eval(criteria: Project, run: Run) -> None:
    """A criterion can be about several evals."""
    criteria.evals["more"] = criteria.evals["reviews"]
    criteria.config["criteria"]["edge"] = {
        "quality_retained": [{"min": 0.9, "eval": "reviews"}, {"min": 0.9, "eval": "more"}],
        "suite_retained": {"min": 0.9, "evals": ["reviews", "more"]},
    }
    criteria.save()
    criteria.file(
        "test_ship.py",
        "from pytest_distill import *\ndef test_edge(): assert_meets('edge')\n",
    )
    assert run("--distill-report", "--distill-json", "out.json").ret == 0
    assert [row["eval"] for row in criteria.json()["gates"]] == ["reviews", "more", "reviews,more"]


@pytest.mark.parametrize(
    ("criterion", "problem"),
    [
        ({"quality_retaned": {"min": 0.9}}, "criteria.c.quality_retaned: no gate is called"),
        ({"quality_retained": {"mim": 0.9}}, "unknown key; did you mean 'min'?"),
        ({"quality_retained": {}}, "criteria.c.quality_retained.min: is missing"),
        ({"quality_retained": 0.9}, "must be a mapping, not 0.9"),
        ({"quality_retained": {"min": "0.9"}}, "should be a valid number"),
        ({"smaller": {"max_ratio": 0.1, "by": "x"}}, "should be 'parameters' or 'bytes'"),
        ({"score": [{"min": 0.9, "eval": "revews"}]}, "did you mean 'reviews'?"),
        ({}, "criteria.c: names no gate, so that anything would meet it"),
    ],
)
def test_a_wrong_criterion_is_told_with_its_line(
    project: Project, run: Run, criterion: dict[str, Any], problem: str
) -> None:
    """File, line, key and a suggestion, at collection."""
    project.config["criteria"] = {"c": criterion}
    project.save()
    write_gates(project, any="assert_quality_retained(0.5)")
    result = run()
    assert problem in said(result)
    assert "distill.yaml:" in said(result)


def test_an_unknown_criterion_gets_a_suggestion(criteria: Project, run: Run) -> None:
    """A typing error in a test is told as one."""
    write_gates(criteria, edge="assert_meets('egde')")
    assert "distill.yaml has no criterion 'egde'; did you mean 'edge'?" in said(run())


@pytest.fixture
def several(criteria: Project) -> Project:
    """Return a project with three students: the middle one is as good as the biggest."""
    for name, size, right in (("big", 500, range(18)), ("tiny", 10, range(9))):
        criteria.models[name] = recorded(name, role="student", parameters=size)
        criteria.rows(f"{name}.jsonl", answers(right))
    criteria.config["criteria"]["half"] = {"quality_retained": {"min": 0.5}}
    criteria.config["criteria"]["edge"]["smaller"] = {"max_ratio": 0.5}
    criteria.save()
    return criteria


def test_the_smallest_student_that_meets_a_criterion_is_recommended(
    several: Project, run_both: Run
) -> None:
    """Tiny keeps half, the student nine tenths; the report tells what was recommended."""
    several.file(
        "test_ship.py",
        """
        from pytest_distill import recommend

        def test_which(comparison):
            assert recommend("half") == "tiny"
            assert recommend("edge") == "student"
        """,
    )
    result = run_both("--distill-report", "--distill-json", "out.json")
    assert result.ret == 1  # recommending is no gate: nothing was asserted of a student
    assert "no gate gave a verdict" in decision_of(result)[1]
    assert "recommended for half: tiny" in report_of(result)
    rows = several.json()["recommendations"]
    assert [(r["criterion"], r["model"]) for r in rows] == [("half", "tiny"), ("edge", "student")]
    assert [(r["ended_by"], r["not_tried"]) for r in rows] == [(None, []), ("tiny", [])]
    assert "edge: tiny is not shown to keep the quality" in report_of(result)


def test_no_student_to_recommend(several: Project, run: Run) -> None:
    """The failure says what each fell short of that was tried, and who was not, and why."""
    several.config["criteria"]["strict"].pop("beats_sft")
    several.config["criteria"]["strict"]["smaller"] = {"max_ratio": 0.1}
    several.save()
    write_gates(several, which="recommend('strict')")
    lines = failing_lines(run())
    assert lines[0] == "assert 0 >= 1 students that meet criterion strict"
    assert "big: assert 0.5000 <= 0.1 of the parameters of teacher" in lines
    named = [line.partition(":")[0] for line in lines if " >= 0.98 " in line]
    assert named == ["student"]
    assert any(
        line.startswith("not tried: tiny; student, no smaller than these,") for line in lines
    )


def test_the_first_student_that_falls_short_in_quality_ends_the_sequence(
    several: Project, run_both: Run
) -> None:
    """Tiny is better than the one before it, but to find that out is to try until one passes."""
    several.rows("tiny.jsonl", answers(range(20)))
    several.config["criteria"]["edge"] = {"quality_retained": {"min": 0.98}}
    several.rows("big.jsonl", answers(range(20)))
    several.save()
    write_gates(several, which="assert recommend('edge') == 'big'")
    result = run_both("--distill-report", "--distill-json", "out.json")
    assert outcomes_of(several)["which"] == "PASSED"
    assert "recommended for edge: big" in report_of(result)
    told = "edge: student is not shown to keep the quality; not tried after it: tiny"
    assert told in report_of(result)
    (row,) = several.json()["recommendations"]
    assert (row["ended_by"], row["not_tried"]) == ("student", ["tiny"])
    assert "tiny" not in {e["model"] for e in several.json()["evaluations"]}


def test_a_student_that_is_too_big_or_slow_is_passed_over(several: Project, run: Run) -> None:
    """Neither ends the sequence, and nobody looks at the answers of one that does not fit."""
    several.config["criteria"]["edge"] = {
        "quality_retained": {"min": 0.5},
        "latency": {"p50": "10 ms"},
        "smaller": {"max_ratio": 0.3},
    }
    several.models["student"]["latency_ms"] = 50
    several.models["tiny"]["latency_ms"] = 5
    several.save()
    write_gates(several, which="assert recommend('edge') == 'tiny'")
    run("--distill-report", "--distill-json", "out.json")
    assert outcomes_of(several)["which"] == "PASSED"  # that big declares no latency is not asked
    (row,) = several.json()["recommendations"]
    assert row["passed_over"] == ["big", "student"]
    evaluated = {e["model"] for e in several.json()["evaluations"]}
    assert evaluated == {"teacher", "tiny"}


def test_students_of_one_size_are_tried_in_the_order_of_the_file(
    several: Project, run: Run
) -> None:
    """Which of them comes first hangs on no score."""
    for name in ("tiny", "big"):
        several.models[name]["parameters"] = 100
    several.save()
    write_gates(several, which="recommend('strict')")
    several.config["criteria"]["strict"] = {"quality_retained": {"min": 0.98}}
    several.save()
    lines = failing_lines(run())
    assert any(line.startswith("not tried: big, tiny; student,") for line in lines)


def test_a_student_without_a_verdict_or_a_size_ends_in_an_error(several: Project, run: Run) -> None:
    """What is not known of one student recommends no other; the error names the student."""
    several.config["criteria"]["edge"]["latency"] = {"p50": "10 ms"}
    several.models["big"]["latency_ms"] = 5
    several.save()
    write_gates(several, which="recommend('edge')")
    result = run("--distill-report")
    error = "criterion 'edge', student 'student': latency: model 'student' does not run here"
    assert error in said(result)
    assert decision_of(result)[0] == "INCOMPLETE"
    refuse_package_frames(result)
    del several.models["tiny"]["parameters"]
    several.save()
    assert "the parameters of model 'tiny' are not known" in said(run())


def test_the_threshold_file_is_the_recommended_students(several: Project, run: Run) -> None:
    """The student that ended the sequence was asked last, and leaves no file behind."""
    several.config["criteria"]["edge"] = {
        "routable": {
            "min_handled": 0.5,
            "retained": 0.5,
            "by": "sure",
            "save": "threshold.json",
        },
        "score": {"min": 0.6},
    }
    for name, right in (("big", range(18)), ("student", range(17)), ("tiny", range(9))):
        several.rows(f"{name}.jsonl", [{**row, "sure": 1.0} for row in answers(right)])
    several.save()
    write_gates(several, which="assert recommend('edge') == 'student'")
    result = run("--distill-report", "--distill-json", "out.json")
    assert outcomes_of(several)["which"] == "PASSED", said(result)
    kept = json.loads((several.path / "threshold.json").read_text())
    assert kept["student"]["name"] == "student"


def test_a_test_runs_once_for_every_student(several: Project, run_both: Run) -> None:
    """Fixture, functions and methods all mean the student whose turn it is."""
    several.file(
        "test_ship.py",
        """
        from pytest_distill import assert_meets, assert_quality_retained

        def test_each(students, comparison):
            assert students.info.name == comparison.student.name
            assert_quality_retained(min=0.4)
            comparison.assert_meets("half")
        """,
    )
    result = run_both("--distill-report", "--distill-json", "out.json")
    assert decision_of(result) == ("SHIP", "students big, student, tiny")
    rows = several.json()["gates"]
    assert [(row["nodeid"].partition("::")[2], row["model"]) for row in rows] == [
        (f"test_each[{name}]", name) for name in ("student", "big", "tiny") for _ in range(2)
    ]


def test_the_frontier_names_the_dominated(several: Project, run: Run) -> None:
    """SFT is worse and as small as the student; the drawing has a letter for each model."""
    for name, milliseconds in (("student", 5), ("sft", 5), ("big", 9), ("teacher", 9)):
        several.models[name]["latency_ms"] = milliseconds
    several.save()
    several.file(
        "test_ship.py",
        """
        from pytest_distill import assert_beats_sft, assert_quality_retained

        def test_each(students):
            assert_quality_retained(min=0.4)

        def test_pays():
            assert_beats_sft(student="student", confidence=None)
        """,
    )
    result = run("--distill-report", "--distill-json", "out.json", "-v")
    told = report_of(result)
    assert "size and quality on reviews (accuracy)" in told
    assert "c, sft, is dominated: student is better and as small" in told
    (frontier,) = several.json()["frontiers"]
    assert [(p["model"], p["dominated"]) for p in frontier["points"]] == [
        ("tiny", ""),
        ("student", ""),
        ("sft", "student is better and as small"),
        ("big", ""),
        ("teacher", "big is as good and smaller"),
    ]
    assert [(p["model"], p["outpaced"]) for p in frontier["points"]] == [
        ("tiny", ""),
        ("student", ""),
        ("sft", "student is better and as fast"),
        ("big", ""),
        ("teacher", ""),  # just as good and as fast as the big one
    ]
    words = "reviews: this student is not shown to beat this SFT student: +10.0 points"
    assert any(line.startswith(words) for line in told)


def test_students_without_a_project(project: Project, run: Run) -> None:
    """Where no distill.yaml holds, the fixture says so, unless it is somebody else's."""
    (project.path / "distill.yaml").unlink()
    project.file("test_ship.py", "def test_each(students): pass\n")
    assert "there is no distill.yaml with students" in said(run())
    project.file("conftest.py", "import pytest\n@pytest.fixture\ndef students(): return ['Ada']\n")
    project.file("test_ship.py", "def test_each(students): assert students == ['Ada']\n")
    assert run().ret == 0
