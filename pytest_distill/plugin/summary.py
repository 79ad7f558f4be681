"""What the models of a project came to: rows of one process's share of the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from pytest_distill.evals.eval import Eval
from pytest_distill.evaluation.efficiency import LatencyFigure
from pytest_distill.evaluation.evaluation import Evaluation, MeasuredEvaluation, ReportedEvaluation
from pytest_distill.evaluation.models import Model
from pytest_distill.gates.latency import QUANTILES
from pytest_distill.project.project import Project
from pytest_distill.report.records import (
    EvaluationRow,
    FiguresRow,
    MemoryRow,
    ModelRow,
    ProvenanceRow,
    Quantile,
    RecommendationRow,
    ScoresRow,
    ThroughputRow,
    record_of,
)
from pytest_distill.report.share import Listing, Share
from pytest_distill.statistics.quantiles import unit_interval


def add_project(share: Share, project: Project, config: str) -> None:
    """Add models, evaluations and scores so far to a share; nothing is evaluated for it.

    Parameters
    ----------
    share : Share
        What the process tells.
    project : Project
        Whose evaluations are told of.
    config : str
        The shown path of its ``distill.yaml``.
    """
    used = [model for model in project.all_models if model.evaluations or model.figures]
    made = [(model, evaluation) for model in used for evaluation in model.evaluations]
    metrics = {e.eval.name: tuple(metric.name for metric in e.eval.metrics) for _, e in made}
    share.listings[config] = Listing(
        tuple(model.name for model in project.all_models),
        {name: metrics.get(name, ()) for name in project.config.evals},
    )
    share.allow_reruns[config] = project.config.settings.allow_reruns
    share.models.extend(_model_row(config, project, model) for model in used)
    share.evaluations.extend(_evaluation_row(config, model, e) for model, e in made)
    share.figures.extend(
        _figures_row(config, model, eval)
        for model in used
        for eval in dict.fromkeys(eval for eval, _ in model.figures)
    )
    share.recommendations.extend(
        record_of(
            RecommendationRow,
            found,
            config=config,
            criterion=criterion,
            passed_over=tuple(found.passed_over),
            ended_by=next(iter(found.ended_by), None),
        )
        for criterion, found in project.recommended.items()
    )
    for name in project.config.evals:
        share.scores.extend(_scores_rows(config, name, used))


def _model_row(config: str, project: Project, model: Model) -> ModelRow:
    entry = project.config.models.get(model.name)
    own = entry is not None and model is project.models.get(model.name)
    return record_of(
        ModelRow,
        model.known,
        config=config,
        engine=entry.engine if entry and own else "fixture",
        batch_tokens=getattr(entry, "batch_tokens", None) if own else None,
        notes=tuple(model.notes),
        trained=str(entry.trained) if entry and entry.trained else None,
    )


def _figures_row(config: str, model: Model, eval: str) -> FiguresRow:
    """Return what was measured of a model on an eval's examples."""
    figures = {kind: figure for (on, kind), figure in model.figures.items() if on == eval}
    latency, throughput, memory = (figures.get(k) for k in ("latency", "throughput", "memory"))
    return FiguresRow(
        config=config,
        model=model.name,
        eval=eval,
        taken={
            kind: record_of(ProvenanceRow, figure.provenance) for kind, figure in figures.items()
        },
        latency=latency and _quantiles(latency),
        throughput=throughput and record_of(ThroughputRow, throughput),
        memory=memory and record_of(MemoryRow, memory, memory.memory),
    )


def _quantiles(latency: LatencyFigure) -> dict[str, dict[str, Quantile]]:
    return {
        part: {
            name: record_of(Quantile, unit_interval(*times, QUANTILES[name]))
            for name in ("p50", "p95")
        }
        for part in ("example", "first_token", "token")
        if (times := latency.times(part)) is not None
    }


def _evaluation_row(config: str, model: Model, evaluation: Evaluation) -> EvaluationRow:
    on = evaluation.eval
    ran = isinstance(evaluation, MeasuredEvaluation) and evaluation.file is None
    stored = evaluation.from_store if isinstance(evaluation, MeasuredEvaluation) else 0
    return EvaluationRow(
        config=config,
        model=model.name,
        eval=on.name,
        n=evaluation.n,
        left_out=len(on.gold.left_out) if isinstance(on, Eval) else 0,
        evaluated=(evaluation.n or 0) - stored if ran else None,
        from_store=stored if ran else None,
        notes=(f"gold set: {o}",) if isinstance(on, Eval) and (o := on.gold.origin) else (),
    )


def _scores_rows(config: str, eval: str, models: Sequence[Model]) -> Iterator[ScoresRow]:
    """Yield a row for every metric of an eval that a model was scored by.

    Scores are exact fractions, in text: the ledger makes the ratios.
    """
    found: Mapping[str, Evaluation] = {
        m.name: e for m in models for e in m.evaluations if e.eval.name == eval
    }
    scores: dict[tuple[str, bool], dict[str, str]] = {}
    for name, evaluation in found.items():
        for told in evaluation.known_scores:
            by = scores.setdefault((told.metric, told.higher_is_better), {})
            by.setdefault(name, str(told.score))
    for (metric, higher_is_better), each in scores.items():
        yield ScoresRow(
            config=config,
            eval=eval,
            metric=metric,
            higher_is_better=higher_is_better,
            scores=each,
            n=next((e.n for e in found.values() if e.n is not None), None),
            reported=tuple(name for name, e in found.items() if isinstance(e, ReportedEvaluation)),
        )
