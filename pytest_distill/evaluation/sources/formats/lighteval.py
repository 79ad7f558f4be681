"""What lighteval writes of every document of a task: its details."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pyarrow.parquet

from pytest_distill._util.gc import collector_paused
from pytest_distill.errors import EvaluationError, few, one_line
from pytest_distill.evals.request_keys import canonical_sha256
from pytest_distill.evals.rows import shown_path
from pytest_distill.evaluation.sources.formats.format import ForeignRow, ForeignRun, Format
from pytest_distill.evaluation.sources.formats.lighteval_gold import GoldForm
from pytest_distill.evaluation.sources.formats.lighteval_results import Results, results_of, task_in

DIGITS = 16
"""Of the digest of a query, which is a document's id."""

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
        return _digest(query) if isinstance(query, str) else None

    def read(self, paths: Sequence[Path]) -> list[ForeignRun]:
        """Return one run a file; see `Format`."""
        return [_run(path) for path in paths]


@dataclass(frozen=True)
class Detail:
    """A row: a document and what a model made of it in one way, by text or by likelihood.

    Its values are those of the metrics of this way.
    """

    place: str
    doc: Mapping[str, Any]
    response: Mapping[str, Any]
    values: Mapping[str, Any]

    @property
    def texts(self) -> Sequence[str]:
        """The texts that were scored: where lighteval took the thinking out, those without it."""
        return self.response.get("text_post_processed") or self.response.get("text") or ()


@dataclass
class Document:
    """A document with all that a model made of it.

    Parameters
    ----------
    id : str
        The digest of its query.
    details : list of Detail
        Its rows: one for each way in which the model was asked.
    """

    id: str
    details: list[Detail] = field(default_factory=list)

    @property
    def first(self) -> Detail:
        """Its first row: the document is the same in all."""
        return self.details[0]

    @property
    def way(self) -> str:
        """How the model was asked: for the likelihoods of choices, for a text, or otherwise."""
        choices = len(self.first.doc["choices"] or ())
        for detail in self.details:
            if not detail.texts and 1 < len(detail.response.get("logprobs") or ()) == choices:
                return "choices"
        return "text" if any(detail.texts for detail in self.details) else "other"

    @property
    def values(self) -> dict[str, Any]:
        """The value of every metric."""
        return {name: v for detail in self.details for name, v in detail.values.items()}

    def answers(self) -> Iterator[dict[str, Any]]:
        """Yield the fields of a recorded row, of each sample."""
        shared: dict[str, Any] = {}
        texts: Sequence[str] = ()
        lengths: Sequence[Any] = ()
        for detail in self.details:
            if detail.texts:
                texts, lengths = detail.texts, detail.response.get("output_tokens") or ()
            else:
                shared |= _likelihoods(detail)
        if not texts:
            yield shared
        for number, text in enumerate(texts):
            counted = {"tokens": len(lengths[number])} if len(lengths) == len(texts) else {}
            yield {"text": text, **counted, **shared}


def _likelihoods(detail: Detail) -> dict[str, Any]:
    """Return the log-likelihoods of the choices, and which of them would have been generated."""
    likelihoods = detail.response.get("logprobs") or []
    if not likelihoods:
        return {}
    greedy = detail.response.get("argmax_logits_eq_gold") or []
    told = {"greedy": greedy} if len(greedy) == len(likelihoods) else {}
    return {"loglikelihoods": likelihoods, **told}


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
    documents = _documents(details)
    results = results_of(path, task)
    scored = results.scored([(each.first.place, each.values) for each in documents], source)
    form = GoldForm.of([each.first.doc for each in documents], [each.way for each in documents])
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
    doc, response, values = (row[name] or {} for name in ("doc", "model_response", "metric"))
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


def _documents(details: Sequence[Detail]) -> list[Document]:
    """Return the documents of some rows, in the order of the file.

    A document that a model was asked both for a text and for likelihoods stands in two rows, with
    the metrics of either. One that the data set has twice has two places in it.
    """
    found: dict[tuple[str, str], Document] = {}
    seen: Counter[str] = Counter()
    for detail in details:
        query, place = detail.doc["query"], str(detail.doc.get("id"))
        document = found.get((query, place))
        if document is None:
            seen[query] += 1
            digest = _digest(query)
            id = digest if seen[query] == 1 else f"{digest}#{seen[query]}"
            document = found[query, place] = Document(id)
        elif not document.values.keys().isdisjoint(detail.values):
            raise EvaluationError(
                f"{detail.place}: this document of the data set stands at {document.first.place} "
                "already: the file holds rows of two runs; keep those of one"
            )
        document.details.append(detail)
    _refuse_uneven(list(found.values()))
    return list(found.values())


def _digest(query: str) -> str:
    return hashlib.sha256(query.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]


def _refuse_uneven(documents: Sequence[Document]) -> None:
    """Raise EvaluationError where a document lacks a metric that others have."""
    names = dict.fromkeys(name for document in documents for name in document.values)
    for document in documents:
        lacking = [name for name in names if name not in document.values]
        if lacking:
            raise EvaluationError(
                f"{document.first.place}: no value of {few(lacking)}, which other documents have: "
                "this one was not scored by it; evaluate again"
            )


def _foreign_rows(
    documents: Sequence[Document], results: Results, metrics: set[str], form: GoldForm
) -> Iterator[ForeignRow]:
    settings = results.settings
    for document in documents:
        first = document.first
        scores = {name: float(v) for name, v in document.values.items() if name in metrics}
        with_scores = {"scores": scores} if scores else {}
        row = form.row(first.doc)
        prompt = canonical_sha256([_asked(first.doc), settings]).hexdigest()
        for repeat, answer in enumerate(document.answers()):
            yield ForeignRow(
                first.place, document.id, row, {**answer, **with_scores}, repeat, prompt
            )


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
