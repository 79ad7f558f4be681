"""Rows as others write them, read as what an eval's recorded rows say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from pytest_distill.errors import EvaluationError, did_you_mean, some_of
from pytest_distill.evals.cells import structure
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.metrics import ScoredElsewhere
from pytest_distill.evals.rows import Row
from pytest_distill.evals.tasks import Classification, Generation
from pytest_distill.evaluation.sources import batches
from pytest_distill.evaluation.sources.fields import finite, prediction_of
from pytest_distill.evaluation.sources.pipelines import (
    PREFIXES,
    TEXTS,
    Labelled,
    ScoredLabels,
    texts_of,
)
from pytest_distill.evaluation.sources.whole_files import LABEL, GoldLabels, PromptedTexts

SCORES = "scores"
"""The field of ready scores by metric."""

_REPLACED = (SCORES, "labels", "prediction")
"""Our own fields in which a pipeline's answer may stand."""

_MAY_BE_EMPTY = ("text", "prediction")


class Forms:
    """What is known of an eval that tells what a row of its predictions says.

    Parameters
    ----------
    on : Eval
        Whose predictions are read.
    """

    def __init__(self, on: Eval) -> None:
        self.on = on
        self.task = on.task
        self.declared = [
            metric.name
            for metric in (getattr(each, "of", each) for each in on.metrics)
            if isinstance(metric, ScoredElsewhere)
        ]
        self.numbered = isinstance(on.task, Classification) and on.task.outputs is not None
        self._texts = PromptedTexts(on)
        self._golden = GoldLabels(on)
        self._model: tuple[str, str] | None = None
        """Where the first line of a batch stands, and whose it is."""

    def samples(self, where: str, row: Row) -> list[Row]:
        """Return the rows that a line stands for: a line of a batch may hold several answers."""
        if not batches.is_of_batch(row):
            return [row]
        model = batches.model_of(row)
        if model is not None:
            self._model = self._model or (where, model)
            first, other = self._model
            if other != model:
                raise EvaluationError(
                    f"{where} ({batches.ID} '{row[batches.ID]}'): of the model {model!r:.60}, and "
                    f"{first} is of {other!r:.60}: the file holds lines of two outputs; keep those "
                    "of one"
                )
        return [{"id": row[batches.ID], **said} for said in batches.samples_of(where, row)]

    def read(self, where: str, id: str, row: Row) -> list[Row]:
        """Return a row in our own words; several where a pipeline gave several answers.

        Raises
        ------
        EvaluationError
            Where it says nothing of what the task needs.
        """
        place = f"{where} (id '{id}')"
        if self.declared and not isinstance(row.get(SCORES), Mapping):
            row = self._with_scores(place, row)
        for name in self.task.answered_by:
            if _says(row, name):
                return [self._own(place, row)]
        if isinstance(self.task, Generation):
            if texts := [*texts_of(place, row)]:
                return self._generated(place, id, row, texts)
        elif said := self._of_labels.fields(place, row):
            own = {name: value for name, value in row.items() if name not in _REPLACED}
            if "score" in row and said == {"prediction": str(row.get(LABEL))}:
                self._golden.look_at(place, id, row)
            return [{**own, **said}]
        if isinstance(row.get(SCORES), Mapping):
            return [row]
        prediction_of(Example(id, row, where))  # what is wrong with a field of ours goes first
        raise self._unknown(place, row)

    def _own(self, place: str, row: Row) -> Row:
        """Return a row whose answer stands in a field of ours, with what others say beside it."""
        if self.numbered:
            row = self._in_order(place, row)
        if isinstance(self.task, Generation):
            _refuse_another_text(place, row)
        elif isinstance(self.task, Classification) and not _says(row, "probabilities"):
            return {**row, **self._of_labels.beside(place, row)}
        return row

    def finish(self) -> None:
        """Raise EvaluationError for what only all rows together tell."""
        self._texts.refuse_doubtful()
        self._golden.refuse_doubtful()

    @cached_property
    def _of_labels(self) -> Labelled:
        return Labelled(self.on)

    def _with_scores(self, place: str, row: Row) -> Row:
        """Return a row with its ready scores in one field: a table has a column for each."""
        given = structure(row.get(SCORES))
        if not isinstance(given, Mapping):
            columns = [name for name in self.declared if row.get(name) not in (None, "")]
            given = {name: finite(place, name, row[name]) for name in columns}
        return {**row, SCORES: given} if given else row

    def _generated(self, place: str, id: str, row: Row, texts: list[tuple[str, str]]) -> list[Row]:
        """Return a row for each text, without its prompt where the pipeline puts one in front."""
        said = [
            self._texts.alone(place, id, text) if field == "generated_text" else text
            for text, field in texts
        ]
        if len(said) == 1:
            return [{**row, "text": said[0]}]
        return [{**row, "text": text, "repeat": number} for number, text in enumerate(said)]

    def _in_order(self, place: str, row: Row) -> Row:
        """Return named probabilities in the order in which the eval numbers the outputs."""
        given = structure(row.get("probabilities"))
        labels = structure(row.get("labels"))
        if isinstance(given, Mapping):
            labels, given = [*given], [*given.values()]
        elif not (isinstance(given, list) and isinstance(labels, list)):
            return row
        if len(labels) != len(given):
            return row
        named = self._of_labels.named(ScoredLabels([*map(str, labels)], given))
        if "probabilities" in named:
            return {**row, **named}
        if isinstance(structure(row["probabilities"]), list):  # the order is that of the outputs
            return row
        known = some_of(sorted(map(str, self._of_labels.classes)))
        raise EvaluationError(
            f"{place}: probabilities has the names {some_of(labels)}, and labels: of the eval "
            f"{known}; name them as the eval does"
        )

    def _unknown(self, place: str, row: Row) -> EvaluationError:
        names = [name for name in row if name]
        wanted = (*self.task.answered_by, SCORES)
        empty = [name for name in names if name in wanted and row[name] in (None, "")]
        others = [name for name in names if name not in wanted]
        near = next((n for n in others if did_you_mean(n, wanted).startswith("did you")), None)
        if empty:
            meant = f"; '{empty[0]}' is empty"
        elif isinstance(self.task, Classification) and _begin_otherwise(names):
            known = some_of(sorted(map(str, self._of_labels.classes)))
            meant = f"; columns of probabilities are called {PREFIXES[0]}LABEL, of {known}"
        else:
            meant = f"; '{near}': {did_you_mean(near, wanted)}" if near else ""
        return EvaluationError(
            f"{place}: no answer; task {self.task.name} needs {self.task.needs} (or ready "
            f"'{SCORES}'), and the row has {some_of(names)}{meant}"
        )


def _begin_otherwise(names: Sequence[str]) -> bool:
    """Return whether names of columns begin nearly as those of probabilities do."""
    return any(name.casefold().startswith((*PREFIXES, "logit")) for name in names)


def _refuse_another_text(place: str, row: Row) -> None:
    """Raise EvaluationError where a pipeline's text is another than that in the field `text`.

    Many data sets call what a model reads so.
    """
    own = row.get("text")
    nested = any(isinstance(value, list | Mapping) for value in row.values())
    if not isinstance(own, str) or (not nested and row.keys().isdisjoint(TEXTS)):
        return
    for said, field in texts_of(place, row):
        if said != own:
            raise EvaluationError(
                f"{place}: text is {own!r:.40}, and {field} {said!r:.40}: keep the one that the "
                "model wrote"
            )


def _says(row: Row, name: str) -> bool:
    """Return whether a field says something: an empty cell of numbers does not."""
    value: Any = row.get(name)
    if value is None or (value == "" and name not in _MAY_BE_EMPTY):
        return False
    # A pipeline's answer may stand under the same name.
    return name != "prediction" or not isinstance(structure(value), (list, Mapping))
