"""Predictions that were made elsewhere, read from a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import field_validator

from pytest_distill._util.gc import collector_paused
from pytest_distill.engines import ModelInfo
from pytest_distill.errors import ConfigError, EvaluationError, did_you_mean
from pytest_distill.evals.built_in import BUILT_IN, undeclared
from pytest_distill.evals.cells import real
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.metrics import ScoredElsewhere
from pytest_distill.evals.requests import Prediction
from pytest_distill.evaluation.evaluation import Evaluation, ReportedEval
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.sources.fields import cell, number, prediction_of, prompts_of
from pytest_distill.evaluation.sources.foreign import ForeignFiles, is_glob, with_ids_of
from pytest_distill.evaluation.sources.foreign_rows import (
    differing,
    recorded_rows,
    refuse_other_than_asked,
)
from pytest_distill.evaluation.sources.formats.format import FORMATS, format_of, written_by
from pytest_distill.evaluation.sources.rows import RecordedRows, read_rows
from pytest_distill.evaluation.sources.source import Source, SourceOptions


class RecordedOptions(SourceOptions):
    """Where the predictions are: in one file, or in one for each eval."""

    predictions: str | dict[str, str]
    """The file with the predictions; with several evals, eval → file. With `format` a glob may
    stand for a file."""
    format: str | None = None
    """The tool that wrote the files: `lm-eval`, `inspect` or `lighteval`. By default they are files
    of ours."""

    @field_validator("format")
    @classmethod
    def _known(cls, name: str | None) -> str | None:
        if name is not None and name not in FORMATS:
            raise ValueError(f"unknown format '{name}'; {did_you_mean(name, FORMATS)}")
        return name

    @property
    def by_eval(self) -> tuple[str, Mapping[str, Any]]:
        """The files by eval, where there are several."""
        return "predictions", {} if isinstance(self.predictions, str) else self.predictions


class RecordedModel(Source):
    """A model whose predictions are in a file: one row an example.

    Parameters
    ----------
    info : ModelInfo
        What is declared of the model.
    file : callable
        Eval name -> the file with its predictions; ConfigError where there is none.
    foreign : callable, optional
        The same of files that another tool wrote.
    """

    Options = RecordedOptions

    def __init__(
        self,
        info: ModelInfo,
        file: Callable[[str], Path],
        foreign: Callable[[str], ForeignFiles] | None = None,
    ) -> None:
        super().__init__(info)
        self.file = file
        self._foreign = foreign
        self._notes: list[str] = []

    @property
    def notes(self) -> Sequence[str]:
        """What the files of other tools leave open."""
        return self._notes

    @classmethod
    def declared_as(cls, info: ModelInfo, options: Mapping[str, Any], file: Path) -> RecordedModel:
        """Return the model of an entry; see `Source`."""
        files: str | dict[str, str] = options[info.name].predictions
        format: str | None = options[info.name].format
        key = f"{file.name}: models.{info.name}.predictions"

        def named(on: str) -> str:
            found = files if isinstance(files, str) else files.get(on)
            if found is None:
                raise ConfigError(f"{key}: none for eval '{on}'")
            return found

        def foreign(on: str) -> ForeignFiles:
            return ForeignFiles(format_of(str(format)), file.parent, named(on), key)

        def own(on: str) -> Path:
            path = file.parent / named(on)
            if format is not None:  # only what was captured of a teacher's tokens is read by path
                raise ConfigError(
                    f"{key}: files of {format} have no log-probabilities of tokens: to compare a "
                    "recorded teacher token by token, name a file of rows"
                )
            if is_glob(named(on)) and not path.exists():
                raise ConfigError(
                    f"{key}: {named(on)} is a glob, which stands for files of other tools: say "
                    f"'format:' too ({', '.join(FORMATS)}), or name one file"
                )
            return path

        return cls(
            replace(info, path=files if isinstance(files, str) else None),
            own,
            foreign if format is not None else None,
        )

    @collector_paused()
    def _evaluate(self, on: Eval | ReportedEval) -> Evaluation:
        if isinstance(on, ReportedEval):
            raise ConfigError(f"eval '{on.name}' has no gold set, and so no recorded predictions")
        on.check()  # nothing is asked, but the gold set must be one that could be
        if self._foreign is not None:
            return self._evaluate_foreign(on, self._foreign(on.name))
        path = self.file(on.name)
        try:
            rows = read_rows(path, on).in_full
        except EvaluationError as error:
            format = written_by(path)
            hint = f"; it is called as another tool's files are: say 'format: {format}'"
            raise EvaluationError(f"{error}{hint}" if format else str(error)) from None
        return self._evaluated(rows, on, source=rows.source, file=path.resolve())

    def _evaluate_foreign(self, on: Eval, files: ForeignFiles) -> Evaluation:
        """Return the evaluation of what another tool wrote."""
        run = with_ids_of(on, files.run_for(on), files.format)
        evaluation = self._evaluated(
            recorded_rows(run, on, files.format.name),
            on,
            source=run.source,
            file=run.files[0].resolve(),
            format=files.format.name,
            called=run.model,
        )
        refuse_other_than_asked(evaluation, on, "lm-eval")
        self._notes += [*run.notes, *differing(run, evaluation)]
        return evaluation

    def _evaluated(self, rows: RecordedRows, on: Eval, **about: Any) -> MeasuredEvaluation:
        with_scores = rows.where(lambda row: "scores" in row.fields)
        answers = set(on.task.answered_by)
        answered = rows.where(lambda row: not answers.isdisjoint(row.fields))
        about["prompts"] = prompts_of(rows.all)
        if with_scores.by_id:
            about["recorded_scores"] = _scores(with_scores, on)
            if not answered.by_id:
                return MeasuredEvaluation(self._info, on, (), **about)
        predictions = [prediction_of(row) for row in answered.of(on)]
        return MeasuredEvaluation.of(self._info, on, predictions, **about)


def read_predictions(path: Path) -> tuple[list[Example], list[Prediction]]:
    """Return the rows of a file of predictions, and the predictions in them."""
    rows = read_rows(path).all
    return rows, [prediction_of(row) for row in rows]


class FieldError(ValueError):
    """A model's predictions have no such field; `fields` are those with numbers that they have."""

    def __init__(self, message: str, fields: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.fields = fields


def recorded_field(evaluation: MeasuredEvaluation, name: str) -> NDArray[np.float64]:
    """Return a further field of a file of predictions, in the order of the gold set, shape (n,).

    Of several samples the mean. The file is read again: few gates ask for one, and an evaluation
    need not hold all fields.

    Raises
    ------
    FieldError
        Where the predictions stand in no file, or the file has no such field.
    EvaluationError
        Naming line and id, where a row lacks the field or has no finite number there.
    """
    model = evaluation.info.name
    if evaluation.file is None:
        raise FieldError(f"the predictions of '{model}' were not recorded, and have no fields")
    rows = _read_again(evaluation, evaluation.file)
    order = rows.of(evaluation.eval)
    if not any(name in row.fields for row in order):
        own = {n for n, value in order[0].fields.items() if real(value) is not None} - {"id"}
        raise FieldError(f"{rows.source} has no field '{name}'", tuple(sorted(own)))
    found = []
    for row in order:
        if name not in row.fields:
            raise row.answer_error(f"no field '{name}'")
        found.append(cell(row, f"field '{name}'", row.fields[name]))
    return np.asarray(np.reshape(found, (evaluation.n, -1)).mean(axis=1), np.float64)


def _read_again(evaluation: MeasuredEvaluation, file: Path) -> RecordedRows:
    """Return the rows of an evaluation's file."""
    if evaluation.format is None:
        return read_rows(file, evaluation.eval).in_full
    format = format_of(evaluation.format)
    run = next(run for run in format.read([file]) if run.source == evaluation.source)
    on = evaluation.eval
    return recorded_rows(with_ids_of(on, run, format), on, format.name)


def _refuse_undeclared(name: str, on: Eval, source: str) -> None:
    """Raise EvaluationError where ready scores would take the place of what a metric computes."""
    listed = next((metric for metric in on.metrics if metric.name == name), None)
    metric = BUILT_IN.get(name) if listed is None else listed
    if metric is None or isinstance(metric, ScoredElsewhere):
        return
    raise EvaluationError(f"{source}: {undeclared(metric, on.name)}")


def _scores(recorded: RecordedRows, on: Eval) -> dict[str, NDArray[np.float64]]:
    """Return the ready scores by metric, in the order of the gold set.

    Each of shape (n,), or (n, repeats) where there are several samples.
    """
    rows = recorded.of(on)
    by_row: list[dict[str, float]] = []
    for row in rows:
        scores = row.fields["scores"]
        if not isinstance(scores, Mapping):
            raise row.answer_error("scores is no mapping")
        by_row.append({name: number(row, f"score '{name}'", v) for name, v in scores.items()})
    shape = (len(on.gold),) if on.task.repeats == 1 else (len(on.gold), on.task.repeats)
    found = {}
    for name in dict.fromkeys(name for scores in by_row for name in scores):
        _refuse_undeclared(name, on, recorded.source)
        lacking = [row for row, scores in zip(rows, by_row, strict=True) if name not in scores]
        if lacking:
            raise EvaluationError(
                f"{recorded.source}: no score '{name}' for example '{lacking[0].id}'"
            )
        found[name] = np.reshape([scores[name] for scores in by_row], shape)
    return found
