"""Where lower is better, a student without an error passes: no ratio is better than infinite."""

from __future__ import annotations

import pytest

from .project import (
    Project,
    Run,
    decision_of,
    gates_of,
    outcomes_of,
    report_of,
    review_eval,
    said,
    write_gates,
)

REPORTS = ("--distill-report", "--distill-json", "out.json")
N = 40
NONE = (0.0,) * N
SOME = tuple(0.05 * (i % 2) for i in range(N))
"""Errors in half of the examples, of both languages."""
GERMAN = tuple(0.0 if i % 4 < 2 else 0.05 for i in range(N))
"""Errors in English alone, and twice as many there."""
METRIC = {"name": "wer", "higher_is_better": False, "range": [0.0, 1.0]}


def heard(project: Project, *, sure: bool = False, **scores: tuple[float, ...]) -> None:
    """Write word error rates of models as ready scores; every other two examples are German.

    `sure`: beside probabilities, the later the surer.
    """
    n = len(scores["teacher"])
    rows = [
        {"id": f"e{i}", "text": f"text {i}", "label": "pos", "lang": ("de", "en")[i % 4 // 2]}
        for i in range(n)
    ]
    project.rows("gold.jsonl", rows)
    for name, given in scores.items():
        told = [{"id": f"e{i}", "scores": {"wer": score}} for i, score in enumerate(given)]
        if sure:
            pairs = ({"pos": 0.6 + i / 100, "neg": 0.4 - i / 100} for i in range(n))
            told = [row | {"probabilities": p} for row, p in zip(told, pairs, strict=True)]
        project.rows(f"{name}.jsonl", told)
    for name in set(project.models) - set(scores):
        del project.models[name]
    project.evals["reviews"] = review_eval(metrics=[dict(METRIC)])
    project.save()


def reported(project: Project, student: tuple[float, float], teacher: tuple[float, float]) -> None:
    """Write error rates of two evals as published scores."""
    project.config = {
        "models": {
            name: {
                "engine": "reported",
                "scores": {"reviews": {"wer": scores[0]}, "others": {"wer": scores[1]}},
            }
            for name, scores in (("teacher", teacher), ("student", student))
        },
        "evals": {name: {"metrics": [dict(METRIC)]} for name in ("reviews", "others")},
    }
    project.save()


def cells(result: pytest.RunResult, first: str) -> list[str]:
    """Return the cells of the first line of the report that begins with a word."""
    return next(line.split() for line in report_of(result) if line.split()[:1] == [first])


@pytest.mark.parametrize("error", [0.05, 1.0])
def test_a_flawless_student_passes(project: Project, run: Run, error: float) -> None:
    """What it retained is infinite: in the table, in the message, and null in JSON."""
    heard(project, teacher=tuple(error * (i % 2) for i in range(N)), student=NONE)
    write_gates(
        project,
        kept="assert_quality_retained(0.95)",
        sliced="assert_quality_retained(2, slice='lang=de')",
        score="assert_score(max=0.0)",
    )
    result = run(*REPORTS)
    result.assert_outcomes(passed=3)
    assert decision_of(result)[0] == "SHIP"
    rows = gates_of(project)
    for name in ("kept", "sliced"):
        assert (rows[name]["observed"], rows[name]["infinite"]) == (None, True)
    assert rows["kept"]["message"].startswith("assert infinite >= 0.95 quality retained (wer)")
    assert (rows["score"]["observed"], rows["score"]["infinite"]) == (0.0, False)
    assert cells(result, "PASSED")[:4] == ["PASSED", "infinite", ">=", "0.95"]
    assert cells(result, "student")[-2:] == ["0.0000", "infinite"]
    (compared,) = project.json()["comparisons"]
    assert compared["retained"] == {"student": None}


def test_what_a_test_reads_is_infinite(project: Project, run: Run) -> None:
    """`retained` of a comparison is the float, so that it is above any floor."""
    heard(project, teacher=SOME, student=NONE, sft=SOME)
    body = "assert comparison.retained() == float('inf') > comparison.retained(model='sft') == 1.0"
    head = "import pytest\npytestmark = pytest.mark.distill(eval='reviews')\n"
    project.file("test_own.py", f"{head}def test_it(comparison):\n    {body}\n")
    run().assert_outcomes(passed=1)


@pytest.mark.parametrize("student", [NONE, SOME])
def test_a_teacher_without_errors_has_no_ratio(
    project: Project, run: Run, student: tuple[float, ...]
) -> None:
    """Neither does a flawless student have one to it: the gate does not run."""
    heard(project, teacher=NONE, student=student)
    write_gates(project, it="assert_quality_retained(0.95)")
    result = run(*REPORTS)
    assert outcomes_of(project) == {"it": "NOT RUN"}
    assert "the teacher scores 0, so that no share of the teacher's quality exists" in said(result)


def test_reported_scores_without_errors(project: Project, run: Run) -> None:
    """A published error rate of 0 beside the teacher's is infinitely good, in a suite too."""
    reported(project, teacher=(0.05, 0.1), student=(0.0, 0.2))
    head = "from pytest_distill import *\nimport pytest\npytestmark = pytest.mark.distill\n"
    suite = "assert_suite_retained({}, aggregate='{}')"
    write_gates(
        project,
        head=head,
        average=suite.format(2, "average_of_ratios"),
        geometric=suite.format(2, "geometric"),
        minimum=suite.format(0.5, "minimum"),
        worst=suite.format(0.51, "minimum"),
        kept="assert_suite_retained(0.95, aggregate='minimum', evals=['reviews'])",
    )
    result = run(*REPORTS)
    rows = gates_of(project)
    assert outcomes_of(project) == {**dict.fromkeys(rows, "PASSED"), "worst": "FAILED"}
    assert [rows[name]["infinite"] for name in rows] == [True, True, False, False, True]
    assert rows["minimum"]["observed"] == 0.5
    found = rows["average"]["details"]["aggregates"]
    assert found == {
        "ratio_of_averages": None,
        "average_of_ratios": None,
        "geometric": None,
        "minimum": 0.5,
    }
    told = "average_of_ratios infinite, geometric infinite, minimum 0.5000"
    assert any(told in part for part in rows["average"]["notes"])
    assert told in said(result)
    assert "reviews  0.0500  0.0000  infinite" in said(result)


def test_a_slice_without_errors(project: Project, run: Run) -> None:
    """It passes, and the worst slice is another one; the table says infinite."""
    heard(project, teacher=SOME, student=GERMAN)
    gate = "assert_slices_retained({}, by='lang', min_examples=1, confidence=None)"
    write_gates(project, low=gate.format(0.5), high=gate.format(0.6))
    result = run(*REPORTS)
    rows = gates_of(project)
    assert outcomes_of(project) == {"low": "PASSED", "high": "FAILED"}
    assert (rows["low"]["observed"], rows["low"]["infinite"]) == (0.5, False)
    found = {row["slice"]: row for row in rows["low"]["details"]["slices"]}
    assert (found["lang=de"]["retained"], found["lang=de"]["outcome"]) == (None, "PASSED")
    (line,) = [x for x in said(result).splitlines() if x.startswith("E") and "lang=de" in x]
    assert line.split()[3:6] == ["0.0250", "0.0000", "infinite"]


def test_every_slice_without_errors(project: Project, run: Run) -> None:
    """The worst of them is infinite too."""
    heard(project, teacher=SOME, student=NONE)
    gate = "assert_slices_retained(2, by='lang', min_examples=1, confidence=None)"
    write_gates(project, it=gate)
    run(*REPORTS)
    row = gates_of(project)["it"]
    assert (row["outcome"], row["observed"], row["infinite"]) == ("PASSED", None, True)


def test_routing_to_a_student_without_errors(project: Project, run: Run) -> None:
    """The curve ends with an infinite ratio where the student answers all, and JSON is valid."""
    heard(project, sure=True, teacher=SOME, student=NONE)
    write_gates(project, it="assert_routable(min_handled=0.5, retained=0.95)")
    result = run(*REPORTS, "-v")
    row = gates_of(project)["it"]
    assert row["outcome"] in ("PASSED", "INCONCLUSIVE")
    curve = sorted(row["details"]["curve"], key=lambda point: point["handled"])
    assert (curve[-1]["handled"], curve[-1]["score"], curve[-1]["retained"]) == (1, 0, None)
    assert curve[0]["retained"] > 1
    assert cells(result, "1.0000") == ["1.0000", "0.0000", "infinite"]


def test_the_frontier_of_students_without_errors(project: Project, run: Run) -> None:
    """Its legend says infinite, and its points are null in JSON."""
    heard(project, teacher=SOME, student=NONE, small=SOME)
    for name, size in (("teacher", 1000), ("student", 100), ("small", 10)):
        project.models[name] = {
            "engine": "recorded",
            "predictions": f"{name}.jsonl",
            "parameters": size,
            "role": "teacher" if name == "teacher" else "student",
        }
    project.save()
    write_gates(
        project,
        it="assert_score(max=0.5, model='student')",
        b="assert_score(max=0.5, model='small')",
    )
    head = "import pytest\npytestmark = pytest.mark.distill(eval='reviews', student='student')\n"
    body = (
        "    comparison.score('teacher'), comparison.score('student'), comparison.score('small')\n"
    )
    project.file("test_own.py", f"{head}def test_all(comparison):\n{body}")
    result = run(*REPORTS, "-v")
    (frontier,) = project.json()["frontiers"]
    points = {point["model"]: point for point in frontier["points"]}
    assert (points["student"]["retained"], points["small"]["retained"]) == (None, 1.0)
    assert any(line.split()[-3:] == ["100", "0.0000", "infinite"] for line in report_of(result))
