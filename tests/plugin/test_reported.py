from __future__ import annotations

from typing import Any

import pytest

from .project import Project, Run, decision_of, refuse_package_frames, report_of, rows_of, said

# transformers, examples/research_projects/distillation/README.md: the dev sets of GLUE.
TASKS = {
    "cola": ("matthews", 56.3, 51.3),
    "mnli": ("accuracy", 84.7, 82.1),
    "mrpc": ("accuracy", 88.6, 87.5),
    "qnli": ("accuracy", 91.8, 89.2),
    "qqp": ("accuracy", 89.6, 88.5),
    "rte": ("accuracy", 69.3, 59.9),
    "sst2": ("accuracy", 92.7, 91.3),
    "stsb": ("pearson", 89.0, 86.9),
    "wnli": ("accuracy", 53.5, 56.3),
}
# Cut off after four places, by hand: 51.3 / 56.3 = 0.91119..., 59.9 / 69.3 = 0.86435..., and so on.
RETAINED = {
    "cola": "0.9111",
    "mnli": "0.9693",
    "mrpc": "0.9875",
    "qnli": "0.9716",
    "qqp": "0.9877",
    "rte": "0.8643",
    "sst2": "0.9848",
    "stsb": "0.9764",
    "wnli": "1.0523",
}


def glue(project: Project, scale: float = 1.0) -> None:
    """Write the published table: BERT-base as the teacher, DistilBERT as the student."""

    def scores(column: int) -> dict[str, dict[str, float]]:
        return {
            name: {str(row[0]): round(float(row[column]) * scale, 6)} for name, row in TASKS.items()
        }

    project.config = {
        "models": {
            "bert": {
                "role": "teacher",
                "engine": "reported",
                "parameters": 110_000_000,
                "scores": scores(1),
            },
            "distilbert": {
                "role": "student",
                "engine": "reported",
                "parameters": 66_000_000,
                "scores": scores(2),
            },
        },
        "evals": {
            name: {"metrics": [{"name": "pearson", "range": [-1.0, 1.0]}]}
            if name == "stsb"
            else {"metrics": [row[0]]}
            for name, row in TASKS.items()
        },
    }
    project.save()


def gates(project: Project, least: float) -> None:
    """Write one gate for each task of GLUE."""
    project.file(
        "test_ship.py",
        f"""
        import pytest
        from pytest_distill import assert_quality_retained

        @pytest.mark.distill
        @pytest.mark.parametrize("name", {list(TASKS)})
        def test_keeps(name):
            assert_quality_retained(min={least}, eval=name)
        """,
    )


@pytest.mark.parametrize("scale", [1.0, 0.01], ids=["percent", "fraction"])
def test_distilbert_on_glue(project: Project, run: Run, scale: float) -> None:
    """The published table gives the published ratios, cut off, in per cent and as fractions."""
    glue(project, scale)
    gates(project, 0.9)
    result = run("--distill-report", "--distill-json", "out.json")
    result.assert_outcomes(passed=8, failed=1)
    assert decision_of(result)[0] == "DO NOT SHIP"
    report = project.json()
    shown = {row["eval"]: row["retained"]["distilbert"] for row in report["comparisons"]}
    assert shown["rte"] == pytest.approx(59.9 / 69.3, abs=1e-12)
    assert [row[-1] for row in rows_of(result, "distilbert")] == list(RETAINED.values())
    (failed,) = rows_of(result, "FAILED")
    assert failed[1:4] == ["0.8643", ">=", "0.9"]


def test_all_but_rte_keep_nine_tenths_of_cola_s_share(project: Project, run: Run) -> None:
    """CoLA retains 0.9111 and passes 0.911; it fails 0.9112."""
    glue(project)
    gates(project, 0.911)
    run("-k", "cola").assert_outcomes(passed=1, deselected=8)
    gates(project, 0.9112)
    run("-k", "cola").assert_outcomes(failed=1, deselected=8)


def test_is_marked_in_the_report(project: Project, run_both: Run) -> None:
    """Tables, gates and JSON say that the scores were reported, not measured."""
    glue(project)
    gates(project, 0.8)
    result = run_both("--distill-report", "--distill-json", "out.json")
    assert decision_of(result) == ("SHIP", "")
    lines = report_of(result)
    assert lines.count("reported, not measured: bert, distilbert") == 1
    assert "rte, reported scores" in lines
    assert rows_of(result, "bert")[0][:4] == ["bert", "teacher", "110M*", "0.5630"]
    assert rows_of(result, "distilbert")[0][2] == "66M*"
    for gate in project.json()["gates"]:
        assert gate["notes"] == ["reported, not measured: bert, distilbert"]
        assert gate["n"] is None
    assert {(e["eval"], e["n"]) for e in project.json()["evaluations"]} == {
        (name, None) for name in TASKS
    }


def test_a_failing_gate_says_that_the_scores_are_reported(project: Project, run: Run) -> None:
    """There are no examples, so the message has no flips and no file."""
    glue(project)
    gates(project, 0.9)
    result = run("-k", "rte")
    message = [line for line in result.outlines if line.startswith("E ")]
    assert message == [
        "E       assert 0.8643 >= 0.9 quality retained (accuracy)",
        "E         eval rte, reported scores",
        "E         bert       (teacher)  accuracy 0.6930, 110,000,000 parameters",
        "E         distilbert (student)  accuracy 0.5990, 66,000,000 parameters",
        "E         note: reported, not measured: bert, distilbert",
    ]


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ((0.9, 85.0), "one looks like a fraction and one like per cent"),
        ((float("nan"), 0.8), "not a finite number"),
        ((float("inf"), 0.8), "not a finite number"),
        ((90.0, 101.0), "not in the range of accuracy"),
        ((-5.0, 80.0), "not in the range of accuracy"),
        ((0, 80.0), "the teacher scores 0"),
        (("90", 80.0), "not '90'"),
        ((True, 80.0), "not True"),
    ],
)
def test_bad_scores_are_refused(
    project: Project, run: Run, scores: tuple[Any, Any], message: str
) -> None:
    """Mixed units, NaN, out of range and text are errors that name model, eval and metric."""
    project.config = {
        "models": {
            role: {"engine": "reported", "scores": {"rte": {"accuracy": score}}}
            for role, score in zip(("teacher", "student"), scores, strict=True)
        },
        "evals": {"rte": None},
    }
    project.save()
    project.file(
        "test_ship.py",
        "from pytest_distill import assert_quality_retained\n\n"
        "def test_it(comparison):\n    assert_quality_retained(min=0.1)\n",
    )
    result = run("--distill-report")
    assert result.ret not in (pytest.ExitCode.OK, pytest.ExitCode.INTERNAL_ERROR)
    assert decision_of(result)[0] == "INCOMPLETE"
    flat = " ".join(said(result).split())
    assert message in flat
    assert "rte" in flat
    assert "accuracy" in flat
    refuse_package_frames(result)


def test_a_measured_student_beside_a_reported_teacher(project: Project, run: Run) -> None:
    """A published teacher score may stand beside recorded predictions; the mix is marked."""
    project.models["teacher"] = {
        "engine": "reported",
        "scores": {"reviews": {"accuracy": 0.9}},
    }
    project.save()
    project.file(
        "test_ship.py",
        "from pytest_distill import assert_quality_retained\n\n"
        "def test_it(comparison):\n"
        "    assert comparison.retained() == 17 / 18\n"
        "    assert_quality_retained(min=0.95)\n",
    )
    result = run("--distill-report")
    assert rows_of(result, "FAILED")[0][1:4] == ["0.9444", ">=", "0.95"]
    assert "reported, not measured: teacher" in report_of(result)
    assert "flips" not in said(result)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("comparison.flips", "reported scores: no flips are known"),
        ("comparison.retained(slice='lang=de')", "only reported scores"),
        ("comparison.retained('accuracy')", "has no metric 'accuracy'"),
        ("comparison.teacher.engine", "model 'bert' does not run here"),
        ("gold", "only reported scores, and so no gold set"),
    ],
)
def test_what_needs_examples_is_refused(
    project: Project, run: Run, call: str, message: str
) -> None:
    """Slices, flips and gold sets of reported scores are clear errors."""
    glue(project)
    fixture = "gold" if call == "gold" else "comparison"
    project.file(
        "test_ship.py",
        f"import pytest\n\n@pytest.mark.distill(eval='cola')\ndef test({fixture}):\n    {call}\n",
    )
    result = run()
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert message in said(result)
    refuse_package_frames(result)
