"""Of which example of a gold set a sample is that another tool made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from pytest_distill.errors import EvaluationError, few, one_line
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import GoldSet
from pytest_distill.evals.ids import DEFAULT_ID_FIELD, id_text, meeting
from pytest_distill.evaluation.sources.formats.format import ForeignRow, ForeignRun, Format

Named = Callable[[ForeignRow], str | None]


def with_ids_of(on: Eval, run: ForeignRun, format: Format) -> ForeignRun:
    """Return a run whose samples are named as the gold set of an eval names its examples.

    That is the tool's own id; else what the document says in the field that the gold set has its
    ids in; else the id of the example whose row is the document. The first of these that meets an
    id of the gold set holds for all samples.

    Raises
    ------
    EvaluationError
        Where none does, or one does for some of the samples alone; where ids that are no digests
        meet, and a sample's document is another example.
    """
    gold = on.gold.by_meeting
    for name in (_own, *_stated(on.gold), _same_row(on.gold, format)):
        named = [name(row) for row in run.rows]
        if not any(id is not None and meeting(id) in gold for id in named):
            continue
        if any(id is None for id in named):
            row = run.rows[named.index(None)]
            raise EvaluationError(
                f"{row.where} (id '{row.id}'): of which example of {on.gold.source} it is nobody "
                "says, though other samples do"
            )
        ids = [gold.get(meeting(str(id)), str(id)) for id in named]
        rows = [
            row if row.id == id else replace(row, id=id)
            for row, id in zip(run.rows, ids, strict=True)
        ]
        found = replace(run, rows=rows)
        return found if name is _own and format.by_content else _looked_at(found, on.gold)
    here = few(list(dict.fromkeys(row.id for row in run.rows)))
    there = few([example.id for example in on.gold])
    raise EvaluationError(
        f"{run.source}: no sample is of an example of {on.gold.source}: the ids here are {here}, "
        f"and there {there}; nor has a document its example's id in a field "
        f"'{on.gold.id_field}', nor is one a row of the gold set. 'python -m "
        f"pytest_distill import {format.name} ...' writes the gold set that the samples are of"
    )


def _looked_at(run: ForeignRun, gold: GoldSet) -> ForeignRun:
    """Return a run whose documents are those of its examples, as far as texts tell.

    An id may be a mere number: then two data sets have the same ids, or one in two orders has.
    """
    owners: dict[str, str | None] = {}
    for example in gold.whole:
        for field, text in example.fields.items():
            if isinstance(text, str) and field not in (gold.id_field, DEFAULT_ID_FIELD):
                owners[text] = example.id if owners.get(text, example.id) == example.id else None
    alone = True
    for row in run.rows:
        texts = [text for text in row.document.values() if isinstance(text, str)]
        telling = [text for text in texts if owners.get(text) is not None]
        if not telling:
            continue
        alone = False
        text = max(telling, key=len)
        if owners[text] != row.id and row.id not in map(owners.get, telling):
            raise EvaluationError(
                f"{row.where} (id '{row.id}'): {one_line(text)!r:.60} stands in its document, and "
                f"in example '{owners[text]}' of {gold.source}: the ids here and there are of "
                "other examples; give the gold set the ids of the data that the model was asked"
            )
    if not alone:
        return run
    note = (
        f"{run.source}: its samples are found in {gold.source} by their ids alone: no text of "
        "their documents stands there"
    )
    return replace(run, notes=(*run.notes, note))


def _own(row: ForeignRow) -> str:
    return row.id


def _stated(gold: GoldSet) -> list[Named]:
    """Return how to name a sample by a field of its document."""

    def by(field: str) -> Named:
        def name(row: ForeignRow) -> str | None:
            try:
                return id_text(row.document.get(field))
            except ValueError:
                return None

        return name

    return [by(field) for field in dict.fromkeys((gold.id_field, DEFAULT_ID_FIELD))]


def _same_row(gold: GoldSet, format: Format) -> Named:
    """Return how to name a sample by the row of the gold set that its document is."""
    known: Mapping[str, str] | None = None

    def name(row: ForeignRow) -> str | None:
        nonlocal known
        if known is None:
            named = ((format.id_of(example.fields), example.id) for example in gold.whole)
            known = {digest: id for digest, id in named if digest is not None}
        return known.get(row.id, row.id)

    return name
