"""Tasks of lm-evaluation-harness in a project: a group is a suite of evals."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_distill.evals.lm_eval.task import LmEval

pytest.importorskip("lm_eval.tasks")  # before pytester notes what is imported

TASK = """
dataset_path: json
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: choices
doc_to_target: answer
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
GROUP = "group: pair\ntask: [few, many]\naggregate_metric_list: [{metric: acc, weight_by_size: %s}]"
CONFIG = """
models:
  teacher: {engine: recorded, predictions: {suite: "teacher-{task}.jsonl"}}
  student: {engine: recorded, predictions: {suite: "student-{task}.jsonl"}}
evals:
  suite: {task: lm_eval:pair, include_path: tasks, data: {test: "{task}.jsonl"}}
"""
SIZES = {"few": 10, "many": 30}


@pytest.fixture
def suite(pytester: pytest.Pytester) -> dict[str, dict[str, float]]:
    """Write two tasks and what two models answered; return the accuracy of each by task."""
    folder = pytester.path
    (folder / "tasks").mkdir()
    (folder / "tasks" / "pair.yaml").write_text(GROUP % "true")
    (folder / "distill.yaml").write_text(CONFIG)
    right: dict[str, dict[str, float]] = {}
    for task, n in SIZES.items():
        (folder / "tasks" / f"{task}.yaml").write_text(f"task: {task}\n{TASK}")
        rows = [{"question": f"{task} {i}?", "choices": ["a", "b"], "answer": 0} for i in range(n)]
        (folder / f"{task}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        of = LmEval(of=task, include_path=folder / "tasks", data={"test": folder / f"{task}.jsonl"})
        for model, every in (("teacher", 5), ("student", 3)):
            said = {e.id: i % every > 0 or n > i > 20 for i, e in enumerate(of.gold)}
            lines = (
                {"id": id, "loglikelihoods": [-1.0, -2.0] if good else [-2.0, -1.0]}
                for id, good in said.items()
            )
            text = "".join(json.dumps(line) + "\n" for line in lines)
            (folder / f"{model}-{task}.jsonl").write_text(text)
            right.setdefault(model, {})[task] = sum(said.values()) / n
    return right


def aggregate(scores: dict[str, float], *, by_size: bool) -> float:
    """Return what lm-evaluation-harness makes of the accuracies of the tasks."""
    from lm_eval.api.metrics import aggregate_subtask_metrics

    sizes = [SIZES[task] for task in scores]
    return float(aggregate_subtask_metrics(list(scores.values()), sizes, by_size))


@pytest.mark.parametrize("by_size", [True, False])
def test_a_group_is_a_suite_of_evals(
    pytester: pytest.Pytester,
    suite: dict[str, dict[str, float]],
    run: Callable[..., pytest.RunResult],
    by_size: bool,
) -> None:
    """A group is judged as a suite, and its own average is told as lm-eval computes it."""
    Path("tasks", "pair.yaml").write_text(GROUP % str(by_size).lower())
    pytester.makepyfile(
        """
        import pytest
        from pytest_distill import assert_quality_retained, assert_suite_retained

        def test_named():
            assert_suite_retained(min=0.99, evals=["suite"])

        @pytest.mark.distill(eval="suite")
        def test_marked():
            assert_suite_retained(min=0.1)

        @pytest.mark.distill(eval="suite.few")
        def test_one(comparison):
            comparison.assert_quality_retained(min=0.1)

        @pytest.mark.distill(eval="suite")
        def test_one_gate_on_a_group():
            assert_quality_retained(min=0.1)
        """
    )
    result = run("--distill-report")
    result.assert_outcomes(passed=2, failed=2)
    text = result.stdout.str()
    assert "suite.few,suite.many" not in text  # the group's own name says it
    teacher, student = (aggregate(suite[m], by_size=by_size) for m in ("teacher", "student"))
    told = f"acc {floor(teacher)} teacher, {floor(student)} student, {floor(student / teacher)} ret"
    assert f"pair as lm-evaluation-harness averages it: {told}" in text
    assert "'suite' is a group of 2 evals: name one of them (suite.few, suite.many)" in text


def floor(value: float) -> str:
    """Return a number cut off after the digits that a report shows."""
    from pytest_distill._util.format import floor_text

    return floor_text(value + 1e-12)


def test_nothing_of_lm_eval_is_imported_where_no_task_of_it_is_named(tmp_path: Path) -> None:
    """Reading a configuration without such a task costs nothing of it."""
    code = (
        "import sys, pathlib, pytest_distill.plugin\n"
        "from pytest_distill.config import load_config\n"
        "pathlib.Path('distill.yaml').write_text('models: {t: {role: teacher, engine: reported, "
        "scores: {e: {accuracy: 0.5}}}}\\nevals: {e: }\\n')\n"
        "load_config(pathlib.Path('distill.yaml'))\n"
        "print([name for name in sys.modules if name.partition('.')[0] in ('lm_eval', 'datasets')])"
    )
    result: Any = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "[]"


def test_documents_that_cannot_be_read_are_told_without_frames(
    suite: dict[str, dict[str, float]],  # noqa: ARG001 (writes the project)
    pytester: pytest.Pytester,
) -> None:
    """Nobody mends anything in the standard library, through which they are read."""
    (pytester.path / "few.jsonl").unlink()
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.distill(eval="suite.few")
        def test_it(comparison):
            comparison.assert_quality_retained(min=0.5)
        """
    )
    result = pytester.runpytest_inprocess("-p", "no:xdist")
    result.stdout.fnmatch_lines(["distill.yaml: evals.suite.few: *few.jsonl: no such file*"])
    assert "functools" not in result.stdout.str()
