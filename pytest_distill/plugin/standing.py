"""What one process tells of where its students stand: intervals, pairs, calibration, answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.evidence import retention_evidence
from pytest_distill.comparison.routing import judged_probabilities
from pytest_distill.comparison.shown import (
    shown_answer,
    shown_input,
    shown_prediction,
    shown_target,
)
from pytest_distill.comparison.slices import SliceScores, worst_slices
from pytest_distill.errors import DistillError, one_line
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.metrics import Answer, Metric
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.model import Model
from pytest_distill.gates.verdict import finite, json_ratio
from pytest_distill.plugin.session import DistillSession
from pytest_distill.plugin.since import evaluated, is_ready
from pytest_distill.project.project import Project
from pytest_distill.report.examples import ExampleTable, ModelAnswers, counted, signs
from pytest_distill.report.records.comparisons import (
    SLICES_OF_EACH,
    CalibrationBin,
    CalibrationRow,
    PairRow,
    RetainedRow,
)
from pytest_distill.report.share import Share
from pytest_distill.statistics.confidences import calibration_bins, calibration_error
from pytest_distill.statistics.multiple import intervals
from pytest_distill.statistics.scoring import zero_or_one

Measured = dict[str, tuple[Model, MeasuredEvaluation]]
"""Name of a model -> it, and what it answered on one eval."""


def add_standing(share: Share, project: Project, config: str) -> None:
    """Add what the charts show, of what was evaluated; no code of the user's runs for it."""
    for on, found in _by_eval(project):
        metric = on.metrics[0]
        for model, evaluation in found.values():
            row = _calibration(config, on, model, evaluation)
            share.calibration.extend([] if row is None else [row])
        scored = all(evaluation.has_scores(metric) for _, evaluation in found.values())
        ready = all(is_ready(metric, evaluation) for _, evaluation in found.values())
        for name, (model, _) in found.items():
            if ready and model.role != "teacher":
                share.retained.extend(_retained(config, on, metric, found, name))
            if scored and model.role == "student":
                share.pairs.extend(_pairs(config, on, metric, found, name))


def example_tables(session: DistillSession, share: Share) -> list[ExampleTable]:
    """Return the examples of each eval with the answers that this process knows.

    Where that fails the share says so: all else that was found out stands.
    """
    try:
        return [*_tables(session)]
    except Exception as error:  # noqa: BLE001 (the report says it, whatever it is)
        told = f"{type(error).__name__}: {error}"
        share.late.append(one_line(f"the answers cannot be shown: {told}"))
        return []


def _tables(session: DistillSession) -> Iterator[ExampleTable]:
    for path, project in session.projects.items():
        for on, found in _by_eval(project):
            if all(evaluation.has_scores(on.metrics[0]) for _, evaluation in found.values()):
                yield _table(session.places.shown(path), on, found)


def _by_eval(project: Project) -> Iterator[tuple[Eval, Measured]]:
    """Yield each eval whose headline metric was computed, and the models that answered it."""
    by_name: dict[str, Measured] = {}
    evals: dict[str, Eval] = {}
    for model, evaluation in evaluated(project):
        on = evals.setdefault(evaluation.eval.name, evaluation.eval)
        if any(told.metric == on.metrics[0].name for told in evaluation.known_scores):
            by_name.setdefault(on.name, {}).setdefault(model.name, (model, evaluation))
    for name, found in by_name.items():
        yield evals[name], found


def _retained(
    config: str, on: Eval, metric: Metric, found: Measured, name: str
) -> Iterator[RetainedRow]:
    """Yield what a model kept of all examples and of each slice, the worst first."""
    teacher = next((model for model, _ in found.values() if model.role == "teacher"), None)
    if teacher is None:
        return
    # A model of any role can be the student of a comparison.
    comparison = Comparison(on, {teacher.name: teacher, name: found[name][0]}, name)
    with suppress(DistillError):
        whole = SliceScores(
            "",
            range(len(on.gold)),
            comparison.exact_score("teacher", metric),
            comparison.exact_score(name, metric),
            comparison.exact_retained(metric, model=name),
        )
        rows = [whole, *worst_slices(comparison, metric, SLICES_OF_EACH)]
        ratios = [_evidence(comparison, metric, row, name) for row in rows]
        for row, interval in zip(rows, intervals(ratios), strict=True):
            if row.retained is not None:
                yield RetainedRow(
                    config=config,
                    eval=on.name,
                    metric=metric.name,
                    higher_is_better=metric.higher_is_better,
                    model=name,
                    slice=row.name or None,
                    n=row.n,
                    retained=json_ratio(row.retained),
                    lower=None if interval is None else finite(interval.lower),
                    upper=None if interval is None else finite(interval.upper),
                )


def _evidence(comparison: Comparison, metric: Metric, row: SliceScores, name: str) -> Any:
    with suppress(DistillError):
        return retention_evidence(comparison, metric, row.positions, name)
    return None


def _pairs(config: str, on: Eval, metric: Metric, found: Measured, name: str) -> Iterator[PairRow]:
    """Yield the examples that a student wins and loses against the teacher and each SFT student."""
    mine = found[name][1].scores(metric).tolist()
    for model, evaluation in found.values():
        if model.role != "student":
            its = evaluation.scores(metric).tolist()
            yield PairRow(
                config=config,
                eval=on.name,
                metric=metric.name,
                higher_is_better=metric.higher_is_better,
                model=name,
                other=model.name,
                other_role=model.role,
                **counted(signs(mine, its, metric.higher_is_better)),
            )


def _calibration(
    config: str, on: Eval, model: Model, evaluation: MeasuredEvaluation
) -> CalibrationRow | None:
    """Return a model's calibration; None without probabilities, or where nothing is right."""
    with suppress(DistillError):
        known = judged_probabilities(evaluation)
        if known is not None:
            bins = tuple(CalibrationBin(*each) for each in calibration_bins(*known))
            return CalibrationRow(config, on.name, model.name, calibration_error(*known), bins)
    return None


def _table(config: str, on: Eval, found: Measured) -> ExampleTable:
    metric = on.metrics[0]
    scores = {name: evaluation.scores(metric) for name, (_, evaluation) in found.items()}
    answers = {name: _answers(evaluation) for name, (_, evaluation) in found.items()}
    said = {name: _said(evaluation, answers[name]) for name, (_, evaluation) in found.items()}
    told: Sequence[Answer[Any] | None] = next(
        (each for each in answers.values() if each), [None] * len(on.gold)
    )
    beside = [*zip(on.gold, told, strict=True)]
    return ExampleTable(
        config=config,
        eval=on.name,
        metric=metric.name,
        higher_is_better=metric.higher_is_better,
        right_or_wrong=all(map(zero_or_one, scores.values())),
        ids=tuple(example.id for example in on.gold),
        inputs=tuple(shown_input(on, example, answer) for example, answer in beside),
        targets=tuple(shown_target(on, example, answer) for example, answer in beside),
        slices={field: _values(on, field) for field in on.slices},
        models=tuple(
            ModelAnswers(
                name,
                model.role,
                said[name],
                tuple(scores[name].tolist()),
            )
            for name, (model, _) in found.items()
        ),
    )


def _answers(evaluation: MeasuredEvaluation) -> Sequence[Answer[Any]]:
    """Return a model's answers; none where it has only scores, or answers that cannot be read.

    Those are no error beside ready scores, for which nobody reads them.
    """
    with suppress(DistillError):
        return evaluation.answers if evaluation.predictions else ()
    return ()


def _said(evaluation: MeasuredEvaluation, answers: Sequence[Answer[Any]]) -> tuple[str, ...]:
    if evaluation.eval.task.only_rates:
        return ()
    if answers:
        return tuple(map(shown_answer, answers))
    return tuple(map(shown_prediction, evaluation.predictions))


def _values(on: Eval, field: str) -> tuple[str, ...]:
    values = [""] * len(on.gold)
    for value, positions in on.slice_ids(field).items():
        for position in positions:
            values[position] = value
    return tuple(values)
