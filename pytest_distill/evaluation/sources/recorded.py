"""Predictions that were made elsewhere, read from a file."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_distill._util.gc import collector_paused
from pytest_distill.engines import ModelInfo
from pytest_distill.errors import ConfigError, EvaluationError, GoldSetError, did_you_mean
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example, GoldSet, read_gold_set
from pytest_distill.evals.metrics import ScoredElsewhere
from pytest_distill.evals.requests import FINISHES, Finish, Prediction
from pytest_distill.evaluation.evaluation import (
    Evaluation,
    MeasuredEvaluation,
    ReportedEval,
    undeclared,
)
from pytest_distill.evaluation.models import aligned, matched
from pytest_distill.evaluation.sources.source import Source, SourceOptions

ANSWERS = ("prediction", "probabilities", "loglikelihoods", "text", "scores")
"""The fields of a row, at least one of which it must have beside its id."""


class RecordedOptions(SourceOptions):
    """Where the predictions are: in one file, or in one for each eval."""

    predictions: str | dict[str, str]

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
    """

    Options = RecordedOptions

    def __init__(self, info: ModelInfo, file: Callable[[str], Path]) -> None:
        super().__init__(info)
        self.file = file

    @classmethod
    def declared_as(cls, info: ModelInfo, options: Mapping[str, Any], file: Path) -> RecordedModel:
        """Return the model of an entry; see `Source`."""
        files: str | dict[str, str] = options[info.name].predictions

        def named(on: str) -> Path:
            found = files if isinstance(files, str) else files.get(on)
            if found is None:
                raise ConfigError(
                    f"{file.name}: models.{info.name}.predictions: none for eval '{on}'"
                )
            return file.parent / found

        return cls(replace(info, path=files if isinstance(files, str) else None), named)

    @collector_paused()
    def _evaluate(self, on: Eval | ReportedEval) -> Evaluation:
        if isinstance(on, ReportedEval):
            raise ConfigError(f"eval '{on.name}' has no gold set, and so no recorded predictions")
        on.check()  # nothing is asked, but the gold set must be one that could be
        path = self.file(on.name)
        rows = _read(path)
        with_scores = [row for row in rows if "scores" in row.fields]
        answered = [row for row in rows if set(ANSWERS[:-1]) & set(row.fields)]
        source = rows.source
        predictions: tuple[Prediction, ...] = ()
        if answered or not with_scores:
            predictions = aligned((_prediction(row) for row in answered), on, source)
        recorded = _scores(with_scores, on, source) if with_scores else {}
        return MeasuredEvaluation(self._info, on, predictions, recorded, source, path.resolve())


def read_predictions(path: Path) -> tuple[GoldSet, list[Prediction]]:
    """Return the rows of a file of predictions, and the predictions in them."""
    rows = _read(path)
    return rows, [_prediction(row) for row in rows]


class FieldError(ValueError):
    """A model's predictions have no such field; `fields` are those with numbers that they have."""

    def __init__(self, message: str, fields: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.fields = fields


def recorded_field(evaluation: MeasuredEvaluation, name: str) -> NDArray[np.float64]:
    """Return a further field of a file of predictions, in the order of the gold set, shape (n,).

    The file is read again: few gates ask for one, and an evaluation need not hold all fields.

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
    rows = _read(evaluation.file)
    by_id = {row.id: row for row in rows}
    order = [by_id[i] for i in matched(by_id, evaluation.eval, rows.source)]
    if not any(name in row.fields for row in order):
        own = {n for n, v in order[0].fields.items() if isinstance(_parsed(v), float)} - {"id"}
        raise FieldError(f"{rows.source} has no field '{name}'", tuple(sorted(own)))
    found = []
    for row in order:
        if name not in row.fields:
            raise row.answer_error(f"no field '{name}'")
        found.append(_number(row, f"field '{name}'", _parsed(row.fields[name])))
    return np.array(found)


def _parsed(value: object) -> object:
    """Return a number as a float, also one that stands as text in a CSV file."""
    if isinstance(value, bool) or not isinstance(value, str | Real):
        return value
    try:
        return float(value)
    except ValueError:
        return value


def _read(path: Path) -> GoldSet:
    """Return the rows of a file of predictions, which is read as a gold set is."""
    try:
        rows = read_gold_set(path)
    except GoldSetError as error:
        raise EvaluationError(str(error)) from None
    for row in rows:
        _check_row(row)
    return rows


def _check_row(row: Example) -> None:
    if "id" not in row.fields:
        raise EvaluationError(f"{row.where}: no 'id'")
    if not set(ANSWERS) & set(row.fields):
        odd = next((name for name in row.fields if name != "id"), "")
        raise row.answer_error(
            f"none of {', '.join(ANSWERS)}"
            + (f"; '{odd}': {did_you_mean(odd, ANSWERS)}" if odd else "")
        )


def _prediction(row: Example) -> Prediction:
    fields = row.fields
    answer = fields.get("prediction")
    probabilities, labels = fields.get("probabilities"), fields.get("labels")
    if isinstance(probabilities, Mapping):
        labels, probabilities = list(probabilities), list(probabilities.values())
    text, tokens = fields.get("text"), fields.get("tokens")
    if isinstance(tokens, list):  # the tokens themselves, beside their log-probabilities
        tokens = len(tokens)
    if text is not None and not isinstance(text, str):
        raise row.answer_error(f"text is {text!r}, not text")
    if tokens is not None:
        _refuse_no_count(row, "tokens", tokens)
    if answer is not None and not isinstance(answer, str | Real):
        raise row.answer_error(f"prediction is {answer!r:.60}, not a label, a text or an index")
    return Prediction(
        id=row.id,
        prediction=None if answer is None else str(answer),
        probabilities=_numbers(row, "probabilities", probabilities),
        labels=None if labels is None else tuple(map(str, labels)),
        loglikelihoods=_numbers(row, "loglikelihoods", fields.get("loglikelihoods")),
        text=text,
        tokens=tokens,
        finish=_finish(row),
        thinking_tokens=_thinking_tokens(row, tokens),
    )


def _finish(row: Example) -> Finish | None:
    """Return why the text ended, as the row says it."""
    said = row.fields.get("finish")
    if said is None:
        return None
    found = next((finish for finish in FINISHES if finish == said), None)
    if found is None:
        raise row.answer_error(f"finish is {said!r:.60}; {did_you_mean(str(said), FINISHES)}")
    return found


def _thinking_tokens(row: Example, tokens: int | None) -> int | None:
    """Return how many of the text's tokens stand before its answer, as the row says it."""
    thinking = row.fields.get("thinking_tokens")
    if thinking is None:
        return None
    _refuse_no_count(row, "thinking_tokens", thinking)
    if tokens is not None and thinking > tokens:
        raise row.answer_error(f"thinking_tokens is {thinking}, of {tokens} tokens in all")
    return int(thinking)


def _refuse_no_count(row: Example, name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise row.answer_error(f"{name} is {value!r:.60}, not a count")


def _numbers(row: Example, name: str, values: Any) -> tuple[float, ...] | None:
    if values is None:
        return None
    listed = values if isinstance(values, list) else [values]
    return tuple(_number(row, name, value) for value in listed)


def _number(row: Example, name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not np.isfinite(float(value)):
        raise row.answer_error(f"{name} has {value!r}, not a finite number")
    return float(value)


def _refuse_undeclared(name: str, on: Eval, source: str) -> None:
    """Raise EvaluationError where ready scores would take the place of what a metric computes."""
    listed = next((metric for metric in on.metrics if metric.name == name), None)
    metric = BUILT_IN.get(name) if listed is None else listed
    if metric is None or isinstance(metric, ScoredElsewhere):
        return
    raise EvaluationError(f"{source}: {undeclared(metric, on.name)}")


def _scores(rows: list[Example], on: Eval, source: str) -> dict[str, Any]:
    """Return the ready scores by metric, each in the order of the gold set."""
    by_id: dict[str, dict[str, float]] = {}
    for row in rows:
        scores = row.fields["scores"]
        if not isinstance(scores, Mapping):
            raise row.answer_error("scores is no mapping")
        by_id[row.id] = {name: _number(row, f"score '{name}'", v) for name, v in scores.items()}
    order = matched(by_id, on, source)
    names = dict.fromkeys(name for scores in by_id.values() for name in scores)
    for name in names:
        _refuse_undeclared(name, on, source)
        lacking = [i for i in order if name not in by_id[i]]
        if lacking:
            raise EvaluationError(f"{source}: no score '{name}' for example '{lacking[0]}'")
    return {name: np.array([by_id[i][name] for i in order]) for name in names}
