"""Gates on the logs of inspect and the details of lighteval, in place."""

from __future__ import annotations

import zipfile
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
from inspect_ai.log import EvalLog, EvalSample, EvalSpec, recompute_metrics, write_eval_log
from inspect_ai.model import ChatMessageSystem, ChatMessageUser, ModelOutput
from inspect_ai.scorer import Score

from pytest_distill.evaluation.sources.formats.format import ForeignRun, format_of

from .project import Project, Run

LIGHTEVAL = Path(__file__).parents[1] / "lighteval_runs" / "runs.zip"


def declared(project: Project, format: str, files: str, evals: dict[str, Any]) -> None:
    """Let a teacher and a student be read from files whose path has their role."""
    project.config.clear()
    project.config.update(
        models={
            role: {
                "engine": "recorded",
                "format": format,
                "predictions": {name: files.format(role=role, eval=name) for name in evals},
            }
            for role in ("teacher", "student")
        },
        evals=evals,
    )
    project.save()
    project.file(
        "test_ship.py",
        """
        import pytest
        from pytest_distill import assert_quality_retained

        @pytest.mark.parametrize("name", ["sums", "sampled"])
        def test_keeps(name):
            assert_quality_retained(min=0.1, eval=name)
        """,
    )


def gold(project: Project, name: str, run: ForeignRun) -> None:
    """Write the gold set that a run is of."""
    project.rows(name, ({**row.document, "id": row.id} for row in run.rows if row.repeat == 0))


def scores(project: Project) -> dict[tuple[str, str, str], float]:
    """Return what the last run reported: eval, metric and model -> score."""
    return {
        (row["eval"], row["metric"], model): score
        for row in project.json()["comparisons"]
        for model, score in row["scores"].items()
    }


def log_of(path: Path, task: str, every: int, epochs: int, system: str = "") -> Path:
    """Return a log that inspect wrote, of a model that is wrong once in `every` answers."""
    asked = [ChatMessageUser(content="2 + 2 =")]
    samples = [
        EvalSample(
            id=number,
            epoch=epoch,
            input="2 + 2 =",
            target="4",
            messages=[ChatMessageSystem(content=system), *asked] if system else asked,
            output=ModelOutput.from_content("m", "4" if right else "5"),
            scores={"match": Score(value="C" if right else "I")},
        )
        for number in range(1, 13)
        for epoch in range(1, epochs + 1)
        for right in [(number + epoch) % every > 0]
    ]
    spec = EvalSpec.model_validate(
        {
            "created": "2026-01-01T00:00:00+00:00",
            "task": task,
            "dataset": {"sample_ids": list(range(1, 13))},
            "model": f"openai/{path.parent.name}",
            "config": {"epochs": epochs},
            "scorers": [{"name": "match", "metrics": [{"name": "inspect_ai/accuracy"}]}],
        }
    )
    log = EvalLog(status="success", eval=spec, samples=samples)
    recompute_metrics(log)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_eval_log(log, str(path))
    return path


def test_gates_on_logs_of_inspect(project: Project, run: Run) -> None:
    """Scores are inspect's own; epochs are samples; another system message is refused."""
    for role, every in (("teacher", 5), ("student", 3)):
        folder = project.path / "logs" / role
        log_of(folder / "a_sums.eval", "sums", every, 1, "Be brief." if role == "student" else "")
        path = log_of(folder / "b_sampled.eval", "sampled", every, 2)
    (read,) = format_of("inspect").read([path])
    gold(project, "gold.jsonl", read)
    own = {"task": "generation", "data": "gold.jsonl", "metrics": [{"name": "match"}]}
    sampled = {"repeats": 2, "do_sample": True, "seed": 0}
    declared(
        project,
        "inspect",
        "logs/{role}/*_{eval}.eval",
        {"sums": own, "sampled": {**own, **sampled, "metrics": [{"name": "match"}, "exact_match"]}},
    )
    result = run("--distill-json=out.json")
    result.assert_outcomes(passed=1, failed=1)
    assert "were asked other prompts for example '1' and 11 more" in result.stdout.str()
    by_hand = {
        role: mean((n + e) % every > 0 for n in range(1, 13) for e in (1, 2))
        for role, every in (("teacher", 5), ("student", 3))
    }
    found = scores(project)
    for metric in ("match", "exact_match"):
        for role, score in by_hand.items():
            assert found["sampled", metric, role] == pytest.approx(score)


def test_gates_on_details_of_lighteval(project: Project, run: Run) -> None:
    """Scores are lighteval's own: of choices, and pass@k of the samples of an example."""
    with zipfile.ZipFile(LIGHTEVAL) as archive:
        archive.extractall(project.path)
    files = {
        task: sorted(project.path.glob(f"details/org/*/*/details_{task}|0_*.parquet"))
        for task in ("sums", "sampled")
    }
    runs = {task: format_of("lighteval").read(paths) for task, paths in files.items()}
    for task, (first, *_) in runs.items():
        gold(project, f"{task}.jsonl", first)
    metric = "pass@k:k=2&n=4"
    declared(
        project,
        "lighteval",
        "details/org/{role}/*/details_{eval}|0_*.parquet",
        {
            "sums": {"task": "multiple_choice", "data": "sums.jsonl", "metrics": [{"name": "acc"}]},
            "sampled": {
                "task": "generation",
                "data": "sampled.jsonl",
                "metrics": [{"name": metric}],
            },
        },
    )
    run("--distill-json=out.json").assert_outcomes(passed=2)
    found = scores(project)
    for task, name in (("sums", "acc"), ("sampled", metric)):
        for each in runs[task]:
            role = str(each.model).removeprefix("org/")
            if role != "hinted":
                wanted = mean(row.scores[name] for row in each.rows)
                assert found[task, name, role] == pytest.approx(wanted)
