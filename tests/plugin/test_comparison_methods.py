"""The assertions as methods of the fixture `comparison`."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import pytest_distill
from pytest_distill.gates.all import GATES

from .project import (
    Project,
    Run,
    answers,
    decision_of,
    failing_lines,
    gates_of,
    outcomes_of,
    recorded,
    said,
)

REPORTS = ("--distill-report", "--distill-json", "out.json")


@pytest.fixture
def two_evals(project: Project) -> Project:
    """Return a project with two evals, of which tests are about the first by their marker."""
    project.evals["more"] = project.evals["reviews"]
    project.save()
    return project


def write_method(project: Project, call: str, marker: str = 'eval="reviews"') -> None:
    """Write one test that calls a method of its comparison."""
    project.file(
        "test_ship.py",
        f"""
        import pytest

        @pytest.mark.distill({marker})
        def test_it(comparison):
            comparison.{call}
        """,
    )


@pytest.mark.parametrize("name", GATES)
def test_function_and_method_are_made_of_the_gate(name: str) -> None:
    """Both have its parameters and its docstring, the method for a comparison."""
    gate: Any = GATES[name]
    function = getattr(pytest_distill, f"assert_{name}")
    method = vars(pytest_distill.GateComparison)[f"assert_{name}"].__get__(object(), object)
    asked = inspect.signature(gate).parameters
    for made in (function, method):
        assert made.__name__ == f"assert_{name}"
        assert made.__doc__ == gate.__doc__
        assert inspect.signature(made).parameters == dict(asked)
    for parameter in asked:
        assert f"\n{parameter}" in gate.__doc__ or f", {parameter}" in gate.__doc__


@pytest.mark.parametrize(
    "call",
    [
        'assert_quality_retained(0.5, eval="more")',
        'assert_slices_retained(0.5, by="lang", eval="more")',
        'assert_latency(p50="1 s", eval="more")',
    ],
)
def test_a_method_is_about_its_own_eval(two_evals: Project, run_both: Run, call: str) -> None:
    """It judged the other one without a word once; what to write instead is said."""
    write_method(two_evals, call)
    result = run_both(*REPORTS)
    name = call.partition("(")[0]
    (line,) = [x for x in failing_lines(result) if "this comparison is of" in x]
    assert line.endswith(
        f"comparison.{name}(eval='more'): this comparison is of eval 'reviews'; ask {name}(eval="
        "'more')"
    )
    assert set(outcomes_of(two_evals).values()) == {"NOT RUN"}
    assert decision_of(result)[0] == "INCOMPLETE"


def test_a_method_of_a_criterion_is_about_its_own_eval(two_evals: Project, run: Run) -> None:
    """The parts of a criterion would silently have been asked of the other one."""
    two_evals.config["criteria"] = {"edge": {"quality_retained": {"min": 0.5}}}
    two_evals.save()
    write_method(two_evals, 'assert_meets("edge", eval="more")')
    result = run(*REPORTS)
    assert "ask assert_meets(eval='more')" in said(result)
    assert decision_of(result)[0] == "INCOMPLETE"


def test_a_method_may_name_its_own_eval(two_evals: Project, run: Run) -> None:
    """To repeat what it is about changes nothing."""
    write_method(two_evals, 'assert_quality_retained(0.5, eval="reviews", student="student")')
    assert run(*REPORTS).ret == 0
    assert gates_of(two_evals)["it"]["eval"] == "reviews"


def test_a_method_is_about_its_own_student(project: Project, run: Run) -> None:
    """A comparison of one student judges no other; one of several takes the student by name."""
    project.models["tiny"] = recorded("tiny", role="student", parameters=10)
    project.rows("tiny.jsonl", answers(range(15)))
    project.save()
    write_method(project, 'assert_quality_retained(0.5, student="tiny")', 'student="student"')
    assert "this comparison is of student 'student'; ask assert_quality_retained(" in said(run())
    write_method(project, 'assert_quality_retained(0.5, student="tiny")', 'eval="reviews"')
    assert run(*REPORTS).ret == 0
    assert gates_of(project)["it"]["model"] == "tiny"


@pytest.mark.parametrize(
    ("call", "problem"),
    [
        ("assert_quality_retained(0.9, metrc='accuracy')", "unexpected keyword argument 'metrc'"),
        ("assert_quality_retained(mn=0.9)", "argument 'mn'; did you mean 'min'?"),
        ("assert_quality_retained()", "missing a required argument: 'min'"),
    ],
)
def test_a_wrong_argument_names_the_assertion(
    project: Project, run: Run, call: str, problem: str
) -> None:
    """As Python would say it of a function written by hand."""
    write_method(project, call)
    (line,) = [x for x in failing_lines(run()) if "TypeError" in x]
    assert "assert_quality_retained(): " in line
    assert problem in line


def test_a_criterion_names_itself_where_a_gate_lacks_arguments(project: Project, run: Run) -> None:
    """What yaml asks is told by the criterion, not by a function that nobody called."""
    project.config["criteria"] = {"edge": {"latency": {}, "size": {}}}
    project.save()
    write_method(project, 'assert_meets("edge")')
    told = said(run())
    assert "criterion 'edge': latency: give p50=, p95= or p99=" in told
    assert "criterion 'edge': size: give max_bytes=, max_parameters= or both" in told
    assert "assert_latency" not in told
    assert "assert_size" not in told
