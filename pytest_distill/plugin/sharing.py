"""What one process of a run tells: its tests, its projects, and what their models came to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from pytest_distill.comparison.itself import Itself, known_beside_itself
from pytest_distill.evals.eval import Eval
from pytest_distill.evaluation.answered import answered_notes, fingerprints_of
from pytest_distill.evaluation.evaluation import Evaluation, ReportedEvaluation
from pytest_distill.evaluation.figures import LatencyFigure
from pytest_distill.evaluation.lengths import KnownLengths, known_lengths
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.model import Model
from pytest_distill.gates.doubts import late_doubts
from pytest_distill.gates.latency import QUANTILES
from pytest_distill.gates.verdict import json_ratio
from pytest_distill.plugin.session import DistillSession
from pytest_distill.plugin.since import add_changes
from pytest_distill.plugin.standing import add_standing
from pytest_distill.project.project import Project
from pytest_distill.report.records.comparisons import RecommendationRow, ScoresRow
from pytest_distill.report.records.models import (
    EvaluationRow,
    FiguresRow,
    ItselfRow,
    MemoryRow,
    ModelRow,
    ProvenanceRow,
    Quantile,
    ThroughputRow,
)
from pytest_distill.report.records.record import record_of
from pytest_distill.report.records.report import JudgedRow
from pytest_distill.report.share import Listing, Share
from pytest_distill.report.verdicts import with_doubt
from pytest_distill.statistics.quantiles import unit_interval


def share_of(session: DistillSession) -> Share:
    """Return what this process adds to the ledger beside the reports of its tests."""
    _add_late_doubts(session)
    shown, projects = session.places.shown, session.projects
    configs = {**session.configs, **{path: p.config for path, p in projects.items()}}
    skipped, remarks = session.collected.skipped_files(session.configs)
    for item, state in session.tests:
        state.gate_test |= session.is_gate_test(item)  # a marker may come while it runs
    asking = [item for item in session.collected.items if session.is_gate_test(item)]
    gate_tests = {item.nodeid: (item.location[1] or 0) + 1 for item in asking}
    share = Share(
        gate_tests=gate_tests,
        deselected=[item.nodeid for item in asking if session.collected.left_out(item)],
        runs=[s.run for _, s in session.tests if s.has_something and s.run.attempts],
        late=session.turns.late,
        skipped_files=skipped,
        remarks=[*remarks, *session.collected.ignored_files()],
        required={
            shown(path): list(config.all_required_gates)
            for path, config in sorted(configs.items())
            if config is not None
        },
        unreadable=[shown(path) for path, config in sorted(configs.items()) if config is None],
    )
    for path, project in projects.items():
        _add_project(share, project, shown(path))
        if session.writes_files:
            add_standing(share, project, shown(path))
    return share


def _add_late_doubts(session: DistillSession) -> None:
    """Let every verdict on an eval tell what came out about its teacher, however late."""
    doubts = {
        (session.places.shown(path), eval): note
        for path, project in session.projects.items()
        for eval, note in late_doubts(project.all_models).items()
    }
    for attempt in (attempt for _, state in session.tests for attempt in state.run.attempts):
        for place, row in enumerate(attempt.verdicts):
            doubt = doubts.get((str(row.config), str(row.eval)))
            if doubt is not None:
                attempt.verdicts[place] = with_doubt(row, doubt)


def _add_project(share: Share, project: Project, config: str) -> None:
    """Add models, evaluations and scores so far to a share; nothing is evaluated for it."""
    used = [model for model in project.all_models if model.evaluations or model.figures]
    made = [(model, evaluation) for model in used for evaluation in model.evaluations]
    metrics = {e.eval.name: tuple(metric.name for metric in e.eval.metrics) for _, e in made}
    share.listings[config] = Listing(
        tuple(model.name for model in project.all_models),
        {name: metrics.get(name, ()) for name in project.config.evals},
    )
    share.allow_reruns[config] = project.config.settings.allow_reruns
    for criterion, found in project.recommended.items():
        share.recommendations.append(
            record_of(
                RecommendationRow,
                found,
                config=config,
                criterion=criterion,
                passed_over=tuple(found.passed_over),
                ended_by=next(iter(found.ended_by), None),
            )
        )
    for model in used:
        share.models.append(_model_row(config, project, model))
        share.figures.extend(_figures_rows(config, model))
    for eval, students in project.looks.known().items():
        share.judged.append(JudgedRow(config, eval, tuple(sorted(students))))
    for model, evaluation in made:
        share.evaluations.append(_evaluation_row(config, model, evaluation))
        share.scores.extend(_scores_rows(config, model, evaluation))
        for tokens, within in evaluation.budgets.items():
            share.scores.extend(_scores_rows(config, model, within, tokens))
    add_changes(share, project, config)


def _model_row(config: str, project: Project, model: Model) -> ModelRow:
    entry = project.config.models.get(model.name)
    own = entry if model is project.models.get(model.name) else None
    by = own.answerer if own else None
    batch_tokens = getattr(by.options, "batch_tokens", None) if by else None
    return record_of(
        ModelRow,
        model.known,
        config=config,
        engine=own.engine if own else "fixture",
        batch_tokens=batch_tokens if type(batch_tokens) is int else None,  # a user's may be any
        notes=tuple(model.notes),
        trained=str(entry.trained) if entry and entry.trained else None,
        asked_at=model.asked_at,
        answering=by.engine if own and by and by.engine != own.engine else None,
    )


def _figures_rows(config: str, model: Model) -> Iterator[FiguresRow]:
    """Yield what was measured of a model, a row for each eval whose examples were used."""
    for eval in dict.fromkeys(eval for eval, _ in model.figures):
        figures = {kind: figure for (on, kind), figure in model.figures.items() if on == eval}
        latency, throughput, memory = map(figures.get, ("latency", "throughput", "memory"))
        yield FiguresRow(
            config=config,
            model=model.name,
            eval=eval,
            taken={kind: record_of(ProvenanceRow, f.provenance) for kind, f in figures.items()},
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
    gold = evaluation.eval.gold if isinstance(evaluation.eval, Eval) else None
    evaluated = stored = None
    texts, notes = KnownLengths(), [f"gold set: {gold.origin}"] if gold and gold.origin else []
    fingerprints: dict[str, int] = {}
    itself = known_beside_itself(evaluation)
    if isinstance(evaluation, MeasuredEvaluation):
        texts = known_lengths(evaluation)
        fingerprints = fingerprints_of(evaluation)
        notes += [*answered_notes(evaluation), *map(str, itself[:1])]
    if isinstance(evaluation, MeasuredEvaluation) and evaluation.file is None:
        stored = evaluation.from_store
        evaluated = evaluation.asked - stored
    return EvaluationRow(
        config=config,
        model=model.name,
        eval=evaluation.eval.name,
        n=evaluation.n,
        left_out=len(gold.left_out) if gold else 0,
        evaluated=evaluated,
        from_store=stored,
        notes=tuple(notes),
        fingerprints=fingerprints,
        itself=tuple(map(_itself_row, itself)),
        **{name: None if v is None else float(v) for name, v in asdict(texts).items()},
    )


def _itself_row(itself: Itself) -> ItselfRow:
    return record_of(
        ItselfRow,
        itself,
        first=float(itself.first),
        second=float(itself.second),
        retained=json_ratio(itself.retained),
    )


def _scores_rows(
    config: str, model: Model, evaluation: Evaluation, at_tokens: int | None = None
) -> Iterator[ScoresRow]:
    """Yield a row for every metric that a model was scored by; the ledger joins those of models.

    Scores are exact fractions, in text: the ledger makes the ratios.
    """
    for told in evaluation.known_scores:
        yield record_of(
            ScoresRow,
            told,
            config=config,
            eval=evaluation.eval.name,
            scores={model.name: str(told.score)},
            n=evaluation.n,
            reported=(model.name,) if isinstance(evaluation, ReportedEvaluation) else (),
            at_tokens=at_tokens,
        )
