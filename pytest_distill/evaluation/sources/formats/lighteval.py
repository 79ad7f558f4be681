"""What lighteval writes of every document of a task: its details."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pyarrow.parquet

from pytest_distill._util.gc import collector_paused
from pytest_distill.errors import EvaluationError, few, one_line
from pytest_distill.evals.request_keys import canonical_sha256
from pytest_distill.evals.rows import shown_path
from pytest_distill.evaluation.sources.formats.format import ForeignRow, ForeignRun, Format
from pytest_distill.evaluation.sources.formats.lighteval_documents import (
    Detail,
    LightevalDocument,
    LightevalGold,
    documents_of,
    query_digest,
)
from pytest_distill.evaluation.sources.formats.lighteval_results import (
    LightevalResults,
    results_of,
    task_in,
)

_STRUCTS = ("doc", "metric", "model_response")

_COLUMNS = (
    *("metric", "doc.query", "doc.choices", "doc.gold_index", "doc.instruction", "doc.specific"),
    *("doc.id", "doc.task_name", "doc.fewshot_samples", "doc.generation_size", "doc.num_samples"),
    *("doc.stop_sequences", "model_response.text", "model_response.text_post_processed"),
    *("model_response.logprobs", "model_response.argmax_logits_eq_gold"),
    *("model_response.output_tokens", "model_response.truncated_tokens_count"),
)
"""What is read: not the tokens of prompts nor logits, which may be most of a file."""


class LightevalDetails(Format):
    """``details/{model}/{date}/details_{task}_{date}.parquet``, and ``results`` beside ``details``.

    An example is a document of the task. Its id is the beginning of the digest of its query, which
    is the same in every run; lighteval's own is a place in its data set, and says nothing of it.
    """

    name: ClassVar[str] = "lighteval"
    files: ClassVar[str] = "lighteval's details (details_*.parquet)"
    globs: ClassVar[tuple[str, ...]] = ("details_*.parquet",)

    def task_of(self, path: Path) -> str | None:
        """Return the task that a file is called after."""
        return task_in(path)

    def id_of(self, document: Mapping[str, Any]) -> str | None:
        """Return the digest of a query, which is the input of an example; see `Format`."""
        query = document.get("query", document.get("input"))
        return query_digest(query) if isinstance(query, str) else None

    def read(self, paths: Sequence[Path]) -> list[ForeignRun]:
        """Return one run a file; see `Format`."""
        return [_run(path) for path in paths]


@collector_paused()
def _run(path: Path) -> ForeignRun:
    source = shown_path(path)
    details = [_detail(f"{source}: row {n}", row) for n, row in enumerate(_rows(path, source), 1)]
    if not details:
        raise EvaluationError(f"{source}: it is empty; at least one document is needed")
    task = task_in(path) or str(details[0].doc.get("task_name"))
    odd = next(
        (d for d in details if d.doc.get("task_name") != details[0].doc.get("task_name")), None
    )
    if odd is not None:
        raise EvaluationError(
            f"{odd.place}: of task '{odd.doc.get('task_name')}', and row 1 is of "
            f"'{details[0].doc.get('task_name')}': keep the rows of one task"
        )
    documents = documents_of(details)
    results = results_of(path, task)
    scored = results.scored([(each.first.place, each.values) for each in documents], source)
    form = LightevalGold.of(
        [each.first.doc for each in documents], [each.way for each in documents]
    )
    return ForeignRun(
        source=source,
        files=(path,),
        model=results.model,
        task=task,
        rows=list(_foreign_rows(documents, results, {m.name for m in scored.metrics}, form)),
        metrics=scored.metrics,
        left_out=scored.left_out,
        notes=tuple(f"{source}: {note}" for note in (*scored.notes, *_truncated(details))),
        asks=form.asks,
    )


def _rows(path: Path, source: str) -> list[dict[str, Any]]:
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            lacking = [name for name in _STRUCTS if name not in file.schema_arrow.names]
            if lacking:
                raise EvaluationError(
                    f"{source}: no column {few(lacking)}, but {few(file.schema_arrow.names)}: not "
                    "the details of lighteval, or of a release before 0.11, which wrote others"
                )
            found: list[dict[str, Any]] = file.read(columns=list(_COLUMNS)).to_pylist()
            return found
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise EvaluationError(
            f"{source}: cannot be read as parquet: {one_line(str(error)):.200}"
        ) from None


def _detail(place: str, row: Mapping[str, Any]) -> Detail:
    """Return a row; EvaluationError where it lacks a query, or samples, or a value is NaN."""
    doc, response, values = (row.get(name) or {} for name in ("doc", "model_response", "metric"))
    if not isinstance(doc.get("query"), str):
        raise EvaluationError(f"{place}: its document has no query")
    detail = Detail(place, doc, response, {n: v for n, v in values.items() if v is not None})
    for name, value in detail.values.items():
        if isinstance(value, float) and math.isnan(value):
            raise EvaluationError(
                f"{place}: {name} is NaN: this document was not scored, and the total is none "
                "either; evaluate again, or leave this document out of every model's run"
            )
    wanted = doc.get("num_samples") or 1
    if detail.texts and len(detail.texts) < wanted:
        raise EvaluationError(
            f"{place}: {len(detail.texts)} of {wanted} samples are there, and a metric of samples "
            "counts as if all were; evaluate again"
        )
    return detail


def _foreign_rows(
    documents: Sequence[LightevalDocument],
    results: LightevalResults,
    metrics: set[str],
    form: LightevalGold,
) -> Iterator[ForeignRow]:
    settings = results.settings
    for document in documents:
        first = document.first
        scores = {name: float(v) for name, v in document.values.items() if name in metrics}
        row = form.row(first.doc)
        prompt = canonical_sha256([_asked(first.doc), settings]).hexdigest()
        for repeat, answer in enumerate(document.answers()):
            yield ForeignRow(first.place, document.id, row, answer, repeat, prompt, scores=scores)


def _asked(doc: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides a prompt, before it is put into a model's own template."""
    kept = ("query", "choices", "instruction", "generation_size", "stop_sequences", "num_samples")
    shots = [
        {name: shot.get(name) for name in ("query", "choices", "gold_index")}
        for shot in doc.get("fewshot_samples") or ()
    ]
    return {**{name: doc.get(name) or None for name in kept}, "shots": shots}


def _truncated(details: Sequence[Detail]) -> Iterator[str]:
    """Yield what to tell of prompts that a model did not see whole."""
    cut = [d.place for d in details if (d.response.get("truncated_tokens_count") or 0) > 0]
    if cut:
        rows = [place.rpartition(": ")[2] for place in cut]
        yield (
            f"the prompts of {len(cut):,} of {len(details):,} rows were too long for the model, "
            f"and were cut ({few(rows)})"
        )
