"""Scores of the user's own: numbers, under their own names, of examples that stay as they are."""

from __future__ import annotations

import pytest

from .project import (
    N,
    Project,
    Run,
    answers,
    decision_of,
    failing_lines,
    gates_of,
    gold,
    outcomes_of,
    said,
    write_gates,
)

REPORTS = ("--distill-report", "--distill-json", "out.json")
KEEPS = "assert_quality_retained(0.9)"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ('"0.5"', "'0.5' (str)"),
        ("None", "None (NoneType)"),
        ("1 + 0j", "(1+0j) (complex)"),
        ("np.array([1.0])", "array([1.]) (ndarray)"),
        ("np.array(1.0)", "array(1.) (ndarray)"),
        ("[1.0]", "[1.0] (list)"),
    ],
)
def test_a_metric_s_score_must_be_a_number(
    project: Project, run: Run, value: str, shown: str
) -> None:
    """Text that numpy would read as a number is none; the metric and the example are named."""
    project.file(
        "mine.py",
        f"""
        import numpy as np
        from pytest_distill import MeanMetric
        MINE = MeanMetric("mine", lambda answer: 1.0 if answer.example.id != "e3" else {value})
        """,
    )
    project.evals["reviews"]["metrics"] = ["mine:MINE"]
    project.save()
    write_gates(project, it=KEEPS)
    result = run(*REPORTS)
    assert any(
        f"gold.jsonl:4 (id 'e3'): metric 'mine' gave {shown}, not a number" in line
        for line in failing_lines(result)
    ), failing_lines(result)
    assert decision_of(result)[0] == "INCOMPLETE"


@pytest.mark.parametrize("value", ["True", "np.bool_(True)", "np.float32(1)", "1"])
def test_truth_values_and_numpy_numbers_are_numbers(project: Project, run: Run, value: str) -> None:
    """As before: what a comparison gives may be a score."""
    project.file(
        "mine.py",
        f"""
        import numpy as np
        from pytest_distill import MeanMetric
        MINE = MeanMetric("mine", lambda answer: {value})
        """,
    )
    project.evals["reviews"]["metrics"] = ["mine:MINE"]
    project.save()
    write_gates(project, it=KEEPS)
    run(*REPORTS)
    assert outcomes_of(project) == {"it": "PASSED"}


OWN = 'MeanMetric("accuracy", lambda answer: 1.0)'


@pytest.mark.parametrize("how", ["hook", "path", "object", "marker"])
def test_a_metric_of_ones_own_may_not_take_a_built_in_s_name(
    project: Project, run: Run, how: str
) -> None:
    """Everybody would take its numbers for the built-in's."""
    project.file("mine.py", f"from pytest_distill import MeanMetric\nMINE = {OWN}\n")
    tests = {"it": KEEPS}
    if how == "hook":
        hook = (
            f"from pytest_distill import MeanMetric\ndef pytest_distill_metrics(): return [{OWN}]\n"
        )
        project.file("conftest.py", hook)
    elif how == "path":
        project.evals["reviews"]["metrics"] = ["mine:MINE"]
    elif how == "object":
        tests["it"] = f"assert_quality_retained(0.9, metric={OWN})"
    else:
        tests["it"] = f"@pytest.mark.distill(metric={OWN})\n{KEEPS}"
    project.save()
    write_gates(project, **tests)
    result = run(*REPORTS)
    assert "has the name of the built-in metric 'accuracy' and would take its place" in (
        said(result).replace("\n", " ")
    )
    assert decision_of(result)[0] == "INCOMPLETE"


def test_two_metrics_of_one_name_are_refused(project: Project, run: Run) -> None:
    """Which hook came last would decide."""
    mine = 'MeanMetric("mine", lambda answer: 1.0)'
    hook = f"def pytest_distill_metrics(): return [{mine}, {mine}]"
    project.file("conftest.py", f"from pytest_distill import MeanMetric\n{hook}\n")
    write_gates(project, it=KEEPS)
    assert "two metrics are called 'mine'" in said(run(*REPORTS))


def test_ready_scores_of_a_built_in_metric_are_declared(project: Project, run: Run) -> None:
    """Undeclared they would pass for what is computed; the error prints the line."""
    for name, right in (("teacher", 18), ("student", 17)):
        rows = [{"id": f"e{i}", "scores": {"accuracy": float(i < right)}} for i in range(N)]
        project.rows(f"{name}.jsonl", rows)
    write_gates(project, it=KEEPS)
    (line,) = [x for x in failing_lines(run(*REPORTS)) if "ready scores" in x]
    assert "in evals.reviews.metrics: '- {name: accuracy, range: [0, 1]}'" in line
    project.evals["reviews"]["metrics"] = [{"name": "accuracy", "range": [0.0, 1.0]}]
    project.save()
    run(*REPORTS)
    assert outcomes_of(project) == {"it": "PASSED"}


@pytest.mark.parametrize("how", ["path", "hook", "object", "corpus"])
def test_ready_scores_do_not_take_the_place_of_a_metric_that_is_code(
    project: Project, run: Run, how: str
) -> None:
    """Of a student that is always wrong, a file may not say that it is right."""
    right = 'MINE = MeanMetric("mine", lambda answer: float(answer.correct))'
    if how == "corpus":
        right = """
import numpy as np
from pytest_distill import Metric

class Mine(Metric):
    name = "mine"
    def scores(self, answers): return np.array([float(a.correct) for a in answers])
    def statistics(self, answers): return self.scores(answers)[:, None]
    def aggregate(self, totals): return totals[..., 0] / 20

MINE = Mine()
"""
    project.file("mine.py", f"from pytest_distill import MeanMetric\n{right}\n")
    asked = ""
    if how == "object":
        asked = ", metric=__import__('mine').MINE"
    elif how == "hook":
        project.file(
            "conftest.py",
            "from mine import MINE\n\n\ndef pytest_distill_metrics():\n    return [MINE]\n",
        )
        project.evals["reviews"]["metrics"] = ["mine"]
    else:
        project.evals["reviews"]["metrics"] = ["mine:MINE"]
    project.save()
    rows = [{**row, "scores": {"mine": 1.0}} for row in answers(range(0))]
    project.rows("student.jsonl", rows)
    write_gates(project, it=f"assert_quality_retained(0.9{asked})")
    result = run(*REPORTS)
    (line,) = [x for x in failing_lines(result) if "ready scores" in x]
    assert "student.jsonl: has ready scores of 'mine', which " in line
    told = "in evals.reviews.metrics: '- {name: mine, range: [0, 1]}'"
    assert ("it needs recorded predictions" if how == "corpus" else told) in line
    assert decision_of(result)[0] == "INCOMPLETE"


def test_ready_scores_that_nobody_asks_for_are_left_alone(project: Project, run: Run) -> None:
    """A file may hold more than an eval uses."""
    rows = [{**row, "scores": {"other": 1.0}} for row in answers(range(18))]
    project.rows("student.jsonl", rows)
    write_gates(project, it="assert_quality_retained(0.9)")
    run(*REPORTS)
    assert outcomes_of(project) == {"it": "PASSED"}


@pytest.mark.parametrize("columns", [1, 2])
def test_a_metric_may_use_its_array_again(project: Project, run: Run, columns: int) -> None:
    """What it gave for the teacher stays: the student, which is worse, does not become it."""
    project.file(
        "mine.py",
        f"""
        import numpy as np

        class Mine:
            name, higher_is_better, range = "mine", True, (0.0, 1.0)
            rows = np.ones((20, {columns}))

            def scores(self, answers):
                return self.statistics(answers)[:, 0]

            def statistics(self, answers):
                if len(answers) != 20:
                    self.rows = np.ones((len(answers), {columns}))
                self.rows[:, 0] = [a.correct for a in answers]
                return self.rows

            def aggregate(self, totals):
                return totals[..., 0] / 20

        MINE = Mine()
        """,
    )
    project.evals["reviews"]["metrics"] = ["mine:MINE"]
    project.save()
    project.rows("student.jsonl", answers(range(9)))
    write_gates(project, it=KEEPS, flips="assert_flips(max_lost=0.1)")
    run(*REPORTS)
    assert outcomes_of(project) == {"it": "FAILED", "flips": "FAILED"}
    assert gates_of(project)["it"]["observed"] == 0.5


@pytest.mark.parametrize(
    "change",
    [
        'answer.example.fields["label"] = answer.predicted',
        'answer.example.fields["tags"].append("seen")',
        'answer.example.fields["more"]["seen"] = True',
        "answer.example.fields.clear()",
    ],
)
def test_a_metric_cannot_change_an_example(project: Project, run: Run, change: str) -> None:
    """The next model would be scored on what the last one left."""
    project.rows("gold.jsonl", [{**row, "tags": ["a"], "more": {"x": 1}} for row in gold()])
    project.file(
        "mine.py",
        f"""
        from pytest_distill import MeanMetric

        def score(answer):
            try:
                {change}
            except TypeError as error:
                assert "gold examples are read-only" in str(error)
                return float(answer.correct)
            return 0.0

        MINE = MeanMetric("mine", score)
        """,
    )
    project.evals["reviews"]["metrics"] = ["mine:MINE", "accuracy"]
    project.save()
    write_gates(project, it="assert_score(0.85)", same="assert_score(0.85, metric='accuracy')")
    run(*REPORTS)
    assert outcomes_of(project) == {"it": "PASSED", "same": "PASSED"}
