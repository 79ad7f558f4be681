from __future__ import annotations

import pytest

from .project import (
    ENGINE,
    HEAD,
    SHIPS,
    Project,
    Run,
    decision_of,
    gates_of,
    outcomes_of,
    rows_of,
    said,
    write_gates,
)

REPORTS = ("--distill-report", "--distill-json", "out.json")
KEPT = "assert_quality_retained(0.9)"
WHY = "asked no gate and looked at no model"

NOTHING = {
    "no parentheses": "def test_odd(): assert_flips",
    "no parentheses on the comparison": "def test_odd(comparison): comparison.assert_flips",
    "a method that is not called": "def test_odd(comparison): assert comparison.retained",
    "a method of a model that is not called": "def test_odd(student): assert student.evaluate",
    "nothing": "def test_odd(): pass",
    "something else": "def test_odd(): assert 1 + 1 == 2",
    "comparison not used": "def test_odd(comparison): pass",
    "models not used": "def test_odd(teacher, student, sft): assert teacher is not student",
    "gold alone": "def test_odd(gold): assert len(gold) == 20",
    "students not used": "def test_odd(students): assert students",
}

SOMETHING = {
    "comparison": "def test_own(comparison): assert comparison.retained() > 0.9",
    "scores": "def test_own(comparison): assert comparison.scores['accuracy']",
    "flips": "def test_own(comparison): assert len(comparison.flips.lost) == 3",
    "comparison by name": "def test_own(request):\n"
    "    assert request.getfixturevalue('comparison').n() == 20",
    "info": "def test_own(student): assert student.info.parameters == 100",
    "evaluate": "def test_own(sft): assert sft.evaluate().score() == 0.75",
    "students": "def test_own(students): assert students.info.parameters == 100",
    "in a helper": "def small(model): assert model.info.parameters == 100\n"
    "def test_own(student): small(student)",
    "in a fixture": "@pytest.fixture\ndef size(student): return student.info.parameters\n"
    "def test_own(size): assert size == 100",
}


@pytest.mark.parametrize("what", NOTHING)
def test_a_gate_test_that_asserts_nothing_of_a_model_did_not_run(
    project: Project, run_both: Run, what: str
) -> None:
    """It passed without a gate, a number of a comparison, or a model: that is no pass."""
    project.file("test_odd.py", f"{HEAD}\n{NOTHING[what]}\n")
    write_gates(project, kept=KEPT)
    result = run_both(*REPORTS)
    outcome, reason = decision_of(result)
    assert outcome == "INCOMPLETE", said(result)
    assert "test_odd" in reason
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    (odd,) = [row for name, row in gates_of(project).items() if name != "kept"]
    assert (odd["outcome"], odd["gate"], odd["notes"]) == ("NOT RUN", None, [WHY])


@pytest.mark.parametrize("what", SOMETHING)
def test_an_own_assertion_about_a_model_counts(project: Project, run: Run, what: str) -> None:
    """A gate test that takes something of a model asserts what it likes."""
    project.file("test_own.py", f"{HEAD}\n{SOMETHING[what]}\n")
    write_gates(project, kept=KEPT)
    result = run(*REPORTS)
    assert decision_of(result) == ("SHIP", ""), said(result)
    assert rows_of(result, "PASSED")[0][:2] == ["PASSED", "own_assertion"]


def test_it_is_the_same_with_workers(project: Project, run: Run) -> None:
    """What a test took crosses to the controller."""
    project.file("test_own.py", f"{HEAD}\n{SOMETHING['info']}\n")
    write_gates(project, kept=KEPT)
    result = run("-n", "2", *REPORTS)
    assert decision_of(result) == ("SHIP", ""), said(result)


SHARED = """
@pytest.fixture(scope="module")
def score(student):
    return student.evaluate("reviews").score()

@pytest.fixture
def doubled(score):
    return 2 * score

def test_one(score):
    assert score == 0.85

def test_two(doubled):
    assert doubled == 1.7

def test_three():
    pass
"""


def test_a_fixture_takes_for_all_tests_that_it_serves(project: Project, run: Run) -> None:
    """A score that is made once for a module is looked at by every test that gets it."""
    project.file("test_own.py", f"{HEAD}\n{SHARED}\n")
    write_gates(project, kept=KEPT)
    run(*REPORTS)
    assert outcomes_of(project) == {
        "kept": "PASSED",
        "one": "PASSED",
        "two": "PASSED",
        "three": "NOT RUN",
    }


OVERRIDDEN = """
import own
from types import SimpleNamespace

@pytest.fixture
def student():
    spec = SimpleNamespace(
        name="student", role="student", path="", device="cpu", options={"size": 7}
    )
    return own.Counting(spec)

def test_own(student):
    assert student.info.parameters == 7

def test_odd(comparison):
    pass
"""


def test_a_model_of_the_projects_own_counts_where_it_is_asked_for(
    project: Project, run: Run
) -> None:
    """What a test reads of the project's own engine cannot be seen: to request it is enough."""
    project.file("own.py", ENGINE)
    project.file("test_own.py", f"{HEAD}\n{OVERRIDDEN}\n")
    write_gates(project, kept=KEPT)
    result = run(*REPORTS)
    found = outcomes_of(project)
    assert found == {"kept": "PASSED", "own": "PASSED", "odd": "NOT RUN"}, said(result)


def test_an_own_assertion_that_fails_is_a_failure(project: Project, run: Run) -> None:
    """An assertion that does not hold is told as such, whatever it is about."""
    write_gates(project, kept=KEPT, own="assert 0")
    result = run(*REPORTS)
    assert decision_of(result)[0] == "DO NOT SHIP"
    assert outcomes_of(project)["own"] == "FAILED"


def test_a_required_own_assertion_that_asserts_nothing_is_lacking(
    project: Project, run: Run
) -> None:
    """A test that `required_gates` names by its node id has to look at something."""
    project.config["required_gates"] = ["test_ship.py::test_odd"]
    project.save()
    write_gates(project, kept=KEPT, odd="pass")
    assert decision_of(run(*REPORTS))[0] == "INCOMPLETE"


def test_a_repeated_test_has_to_look_each_time(project: Project, run: Run) -> None:
    """What an attempt looked at counts for that attempt."""
    write_gates(
        project,
        head=HEAD,
        kept=KEPT,
    )
    project.file(
        "test_own.py",
        f"{HEAD}\nSEEN = []\n"
        "def test_own(student):\n"
        "    if not SEEN:\n"
        "        SEEN.append(student.info)\n"
        "        raise RuntimeError\n",
    )
    run("--reruns", "1", *REPORTS)
    assert outcomes_of(project)["own"] == "NOT RUN"


def test_a_marker_that_comes_while_the_test_runs_counts(project: Project, run_both: Run) -> None:
    """Then it is a gate test that asked no gate, though nothing told so when it began."""
    project.file(
        "test_late.py",
        "import pytest\n"
        "def test_late(request):\n    request.node.add_marker(pytest.mark.distill)\n",
    )
    project.file("test_ship.py", SHIPS)
    outcome, reason = decision_of(run_both("--distill-report"))
    assert (outcome, reason) == ("INCOMPLETE", "1 gate did not run: test_late")


TAKES_NOTHING = {
    "its name": "def test_odd(comparison):\n    print(comparison)\n",
    "an error": (
        "def test_odd(student):\n    try:\n        student.evaluate('no')\n"
        "    except Exception:\n        pass\n"
    ),
    "an engine that nobody reads": "def test_odd(student):\n    assert_flips\n",
    "an engine by name": "@pytest.mark.usefixtures('student')\ndef test_odd():\n    pass\n",
}


@pytest.mark.parametrize("name", TAKES_NOTHING)
def test_what_takes_nothing_of_a_model_is_not_run(project: Project, run: Run, name: str) -> None:
    """A look that failed, a printed name, or an argument that the test's code never reads."""
    if "engine" in name:
        project.file("own.py", ENGINE)
        project.file(
            "conftest.py",
            "import pytest\nfrom own import Counting\nfrom pytest_distill import ModelSpec\n"
            "@pytest.fixture\ndef student():\n"
            "    return Counting(ModelSpec('student', 'student'))\n",
        )
    project.file("test_odd.py", HEAD + TAKES_NOTHING[name])
    project.file("test_ship.py", SHIPS.replace("assert_beats_sft(confidence=None)", "pass"))
    run("--distill-report", "--distill-json", "out.json")
    outcomes = {row["nodeid"]: row["outcome"] for row in project.json()["gates"]}
    assert outcomes["test_odd.py::test_odd"] == "NOT RUN"
