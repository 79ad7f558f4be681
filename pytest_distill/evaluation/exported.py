"""Predictions taken out of a store, for machines that lack the models' weights.

A folder holds ``models.json`` (what each model is) and one ``EVAL.MODEL.jsonl`` an evaluation: rows
as a recorded model has them, each with the digest of what was asked.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pytest_distill.engines import ModelInfo, Role
from pytest_distill.errors import ComparisonError, ConfigError, EvaluationError, name_problem
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evaluation.digest import request_key
from pytest_distill.evaluation.evaluation import Evaluation, Measured, ReportedEval
from pytest_distill.evaluation.models import Model, aligned
from pytest_distill.evaluation.recorded import read_predictions
from pytest_distill.evaluation.store import prediction_fields

MANIFEST = "models.json"


class ExportedModel(Model):
    """A model whose predictions were exported from another machine's store.

    Parameters
    ----------
    name, role : str
        As in ``distill.yaml``.
    folder : Path
        What was exported.
    """

    def __init__(self, name: str, role: Role, folder: Path) -> None:
        super().__init__(name, role)
        self._folder = folder
        self._info = replace(info_of(read_manifest(folder)[name]), name=name, role=role)

    @property
    def info(self) -> ModelInfo:
        """What the exporting machine knew of the model."""
        return replace(self._info, **self.declared)

    def _evaluate(self, on: Eval | ReportedEval) -> Evaluation:
        if isinstance(on, ReportedEval):
            raise ComparisonError(f"eval '{on.name}' has no gold set, and so no predictions")
        path = file_of(self._folder, on.name, self.name)
        if not path.is_file():
            raise EvaluationError(
                f"{path}: no such file: model '{self.name}' was not evaluated on '{on.name}' where "
                "the predictions were exported"
            )
        rows, predictions = read_predictions(path)
        asked = {request.id: request_key(request).hex() for request in on.requests()}
        for row in rows:
            if row.id in asked and row.fields.get("request") != asked[row.id]:
                raise EvaluationError(
                    f"{row.where} (id '{row.id}'): the model was asked something else than eval "
                    f"'{on.name}' asks now; evaluate and export again"
                )
        found = aligned(predictions, on, rows.source)
        return Measured(self.info, on, found, source=rows.source, file=path.resolve())


def read_manifest(folder: Path) -> dict[str, Any]:
    """Return what ``models.json`` says of each model; ConfigError where it cannot be read."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: no exported predictions: {error}") from None
    if not isinstance(manifest, dict):
        raise ConfigError(f"{path}: is no mapping of models")
    return manifest


def info_of(entry: Mapping[str, Any]) -> ModelInfo:
    """Return what the manifest knows of a model."""
    return ModelInfo(**entry["info"])


def manifest_entry(info: ModelInfo, identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return a model's entry in the manifest."""
    return {"info": asdict(info), "identity": dict(identity)}


def file_of(folder: Path, eval: str, model: str) -> Path:
    """Return the file with a model's predictions on an eval; ConfigError where none may be."""
    for name in (eval, model):  # of `distill.yaml`, or of a manifest that came from elsewhere
        if problem := name_problem(name, of_a_file=True):
            raise ConfigError(f"{folder}: the name {name!r} {problem}")
    return folder / f"{eval}.{model}.jsonl"


def rows_of(requests: Sequence[Request], predictions: Mapping[bytes, Prediction]) -> list[str]:
    """Return a line of JSON for every request that has a prediction."""
    lines = []
    for request in requests:
        key = request_key(request)
        if key in predictions:
            fields = prediction_fields(predictions[key])
            row = {"id": request.id, "request": key.hex(), **fields}
            lines.append(json.dumps(row, ensure_ascii=False))
    return lines
