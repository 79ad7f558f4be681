"""``task: lm_eval:NAME`` judged by files that lm-evaluation-harness wrote, in place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_distill.comparison.comparison import Comparison
from pytest_distill.config import load_config
from pytest_distill.errors import EvaluationError
from pytest_distill.project.project import Project
from tests import lm_eval_runs
from tests.lm_eval_cases import CASES
from tests.lm_eval_tasks import their_config

CASE = CASES["arc_easy"]
MEAN = {"aggregation": "mean", "higher_is_better": True}
OVERRIDE = {
    **CASE.override,
    "metric_list": [{"metric": m, **MEAN} for m in ("acc", "acc_norm", "acc_mutual_info")],
}


def documents() -> list[dict[str, Any]]:
    """Return a few documents of the task's form; the first one stands twice."""
    rows = [
        {
            "id": f"Mercury_{number}",
            "question": f"What is {number}?",
            "choices": {"text": ["a fox", "the lazy dog", "worm"], "label": ["A", "B", "C"]},
            "answerKey": "ABC"[number % 3],
        }
        for number in range(6)
    ]
    return [*rows, rows[0]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the data, and a run of each of two models in its own."""
    made = tmp_path_factory.mktemp("arc")
    data = made / "arc.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in documents()))
    config = {**their_config(CASE, data, OVERRIDE), "task": "arc_easy"}
    for key in ("tag", "group", "task_list"):
        config.pop(key, None)
    for seed, name in enumerate(("big", "small")):
        lm_eval_runs.write(made / name, [dict(config)], seed=seed, num_fewshot=2)
    return made


@pytest.mark.parametrize("said", [{"num_fewshot": 1}, {"fewshot_seed": 3}, {"description": "Do."}])
def test_a_run_that_asked_other_prompts_than_the_task_does(
    folder: Path, said: dict[str, Any]
) -> None:
    """Another number of solved examples, others, or another text before them."""
    override = OVERRIDE | {key: said.pop(key) for key in ("description",) if key in said}
    arc = {"task": "lm_eval:arc_easy", "num_fewshot": 2, "data": {CASE.split: "arc.jsonl"}}
    recorded = {"engine": "recorded", "format": "lm-eval"}
    models = {
        role: {**recorded, "predictions": f"{name}/**/samples_*.jsonl"}
        for role, name in (("teacher", "big"), ("student", "small"))
    }
    evals = {"arc": {**arc, "override": override, **said}}
    (folder / "distill.yaml").write_text(yaml.safe_dump({"models": models, "evals": evals}))
    comparison = Project(load_config(folder / "distill.yaml")).comparison("arc", kind=Comparison)
    with pytest.raises(EvaluationError, match=r"asked another prompt .* say num_fewshot"):
        comparison.evaluation("teacher")


def test_a_task_on_files_in_place(folder: Path) -> None:
    """Its own scores of the recorded answers are those in the files, and no note says otherwise.

    What lm-evaluation-harness asked without a prompt belongs to the answers of its task.
    """
    said = {
        "models": {
            role: {
                "engine": "recorded",
                "format": "lm-eval",
                "predictions": f"{name}/**/samples_*.jsonl",
            }
            for role, name in (("teacher", "big"), ("student", "small"))
        },
        "evals": {
            "arc": {
                "task": "lm_eval:arc_easy",
                "num_fewshot": 2,
                "data": {CASE.split: "arc.jsonl"},
                "override": OVERRIDE,
            }
        },
    }
    (folder / "distill.yaml").write_text(yaml.safe_dump(said))
    project = Project(load_config(folder / "distill.yaml"))
    comparison = project.comparison("arc", kind=Comparison)
    comparison.pair("teacher", "student")
    for role, name in (("teacher", "big"), ("student", "small")):
        lines = lm_eval_runs.samples(folder, "arc_easy", name).read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        evaluation: Any = comparison.evaluation(role)
        assert [metric.name for metric in evaluation.metrics] == [
            *("acc", "acc_norm", "acc_mutual_info")
        ]
        for metric in evaluation.metrics:
            assert evaluation.scores(metric).tolist() == [row[metric.name] for row in rows]
        assert project.models[role].notes == []
        assert len(evaluation.predictions[0].loglikelihoods) == 6
