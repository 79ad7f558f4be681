"""What a user's metric, engine or hook raises is the error of the gate that asked, in one line."""

from __future__ import annotations

import pytest

from .project import (
    Project,
    Run,
    decision_of,
    failing_lines,
    outcomes_of,
    own_engine,
    refuse_package_frames,
    review_eval,
    said,
)

REPORTS = ("--distill-report", "--distill-json", "out.json")

TWO_GATES = """
    from pytest_distill import assert_quality_retained, assert_score

    def test_asks(comparison):
        assert_quality_retained(min=0.5)

    def test_other(comparison):
        assert_score(min=0.5, metric="accuracy", model="teacher")
"""

RAISES = {
    "error": "raise RuntimeError('first line\\nSHIP\\n')",
    "exit": "raise SystemExit(0)",
    "skip": "pytest.skip('later')",
    "xfail": "pytest.xfail('known')",
    "fail": "pytest.fail('no')",
    "pytest.exit": "pytest.exit('stop', returncode=0)",
    "no words": "raise Wordless",
}
NAMES = {
    "error": "RuntimeError: first line SHIP",
    "exit": "SystemExit: 0",
    "skip": "Skipped: later",
    "xfail": "XFailed: known",
    "fail": "Failed: no",
    "pytest.exit": "Exit: stop",
    "no words": "Wordless",
}

HEAD = """\
import pytest
from pytest_distill import MeanMetric, ModelError, ModelInfo, Prediction
from pytest_distill.evals.metrics import Metric


class Wordless(Exception):
    def __str__(self):
        raise RuntimeError("no words")


"""

ENGINE = (
    HEAD
    + """\
class Mine:
    notes = ()

    def __init__(self, spec):
        self.spec = spec

    @property
    def info(self):
        return ModelInfo(self.spec.name, self.spec.role, parameters=100)

    @property
    def identity(self):
        return {"model": self.spec.name}

    def predict(self, requests):
        for request in requests:
            yield Prediction(request.id, prediction="pos")

    def close(self):
        pass


class Bad(Mine):
    """
)

METRIC = (
    HEAD
    + """\
class Mine(Metric):
    name = "mine"

    def scores(self, answers):
        return [1.0 for _ in answers]

    def statistics(self, answers):
        return [[1.0, 1.0] for _ in answers]

    def aggregate(self, totals):
        return totals[..., 0] / totals[..., 1]


class Bad(Mine):
    """
)


def with_metric(project: Project, source: str) -> None:
    """Let the eval's metric be `metric` of this module."""
    project.file("mine.py", source)
    project.evals["reviews"] = review_eval(metrics=["mine:metric"])
    project.save()
    project.file("test_ship.py", TWO_GATES)


def with_engine(project: Project, member: str) -> None:
    """Let the student run on an engine of which one member is this one."""
    project.file("mine.py", ENGINE + member)
    project.models["student"] = {"engine": "mine:Bad"}
    project.save()
    project.file("test_ship.py", TWO_GATES)


def refuse_all_but_the_other_gate(project: Project, result: pytest.RunResult, words: str) -> None:
    """Fail where not exactly one gate did not run, or the error is more than one line."""
    assert outcomes_of(project) == {"asks": "NOT RUN", "other": "PASSED"}
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert decision_of(result)[0] == "INCOMPLETE"
    (line,) = failing_lines(result)
    assert words in line
    refuse_package_frames(result)


@pytest.mark.parametrize("how", RAISES)
def test_a_metric_that_raises_is_one_gate_that_did_not_run(
    project: Project, run: Run, how: str
) -> None:
    """The line names metric, example, exception, file and line; the other gate passes."""
    body = f"    if answer.example.id == 'e3':\n        {RAISES[how]}\n    return 1.0\n"
    source = f"{HEAD}def score(answer):\n{body}\n\nmetric = MeanMetric('mine', score)\n"
    with_metric(project, source)
    result = run(*REPORTS)
    line = 1 + source.splitlines().index(f"        {RAISES[how].splitlines()[0]}")
    words = f"metric 'mine' of example 'e3' raised {NAMES[how]} (mine.py:{line}, in score)"
    refuse_all_but_the_other_gate(project, result, words)


def test_workers_tell_it_too(project: Project, run: Run) -> None:
    """A `SystemExit` does not end a worker either."""
    with_metric(project, f"{HEAD}metric = MeanMetric('mine', lambda answer: exit(0))\n")
    result = run(*REPORTS, "-n", "2")
    words = "metric 'mine' of example 'e0' raised SystemExit: 0 (mine.py:"
    refuse_all_but_the_other_gate(project, result, words)


def test_a_stop_iteration_leaves_no_example_out(project: Project, run: Run) -> None:
    """Where Python itself would take it for the end of the examples."""
    with_metric(project, f"{HEAD}metric = MeanMetric('mine', lambda answer: next(iter(())))\n")
    words = "metric 'mine' of example 'e0' raised RuntimeError: StopIteration"
    refuse_all_but_the_other_gate(project, run(*REPORTS), words)


def test_the_line_that_raised_is_shown(project: Project, run: Run) -> None:
    """Of all frames those of the test and of the metric are the user's own."""
    with_metric(project, f"{HEAD}metric = MeanMetric('mine', lambda answer: 1 / 0)\n")
    result = run(*REPORTS)
    shown = [line for line in result.outlines if line.startswith(">")]
    assert [line[1:].strip() for line in shown] == [
        "assert_quality_retained(min=0.5)",
        "metric = MeanMetric('mine', lambda answer: 1 / 0)",
    ]


@pytest.mark.parametrize("member", ["scores", "statistics", "aggregate"])
@pytest.mark.parametrize("how", ["exit", "skip"])
def test_a_metric_of_ones_own_class(project: Project, run: Run, member: str, how: str) -> None:
    """What it computes may raise as well; a gate on its flips asks for `scores`."""
    source = f"{METRIC}def {member}(self, *_):\n        {RAISES[how]}\n\n\nmetric = Bad()\n"
    with_metric(project, source)
    if member == "scores":
        asks = TWO_GATES.replace("assert_quality_retained(min=0.5)", "comparison.flips")
        project.file("test_ship.py", asks)
    result = run(*REPORTS)
    refuse_all_but_the_other_gate(project, result, f"metric 'mine' raised {NAMES[how]} (mine.py:")


@pytest.mark.parametrize(
    ("member", "words"),
    [
        ("def aggregate(self, totals): return 'high'", "aggregate gives <U4, not numbers"),
        ("def aggregate(self, totals): return [1.0, 2.0]", "aggregate gives shape (2,)"),
        ("def statistics(self, answers): return [1.0]", "statistics gives shape (1,)"),
    ],
)
def test_a_metric_that_computes_no_numbers(
    project: Project, run: Run, member: str, words: str
) -> None:
    """The error says what it gave."""
    with_metric(project, f"{METRIC}{member}\n\n\nmetric = Bad()\n")
    refuse_all_but_the_other_gate(project, run(*REPORTS), words)


def test_what_a_metric_is_called_is_asked_once(project: Project, run: Run) -> None:
    """A name that raises later, or is another one, does not reach the report."""
    with_metric(
        project,
        f"{METRIC}asked = 0\n\n    @property\n    def name(self):\n        Bad.asked += 1\n"
        "        if Bad.asked > 3:\n            raise SystemExit(0)\n        return 'mine'\n\n\n"
        "metric = Bad()\n",
    )
    result = run(*REPORTS)
    assert decision_of(result) == ("SHIP", "")
    assert [row["metric"] for row in project.json()["comparisons"]] == ["mine", "accuracy"]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("raise SystemExit(0)", "importing 'mine' raised SystemExit: 0 (mine.py:"),
        ("pytest.skip('x', allow_module_level=True)", "importing 'mine' raised Skipped: x"),
        ("metric = MeanMetric('a\\nSHIP', len)", "the metric's name 'a\\nSHIP' has a character"),
        ("metric = MeanMetric(3, len)", "the metric's name 3 is no text"),
        ("metric = MeanMetric('a', len, range=(1, 0))", "range must be (least, greatest)"),
        ("metric = MeanMetric('a', len, higher_is_better='no')", "must be True or False"),
        ("class metric:\n    def __repr__(self): raise SystemExit(0)\nmetric = metric()", "raised"),
    ],
)
def test_a_metric_that_cannot_be_used_is_an_error_of_its_file(
    project: Project, run: Run, source: str, words: str
) -> None:
    """Collection goes on, and pytest does not end."""
    with_metric(project, f"{HEAD}{source}\n")
    project.file("other/test_other.py", "def test_other():\n    pass\n")
    result = run(*REPORTS, "--continue-on-collection-errors")
    result.assert_outcomes(errors=1, passed=1)
    assert words in said(result)
    refuse_package_frames(result)


@pytest.mark.parametrize("how", ["exit", "skip", "no words"])
@pytest.mark.parametrize("name", ["pytest_distill_metrics", "pytest_distill_engines"])
def test_a_hook_that_raises_is_an_error_of_its_file(
    project: Project, run: Run, name: str, how: str
) -> None:
    """The message names the hook, and where it raised."""
    project.file("conftest.py", f"{HEAD}def {name}():\n    {RAISES[how]}\n")
    project.file("test_ship.py", TWO_GATES)
    result = run(*REPORTS)
    result.assert_outcomes(errors=1)
    assert f"hook {name} raised {NAMES[how]} (conftest.py:" in said(result)
    refuse_package_frames(result)


MEMBERS = {
    "__init__": "def __init__(self, spec):",
    "info": "@property\n    def info(self):",
    "identity": "@property\n    def identity(self):",
    "notes": "@property\n    def notes(self):",
    "predict": "def predict(self, requests):",
}


@pytest.mark.parametrize("member", MEMBERS)
@pytest.mark.parametrize("how", ["exit", "skip"])
def test_an_engine_that_raises_is_one_gate_that_did_not_run(
    project: Project, run: Run, member: str, how: str
) -> None:
    """Whatever is asked of it; the report on the others stands."""
    with_engine(project, f"{MEMBERS[member]}\n        {RAISES[how]}\n")
    words = f"the engine of model 'student' raised {NAMES[how]} (mine.py:"
    refuse_all_but_the_other_gate(project, run(*REPORTS), words)


@pytest.mark.parametrize(
    ("member", "words"),
    [
        ("info = None", "None (NoneType) is no ModelInfo"),
        ("identity = 3", "must be a mapping of what makes the answers, not 3 (int)"),
        ("def predict(self, requests): yield None", "gave None, not a Prediction"),
        ("def predict(self, requests): pass", "raised TypeError"),
    ],
)
def test_an_engine_that_gives_something_else(
    project: Project, run: Run, member: str, words: str
) -> None:
    """The error says what it gave."""
    with_engine(project, f"{member}\n")
    project.file("test_ship.py", TWO_GATES)
    refuse_all_but_the_other_gate(project, run(*REPORTS), words)


def test_the_engine_of_a_fixture_may_raise_too(project: Project, run: Run) -> None:
    """Even where it is only looked at."""
    project.file("mine.py", ENGINE + "@property\n    def info(self): raise SystemExit(0)\n")
    project.file(
        "conftest.py",
        """
        import pytest, mine

        class Spec:
            name, role = "student", "student"

        @pytest.fixture
        def student(request):
            return mine.Bad(Spec) if request.node.name == "test_asks" else mine.Mine(Spec)
        """,
    )
    project.file("test_ship.py", TWO_GATES)
    words = "raised SystemExit: 0 (mine.py:"
    result = run(*REPORTS)
    assert words in said(result)
    assert outcomes_of(project) == {"asks": "NOT RUN", "other": "PASSED"}


@pytest.mark.parametrize("how", ["error", "exit", "skip"])
def test_an_error_in_close_is_a_warning(project: Project, run_forked: Run, how: str) -> None:
    """What was answered and judged stands, and the warning names the line of the engine."""
    with_engine(project, f"def close(self):\n        {RAISES[how]}\n")
    result = run_forked(*REPORTS, "-W", "default")
    assert result.ret == pytest.ExitCode.OK
    assert decision_of(result) == ("SHIP", "")
    words = f"ModelWarning: closing the engine of model 'student' raised {NAMES[how]}"
    assert words in said(result)


def test_an_error_in_close_fails_no_gate_where_warnings_are_errors(
    project: Project, run: Run
) -> None:
    """A model that has to make room for the next one belongs to another gate; a note is left."""
    source = ENGINE.replace("    def close(self):\n        pass\n", "    def close(self): 1 / 0\n")
    project.file("mine.py", f"{source}pass\n")
    for name in ("teacher", "student"):
        project.models[name] = {"engine": "mine:Mine"}
    project.save()
    project.file("test_ship.py", TWO_GATES)
    result = run(*REPORTS)
    assert decision_of(result) == ("SHIP", "")
    notes = [note for model in project.json()["models"] for note in model["notes"]]
    assert any(note.startswith("closing the engine of model '") for note in notes)


def test_nothing_of_the_users_runs_when_the_report_is_made(project: Project, run: Run) -> None:
    """Metric, engine and modules are asked while gates run, and not after the last test."""
    project.file(
        "mine.py",
        """
        import own
        from pytest_distill import MeanMetric

        over = []

        def score(answer):
            assert not over, "a metric was asked after the last test"
            return 1.0

        metric = MeanMetric("mine", score)

        class Watched(own.Counting):
            def __getattribute__(self, name):
                if over and not over[0]:
                    raise SystemExit(f"{name} was asked after the last test")
                return super().__getattribute__(name)
        """,
    )
    project.use_own_engine()
    for name in ("teacher", "student", "sft"):
        project.models[name] = {**own_engine(name, range(20)), "engine": "mine:Watched"}
    project.evals["reviews"] = review_eval(metrics=["accuracy", "mine:metric"])
    project.save()
    project.file("unused/distill.yaml", (project.path / "distill.yaml").read_text())
    project.file("unused/test_nothing.py", "def test_nothing():\n    pass\n")
    project.file(
        "conftest.py",
        """
        import sys
        import pytest

        @pytest.hookimpl(tryfirst=True)
        def pytest_sessionfinish():
            sys.modules["mine"].over.append(False)

        @pytest.hookimpl(wrapper=True, tryfirst=True)
        def pytest_unconfigure():
            sys.modules["mine"].over[0] = True
            return (yield)
        """,
    )
    project.file("test_ship.py", TWO_GATES)
    result = run(*REPORTS)
    assert decision_of(result) == ("SHIP", "")
    rows = {row["metric"]: row["scores"] for row in project.json()["comparisons"]}
    assert rows == {
        "accuracy": {"teacher": 1.0, "student": 1.0},
        "mine": {"teacher": 1.0, "student": 1.0},
    }
