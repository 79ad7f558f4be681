"""Gates on what lm-evaluation-harness wrote, in place."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from pytest_distill.evaluation.sources.formats.format import format_of
from tests import lm_eval_runs

from .project import Project, Run

RESULTS = "results/{}/**/samples_pets_*.jsonl"


@pytest.fixture(scope="session")
def runs() -> Path:
    """Return the folder with the runs; what that imports is there before pytester looks."""
    return lm_eval_runs.made()


def test_gates_on_files_in_place(runs: Path, project: Project, run: Run) -> None:
    """The verdict is on lm-evaluation-harness's own numbers, and a note says what was not checked.

    The student's file lies without the results that were printed of it.
    """
    shutil.copytree(runs, project.path / "results")
    for results in (project.path / "results" / "small").rglob("results_*.json"):
        results.unlink()
    scores = {}
    for name in ("big", "small"):
        path = lm_eval_runs.samples(project.path / "results", "pets", name)
        rows = [json.loads(line) for line in path.read_text().split("\n") if line]
        scores[name] = sum(row["acc"] for row in rows) / len(rows)
        (found,) = format_of("lm-eval").read([path])
    project.rows("pets.jsonl", ({**row.document, "id": row.id} for row in found.rows))
    project.config.clear()
    project.config.update(
        models={
            role: {"engine": "recorded", "format": "lm-eval", "predictions": RESULTS.format(name)}
            for role, name in (("teacher", "big"), ("student", "small"))
        },
        evals={
            "pets": {
                "task": "multiple_choice",
                "data": "pets.jsonl",
                "metrics": [{"name": "acc"}, {"name": "acc_norm"}],
            }
        },
    )
    project.save()
    project.file(
        "test_ship.py",
        """
        from pytest_distill import assert_quality_retained

        def test_keeps():
            assert_quality_retained(min=0.1, eval="pets")
        """,
    )
    run("--distill-json=out.json").assert_outcomes(passed=1)
    report = project.json()
    row = next(row for row in report["comparisons"] if row["metric"] == "acc")
    assert row["scores"]["teacher"] == pytest.approx(scores["big"])
    assert row["scores"]["student"] == pytest.approx(scores["small"])
    notes = {model["name"]: model["notes"] for model in report["models"]}
    assert notes["teacher"] == []
    assert "no file of results beside it" in notes["student"][0]
