"""Predictions taken out of a store, for machines that lack the models' weights.

A folder holds ``models.json`` (what each model is, and the digests of the other files) and one
``EVAL.MODEL.jsonl`` an evaluation: rows as a recorded model has them, each with the digest of what
was asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pytest_distill._util.user_code import user_code
from pytest_distill.engines import Dated, Elsewhere, Engine, ModelInfo, Role
from pytest_distill.engines.lookup import DEFAULT
from pytest_distill.errors import ComparisonError, EvaluationError, ModelError
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.request_keys import request_key
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evaluation.evaluation import Evaluation, ReportedEval
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.model import Model
from pytest_distill.evaluation.sources.fields import prediction_of
from pytest_distill.evaluation.sources.manifest import ManifestEntry, file_of
from pytest_distill.evaluation.sources.rows import AT_TOKENS, REPEAT, RecordedRows, read_rows
from pytest_distill.evaluation.store.writer import prediction_fields

DATED = "dated"
"""Field of a row whose prompt held a date: the digest of what was asked with that date in it."""


class ExportedModel(Model):
    """A model whose predictions were exported from another machine's store.

    Parameters
    ----------
    name, role : str
        As in ``distill.yaml``.
    folder : Path
        What was exported.
    entry : ManifestEntry
        What the manifest says of the model.
    start : callable, optional
        Builds the engine of a model that runs elsewhere, which is not asked: it says where the
        model is, and what it would be told beside the requests.
    """

    def __init__(
        self,
        name: str,
        role: Role,
        folder: Path,
        entry: ManifestEntry,
        start: Callable[[], Engine] | None = None,
    ) -> None:
        super().__init__(name, role)
        self._folder = folder
        self._entry = entry
        self._start = start
        self._info = replace(entry.info, name=name, role=role)
        self._dated = False

    @cached_property
    def _elsewhere(self) -> Engine | None:
        return None if self._start is None else self._start()

    @property
    def asked_at(self) -> str | None:
        """As what and where it was asked; None where it ran on a machine of its own."""
        with self._asking():
            engine = self._elsewhere
            return str(engine.asked_at) if isinstance(engine, Elsewhere) else None

    @property
    def identity(self) -> Mapping[str, Any]:
        """What made the predictions, where they were made."""
        return self._entry.identity

    @property
    def info(self) -> ModelInfo:
        """What the exporting machine knew of the model."""
        return replace(self._info, path=self.asked_at or self._info.path, **self.declared)

    @property
    def notes(self) -> Sequence[str]:
        """Where the answers come from: nothing ran here."""
        told = f"{self.name}: its answers are those of the export in {self._folder.name}"
        dated = "; its chat template read the clock, so that its prompts hold the date of then"
        if self._entry.model.get("engine") != DEFAULT:  # what depends on more is its own to say
            dated = (
                "; it was asked more than its requests say, such as labels or a date, as of then"
            )
        return (told + dated if self._dated else told,)

    def _evaluate(self, on: Eval | ReportedEval) -> Evaluation:
        if isinstance(on, ReportedEval):
            raise ComparisonError(f"eval '{on.name}' has no gold set, and so no predictions")
        path = file_of(self._folder, on.name, self.name)
        if not path.is_file():
            raise EvaluationError(
                f"{path}: no such file: model '{self.name}' was not evaluated on '{on.name}' where "
                "the predictions were exported"
            )
        self._entry.refuse_other(path)
        recorded = read_rows(path)
        within = _within_budgets(recorded, on)
        about: dict[str, Any] = {"source": recorded.source, "file": path.resolve()}
        about["budgets"] = {
            tokens: self._evaluated(rows, on.budgets[tokens], **about)
            for tokens, rows in within.items()
        }
        return self._evaluated(recorded.in_full, on, **about)

    def _evaluated(self, recorded: RecordedRows, on: Eval, **about: Any) -> MeasuredEvaluation:
        rows, requests = recorded.of(on), on.all_requests()
        whole = self._whole_prompts(requests)
        for row, request in zip(rows, requests, strict=False):
            if not _answers(row, request, whole):
                raise EvaluationError(
                    f"{row.where} (id '{row.id}'): the model was asked something else than eval "
                    f"'{on.name}' asks now; evaluate and export again"
                )
        if any(DATED in row.fields for row in rows):
            self._dated = True
        return MeasuredEvaluation.of(self.info, on, [*map(prediction_of, rows)], **about)

    def _whole_prompts(self, requests: Sequence[Request]) -> Mapping[str, str] | None:
        """Return by id what would be asked now where requests don't say it; None if not known."""
        with self._asking():
            engine = self._elsewhere
            return engine.dated_prompts(requests) if isinstance(engine, Dated) else None

    def _asking(self) -> AbstractContextManager[None]:
        return user_code(f"the engine of model '{self.name}'", ModelError)


def _answers(row: Example, request: Request, whole: Mapping[str, str] | None) -> bool:
    """Whether a row answers a request, and where that is known the whole prompt of it."""
    if row.fields.get("request") != request_key(request).hex():
        return False
    if whole is None:
        return True
    prompt = whole.get(request.id)
    asked = None if prompt is None else request_key(request, prompt).hex()
    return row.fields.get(DATED) == asked


def _within_budgets(recorded: RecordedRows, on: Eval) -> dict[int, RecordedRows]:
    """Return the rows within each budget of an eval that were exported, by the examples' ids."""
    found = {}
    for tokens in on.budgets:
        names = {example.id: on.id_within(example.id, tokens) for example in on.gold}
        by_id = recorded.where(lambda row: AT_TOKENS in row.fields).by_id
        rows = {id: by_id[name] for id, name in names.items() if name in by_id}
        if rows:
            found[tokens] = RecordedRows(recorded.source, rows)
    return found


def rows_of(
    on: Eval,
    requests: Sequence[Request],
    keys: Sequence[bytes],
    predictions: Mapping[bytes, Prediction],
) -> list[str]:
    """Return a line of JSON for every request of an eval that has a prediction under its key.

    Where the key is not that of the request alone, the prompt held a date, and the line says so.
    """
    lines = []
    repeats, own = on.task.repeats, len(on.asked_ids()) // (1 + len(on.budgets))
    for place, (request, key) in enumerate(zip(requests, keys, strict=True)):
        if key in predictions:
            fields = prediction_fields(predictions[key])
            asked = request_key(request)
            dated = {} if asked == key else {DATED: key.hex()}
            budget, at = (None, *on.budgets)[place // own], place % own
            id, repeat = on.gold.examples[at // repeats].id, at % repeats
            sample: dict[str, int] = {REPEAT: repeat} if repeats > 1 else {}
            if budget is not None:
                id, sample = on.id_within(id, budget), {**sample, AT_TOKENS: budget}
            row = {"id": id, **sample, "request": asked.hex(), **dated, **fields}
            lines.append(json.dumps(row, ensure_ascii=False))
    return lines
