"""What a project's models came to, in built-in types: one process's share of the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import inf
from typing import Any

from pytest_distill.evals.eval import Eval
from pytest_distill.evaluation.evaluation import Evaluation, MeasuredEvaluation, ReportedEvaluation
from pytest_distill.evaluation.models import Model
from pytest_distill.gates.latency import QUANTILES, interval_dict
from pytest_distill.project.project import Project
from pytest_distill.statistics.quantiles import Floats, Units, unit_interval

REPORTED = ("p50", "p95")

Rows = list[dict[str, Any]]


def summary(project: Project, config_name: str) -> dict[str, Rows]:
    """Return models, evaluations and comparisons so far; nothing is evaluated for it.

    Parameters
    ----------
    project : Project
        Whose evaluations are told of.
    config_name : str
        What tells this ``distill.yaml`` from others of the same run.
    """
    used = [model for model in project.all_models if model.evaluations or model.figures]
    models = {model.name: position for position, model in enumerate(project.all_models)}
    evals = {name: position for position, name in enumerate(project.config.evals)}
    about = {"config": config_name}
    return {
        "models": [
            about | {"order": [models[model.name]]} | _model_row(project, model) for model in used
        ],
        "figures": [
            about | {"order": [evals[eval], models[m.name]]} | _figures_row(m, eval)
            for m in used
            for eval in dict.fromkeys(eval for eval, _ in m.figures)
        ],
        "evaluations": [
            about | {"order": [evals[e.eval.name], models[m.name]]} | _evaluation_row(m, e)
            for m in used
            for e in m.evaluations
        ],
        "recommendations": [
            about
            | {"order": [position], "criterion": criterion, "model": found.model}
            | {
                "passed_over": list(found.passed_over),
                "ended_by": next(iter(found.ended_by), None),
            }
            | {"not_tried": list(found.not_tried)}
            for position, (criterion, found) in enumerate(project.recommended.items())
        ],
        "comparisons": [
            about | {"order": [evals[name], position]} | row
            for name in project.config.evals
            for position, row in enumerate(_compared(name, used))
        ],
    }


def _model_row(project: Project, model: Model) -> dict[str, Any]:
    info = model.known
    entry = project.config.models.get(model.name)
    own = entry is not None and model is project.models.get(model.name)
    return {
        **{f: getattr(info, f) for f in ("name", "role", "parameters", "bytes")},
        **{f: getattr(info, f) for f in ("active_parameters", "embedding_parameters")},
        **{f: getattr(info, f) for f in ("quantization", "latency_ms", "cost_per_1k")},
        "declared": list(info.declared),
        **{f: getattr(info, f) for f in ("dtype", "device", "path", "digest")},
        "engine": entry.engine if entry and own else "fixture",
        "batch_tokens": getattr(entry, "batch_tokens", None) if own else None,
        "notes": list(model.notes),
        "trained": str(entry.trained) if entry and entry.trained else None,
    }


def _figures_row(model: Model, eval: str) -> dict[str, Any]:
    """Return what was measured of a model on an eval's examples."""
    figures = {kind: figure for (on, kind), figure in model.figures.items() if on == eval}
    latency, throughput, memory = (figures.get(k) for k in ("latency", "throughput", "memory"))
    row: dict[str, Any] = {"model": model.name, "eval": eval, "taken": {}}
    for kind, figure in figures.items():
        row["taken"][kind] = asdict(figure.provenance)
    parts = ("example", "first_token", "token")
    row["latency"] = latency and {
        part: {name: _quantile(times, name) for name in REPORTED}
        for part in parts
        if (times := latency.times(part)) is not None
    }
    row["throughput"] = throughput and {
        key: getattr(throughput, key)
        for key in ("per_second", "lowest", "highest", "batch_tokens", "n")
    }
    row["memory"] = memory and {**asdict(memory.memory), "n": memory.n}
    return row


def _quantile(times: tuple[Floats, Units], name: str) -> dict[str, float | int | None]:
    return interval_dict(unit_interval(*times, QUANTILES[name]))


def _evaluation_row(model: Model, evaluation: Evaluation) -> dict[str, Any]:
    on = evaluation.eval
    ran = isinstance(evaluation, MeasuredEvaluation) and evaluation.file is None
    stored = evaluation.from_store if isinstance(evaluation, MeasuredEvaluation) else 0
    return {
        "model": model.name,
        "eval": on.name,
        "n": evaluation.n,
        "left_out": len(on.gold.left_out) if isinstance(on, Eval) else 0,
        "evaluated": (evaluation.n or 0) - stored if ran else None,
        "from_store": stored if ran else None,
        "notes": [f"gold set: {o}"] if isinstance(on, Eval) and (o := on.gold.origin) else [],
    }


def _compared(eval: str, models: Sequence[Model]) -> Rows:
    """Return a row for every metric of an eval that a model was scored by.

    Scores are exact fractions, in text: the ledger makes the ratios.
    """
    found = {m.name: e for m in models for e in m.evaluations if e.eval.name == eval}
    scores: dict[tuple[str, bool], dict[str, str]] = {}
    for name, evaluation in found.items():
        for told in evaluation.known_scores:
            by = scores.setdefault((told.metric, told.higher_is_better), {})
            by.setdefault(name, str(told.score))
    metrics = [metric.name for e in found.values() for metric in e.eval.metrics]
    listed = sorted(scores, key=lambda by: metrics.index(by[0]) if by[0] in metrics else inf)
    return [_row(eval, by, scores[by], found) for by in listed]


def _row(
    eval: str, by: tuple[str, bool], scores: dict[str, str], found: Mapping[str, Evaluation]
) -> dict[str, Any]:
    metric, higher_is_better = by
    return {
        "eval": eval,
        "metric": metric,
        "higher_is_better": higher_is_better,
        "scores": scores,
        "n": next((e.n for e in found.values() if e.n is not None), None),
        "reported": [name for name, e in found.items() if isinstance(e, ReportedEvaluation)],
    }
