"""Keeps a run that was accepted: of its report, and of predictions that are there already."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pytest_distill._util.git import commit_of
from pytest_distill.comparison.baseline.file import AcceptedEval, AcceptedModel, BaselineFile
from pytest_distill.comparison.baseline.scored import accepted_eval
from pytest_distill.config import Config
from pytest_distill.config.schema import EngineModel
from pytest_distill.engines.spec import located
from pytest_distill.errors import ConfigError, EvaluationError, one_line, some_of
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.metrics import Metric
from pytest_distill.evals.request_keys import request_key
from pytest_distill.evaluation.alignment import aligned
from pytest_distill.evaluation.evaluation import Evaluation, find_metric
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.run_model import RunModel
from pytest_distill.evaluation.store.file import FILE_NAME, Store
from pytest_distill.evaluation.store.keeping import run_key
from pytest_distill.project.looks import checkpoint_digest
from pytest_distill.project.project import Project
from pytest_distill.report.gate_changes import accepted_gates
from pytest_distill.report.records.comparisons import ComparisonRow
from pytest_distill.report.records.models import ModelRow
from pytest_distill.report.records.report import Report

RUN = "run the gates again with --distill-report and --distill-json, and save right after"


def accepted_run(project: Project, report: Report, store: Path) -> BaselineFile:
    """Return what is kept of a run that said SHIP.

    Parameters
    ----------
    project : Project
        Of the ``distill.yaml``; no model of it is loaded.
    report : Report
        Of the run.
    store : Path
        The folder with the stored predictions.

    Raises
    ------
    ConfigError
        Where the run said anything else, or was of something else.
    EvaluationError
        Where predictions are missing, or are others than those that were judged.
    """
    if report.outcome != "SHIP":
        raise ConfigError(
            f"the report says {report.outcome} ({one_line(report.reason)[:300]}): only a run that "
            "says SHIP is kept as a baseline"
        )
    config = _config_of(project, report)
    models = [row for row in report.models if row.config == config]
    saved = _Saved(project, store, {row.name: row for row in models})
    evals: dict[str, AcceptedEval] = {}
    looks: dict[str, list[str]] = {}
    for name in project.config.evals:
        measured = [
            row.model
            for row in report.evaluations
            if (row.config, row.eval) == (config, name) and row.n is not None
        ]
        if measured:
            compared = [r for r in report.comparisons if (r.config, r.eval) == (config, name)]
            evals[name] = saved.eval(name, measured, compared)
            looks |= saved.looks(name)
    if not evals:
        raise ConfigError(
            f"the report has no eval of {project.config.path.name} with examples: reported scores "
            "alone are no baseline"
        )
    return BaselineFile(
        version=_version(),
        made=datetime.fromtimestamp(round(time.time()), UTC),
        commit=commit_of(project.config.folder),
        outcome="SHIP",
        reason=report.reason,
        models=[AcceptedModel(name=m.name, role=m.role, digest=m.digest) for m in models],  # type: ignore[arg-type]
        evals=evals,
        gates=accepted_gates([gate for gate in report.gates if gate.config == config]),
        looks=looks,
    )


def paths_of(config: Config, report: Report) -> dict[str, str]:
    """Return where models of a run lay, where that is not what ``distill.yaml`` says.

    Of a run with ``--distill-model`` what is judged lies elsewhere; its digest is checked later.
    """
    found = {}
    for row in report.models:
        entry = config.models.get(row.name)
        lies = entry.where_it_lies if isinstance(entry, EngineModel) else ""
        if not lies or not row.path or not Path(row.path).is_dir():
            continue
        if located(lies, config.folder) != row.path:
            found[row.name] = row.path
    return found


class _Saved:
    """Reads what the models of a report answered; nothing is run."""

    def __init__(self, project: Project, store: Path, models: dict[str, ModelRow]) -> None:
        self._project = project
        self._folder = store
        self._rows = models
        self._found: dict[str, dict[str, MeasuredEvaluation]] = {}

    def eval(
        self, name: str, models: Sequence[str], compared: Sequence[ComparisonRow]
    ) -> AcceptedEval:
        on = self._project.eval(name)
        if not isinstance(on, Eval):
            raise EvaluationError(f"eval '{name}' had examples in the report, and has none now")
        found = {model: self._evaluation(model, on) for model in models}
        self._found[name] = found
        metrics = [*_metrics(on, compared)]
        for metric, row in metrics:
            for model, evaluation in found.items():
                _refuse_other_score(evaluation, metric, row, model)
        return accepted_eval(on, found, [metric for metric, _ in metrics])

    def looks(self, name: str) -> dict[str, list[str]]:
        """Return the gold set of an eval, and the students that are known to be judged on it."""
        on = self._project.eval(name)
        if not isinstance(on, Eval):
            return {}
        keeper, then = self._project.keeper, self._project.accepted.looks
        found = {*(keeper.looks(on.gold_digest) if keeper else ())}
        found.update(then.get(on.gold_digest, ()))
        for model, evaluation in self._found.get(name, {}).items():
            if self._rows[model].role == "student":
                digest = checkpoint_digest(self._project.models[model], evaluation)
                found.update(() if digest is None else (digest,))
        return {on.gold_digest: sorted(found)}

    def _evaluation(self, name: str, on: Eval) -> MeasuredEvaluation:
        where = f"'{name}' on '{on.name}'"
        row, model = self._rows.get(name), self._project.models.get(name)
        if row is None or model is None or row.engine == "fixture":
            raise EvaluationError(
                f"the answers of {where} came from a fixture, and are kept nowhere: record them "
                "(engine: recorded), and run the gates again"
            )
        evaluation: Evaluation = (
            self._stored(model, on) if isinstance(model, RunModel) else model.evaluate(on)
        )
        digest = evaluation.info.digest
        if digest != row.digest:
            raise EvaluationError(
                f"the report is of another '{name}' (digest {_short(row.digest)}) than "
                f"{self._project.config.path.name} names now ({_short(digest)}): {RUN}"
            )
        if not isinstance(evaluation, MeasuredEvaluation):
            raise EvaluationError(f"{where}: only reported scores are known now: {RUN}")
        return evaluation

    def _stored(self, model: RunModel, on: Eval) -> MeasuredEvaluation:
        who = f"'{model.name}' on '{on.name}'"
        identity = model.identity
        if identity is None:
            raise EvaluationError(
                f"the answers of {who} are kept nowhere, since its engine has no 'identity': add "
                "one, or record them (engine: recorded), and run the gates again"
            )
        path = self._folder / FILE_NAME
        if not path.is_file():
            raise EvaluationError(f"{self._folder}: no predictions are stored there: {RUN}")
        requests = on.all_requests()
        dated = model.dated_prompts(requests)
        keys = [request_key(request, dated.get(request.id)) for request in requests]
        store = Store(self._folder)
        try:
            run = run_key(identity)
            info, known = store.info(run), store.read(run, list(dict.fromkeys(keys)))
        finally:
            store.close()
        missing = sum(key not in known for key in keys)
        if info is None or missing:
            raise EvaluationError(
                f"{path}: {missing:,} of {len(keys):,} predictions of {who} are not stored: {RUN}"
            )
        answers = [replace(known[k], id=r.id) for k, r in zip(keys, requests, strict=True)]
        return MeasuredEvaluation.of(
            replace(info, name=model.name, role=model.role),
            on,
            aligned(answers, on, str(path)),
            source=str(path),
        )


def _metrics(
    on: Eval, compared: Sequence[ComparisonRow]
) -> Iterator[tuple[Metric, ComparisonRow | None]]:
    """Yield the metrics of an eval, and others that the report has; an object of a test is left."""
    rows = {row.metric: row for row in compared}
    for metric in on.metrics:
        yield metric, rows.pop(metric.name, None)
    for name, row in rows.items():
        if any(metric.name == name for metric in on.task.metrics):
            yield find_metric(on, name), row


def _refuse_other_score(
    evaluation: MeasuredEvaluation, metric: Metric, row: ComparisonRow | None, model: str
) -> None:
    told = None if row is None else row.scores.get(model)
    found = float(evaluation.exact_score(metric))
    if told is not None and told != found:
        raise EvaluationError(
            f"'{model}' on '{evaluation.eval.name}': {metric.name} is {found!r} now, and "
            f"{told!r} in the report: the gold set or the predictions have changed since: {RUN}"
        )


def _config_of(project: Project, report: Report) -> str:
    """Return what the report calls the project's ``distill.yaml``."""
    path = project.config.path
    known = list(dict.fromkeys(row.config for row in report.models))
    for config in known:
        parts = Path(config).parts
        if path == Path(config) or path.parts[-len(parts) :] == parts:
            return config
    raise ConfigError(
        f"the report is not of {path}, but of {some_of(known) or 'no distill.yaml'}: name that one "
        "by --config"
    )


def _version() -> str:
    try:
        return version("pytest-distill")
    except PackageNotFoundError:
        return "unknown"


def _short(digest: str | None) -> str:
    return "not known" if digest is None else digest[:12]
