"""The samples of lm-evaluation-harness as runs of a model: one file a task and run."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from pytest_distill._util.gc import collector_paused
from pytest_distill.errors import EvaluationError
from pytest_distill.evals.lm_eval.documents import DIGITS
from pytest_distill.evals.rows import shown_path
from pytest_distill.evaluation.sources.formats.format import ForeignRow, ForeignRun, Format
from pytest_distill.evaluation.sources.formats.lm_eval.gold import GoldRow, HarnessGold, gold_form
from pytest_distill.evaluation.sources.formats.lm_eval.results import results_of, scored, task_in
from pytest_distill.evaluation.sources.formats.lm_eval.samples import HarnessDocument, read_samples
from pytest_distill.evaluation.sources.formats.totals import Scored


class LmEvalSamples(Format):
    """``samples_{task}_{date}.jsonl``, and ``results_{date}.json`` beside them.

    An example is a document of the task, whatever filters its answers went through: its id is the
    beginning of the digest of the document, which is the same in every run. Nothing of
    lm-evaluation-harness is imported.
    """

    name: ClassVar[str] = "lm-eval"
    files: ClassVar[str] = "lm-evaluation-harness's samples (samples_*.jsonl)"
    globs: ClassVar[tuple[str, ...]] = ("samples_*.jsonl",)

    def task_of(self, path: Path) -> str | None:
        """Return the task that the file is called after."""
        return task_in(path)

    def id_of(self, document: Mapping[str, Any]) -> str | None:
        """Return the beginning of the digest of a document."""
        text = json.dumps(document, indent=2, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]

    def read(self, paths: Sequence[Path]) -> list[ForeignRun]:
        """Return one run a file; see `Format`."""
        return [_run(path) for path in paths]


@collector_paused()
def _run(path: Path) -> ForeignRun:
    source = shown_path(path)
    if path.match("results_*.json"):
        raise EvaluationError(
            f"{source}: has the totals of a run; name its samples, which lie beside it: "
            "'samples_*.jsonl'"
        )
    results = results_of(path)
    by_id: dict[int, HarnessDocument] = {}
    digests: dict[str, dict[int, str]] = {}
    for sample in read_samples(path, source):
        document = by_id.get(sample.doc_id)
        if document is None:
            document = by_id[sample.doc_id] = HarnessDocument(sample)
        document.take(sample)
        digests.setdefault(sample.filter, {})[sample.doc_id] = sample.digests
    if not by_id:
        raise EvaluationError(f"{source}: it is empty; at least one document is needed")
    documents = [by_id[number] for number in sorted(by_id)]
    _refuse_uneven(documents)
    results.refuse_other_count(source, len(documents))
    results.refuse_other_lines(source, digests)
    found = scored(source, documents, results)
    samples = [document.first for document in documents]
    form = gold_form(samples, in_template=results.template is not None)
    notes = [*found.notes, results.note_of_limit()]
    return ForeignRun(
        source=source,
        files=(path,),
        model=results.model or path.parent.name or None,
        task=results.task,
        rows=_rows(documents, found, form),
        metrics=found.metrics,
        left_out=found.left_out,
        notes=tuple(note for note in notes if note),
        template=results.template,
        asks=form.asks,
    )


def _refuse_uneven(documents: Sequence[HarnessDocument]) -> None:
    """Raise EvaluationError where not all documents have the same filters and repeats."""
    first = documents[0]
    filters, repeats = first.where.keys(), len(first.first.answers)
    for document in documents:
        sample = document.first
        odd = filters ^ document.where.keys()
        if odd:
            name = sorted(odd)[0]
            lacking, having = (sample, first.first) if name in filters else (first.first, sample)
            raise EvaluationError(
                f"{lacking.place}: no line of filter '{name}' for this document, though there is "
                f"one for doc_id {having.doc_id}: the file is not whole"
            )
        if len(sample.answers) != repeats:
            raise EvaluationError(
                f"{sample.place}: {len(sample.answers)} answers, and {repeats} for doc_id "
                f"{first.first.doc_id} at {first.first.where}"
            )


def _rows(
    documents: Sequence[HarnessDocument], found: Scored, form: HarnessGold
) -> list[ForeignRow]:
    seen: Counter[str] = Counter()
    rows = []
    for document in documents:
        sample = document.first
        digest = sample.digest[:DIGITS]
        seen[digest] += 1
        id = digest if seen[digest] == 1 else f"{digest}#{seen[digest]}"
        scores = {name: float(document.scores[name]) for name in found.names(document.scores)}
        gold = GoldRow(form, sample)
        asked = sample.asked.digest, sample.asked.beside
        rows += [
            ForeignRow(sample.where, id, gold, answer, repeat, *asked, scores)
            for repeat, answer in enumerate(sample.answers)
        ]
    return rows
