"""What one process of a run tells of the accepted run that the project names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

from pytest_distill._util.git import is_ancestor
from pytest_distill.comparison.baseline.file import AcceptedModel, age_text
from pytest_distill.comparison.baseline.held import GoldChange, counterpart, gold_change, held
from pytest_distill.errors import ConfigError, DistillError, one_line, some_of
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.metrics import MeanMetric, Metric
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.model import Model
from pytest_distill.project.project import Project
from pytest_distill.report.records.record import record_of
from pytest_distill.report.records.since import BaselineRow, ChangeRow, GoldChangeRow
from pytest_distill.report.share import Share
from pytest_distill.report.since import change_row


def add_changes(share: Share, project: Project, config: str) -> None:
    """Add to a share what has changed since the accepted run; nothing is evaluated for it.

    A file that is broken keeps the run from being whole: what has changed cannot be told.
    """
    accepted = project.accepted
    if accepted.path is None:
        return
    try:
        kept = accepted.file
        made = evaluated(project)
        evals = {on.name: on for _, evaluation in made for on in [evaluation.eval]}
        golds = {name: gold_change(accepted, on) for name, on in evals.items()}
        known = {name: gold for name, gold in golds.items() if gold is not None}
        for name, gold in known.items():
            row = record_of(GoldChangeRow, gold.pairing, config=config, eval=name)
            share.gold_changes.append(row)
        for model, evaluation in made:
            if evaluation.eval.name in known:
                share.changes.extend(_changes(project, config, model, evaluation, known))
    except ConfigError as error:
        if accepted.missing:
            share.remarks.append(str(error))
        else:
            share.broken_baselines.append(str(error))
        return
    share.accepted_gates[config] = kept.gates
    ancestor = is_ancestor(kept.commit, project.config.folder) if kept.commit else None
    share.baselines.append(
        BaselineRow(
            config=config,
            path=accepted.shown,
            made=kept.made.timestamp(),
            commit=kept.commit,
            ancestor=ancestor,
            notes=tuple(_notes(project, ancestor, evals, golds)),
        )
    )


def evaluated(project: Project) -> list[tuple[Model, MeasuredEvaluation]]:
    """Return every evaluation of examples that was made, with its model."""
    return [
        (model, evaluation)
        for model in project.all_models
        for evaluation in model.evaluations
        if isinstance(evaluation, MeasuredEvaluation) and isinstance(evaluation.eval, Eval)
    ]


def _accepted_model(project: Project, model: Model) -> AcceptedModel | None:
    names = list(dict.fromkeys(m.name for m in project.all_models if m.role == model.role))
    return counterpart(project.accepted.file, model.name, model.role, names)


def _changes(
    project: Project,
    config: str,
    model: Model,
    evaluation: MeasuredEvaluation,
    golds: dict[str, GoldChange],
) -> Iterator[ChangeRow]:
    """Yield a row for each metric of an eval; none where no example is in both runs."""
    then, gold = _accepted_model(project, model), golds[evaluation.eval.name]
    if then is None:
        return
    for metric in evaluation.eval.metrics:
        if not is_ready(metric, evaluation):
            continue
        with suppress(DistillError):  # a gate that asks for it says why
            found = held(project.accepted, gold, evaluation, then.name, metric).change()
            digests = (then.digest, evaluation.info.digest)
            row = change_row(found, metric, model.name, model.role, digests)
            yield replace(row, config=config, eval=evaluation.eval.name)


def is_ready(metric: Metric, evaluation: MeasuredEvaluation) -> bool:
    """Return whether a metric was computed while a gate asked, so that no code of a user's runs."""
    if not any(told.metric == metric.name for told in evaluation.known_scores):
        return False
    return isinstance(metric, MeanMetric) or BUILT_IN.get(metric.name) is metric


def _notes(
    project: Project,
    ancestor: bool | None,
    evals: dict[str, Eval],
    golds: dict[str, GoldChange | None],
) -> Iterator[str]:
    """Yield age and commit, and what makes the accepted run another than this one."""
    kept = project.accepted.file
    yield f"{age_text(kept.made, project.began.astimezone())}, {_commit(kept.commit, ancestor)}"
    if kept.reason:
        yield f"it is of a run that said SHIP ({one_line(kept.reason)})"
    for role in ("teacher", "student", "sft"):
        yield from _model_notes(project, role)
    for name, gold in golds.items():
        yield from _eval_notes(evals[name], gold)


def _commit(commit: str | None, ancestor: bool | None) -> str:
    if commit is None:
        return "of no known commit"
    comes = {
        True: ", which HEAD comes from",
        False: ", which HEAD does not come from",
        None: "",
    }[ancestor]
    return f"of commit {commit[:12]}{comes}"


def _model_notes(project: Project, role: str) -> Iterator[str]:
    there = [model.name for model in project.accepted.file.models if model.role == role]
    for model in project.all_models:
        if model.role != role or not model.evaluations:
            continue
        then = _accepted_model(project, model)
        if then is None:
            others = f"; it has {some_of([one_line(name) for name in there])}" if there else ""
            yield f"another model: {role} '{model.name}' is not in it{others}"
        elif then.name != model.name:
            yield f"another name: its {role} is called '{one_line(then.name)}', not '{model.name}'"
        if then is not None and role != "student" and None not in (then.digest, model.known.digest):
            now = str(model.known.digest)
            if then.digest != now:
                was = str(then.digest)[:12]
                told = f"has digest {one_line(now[:12])}, and had {one_line(was)}"
                yield f"another {role}: '{model.name}' {told}"


def _eval_notes(on: Eval, gold: GoldChange | None) -> Iterator[str]:
    if gold is None:
        yield f"eval '{on.name}' is not in it"
        return
    if gold.same_gold:
        return
    told = gold.in_words
    if not gold.same_settings:
        told = "; ".join(part for part in ("other settings, such as the prompt", told) if part)
    yield f"another gold set of '{on.name}': {told or 'what is asked and the labels are the same'}"
