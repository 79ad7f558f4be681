"""What pipelines of transformers give, and columns of probabilities, as recorded rows.

They stand in a row's own fields (``{"id": ..., "label": ..., "score": ...}``) or under whatever
field somebody put them, as they are or in a list.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_distill.errors import EvaluationError
from pytest_distill.evals.cells import structure
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.rows import Row
from pytest_distill.evals.tasks import Classification
from pytest_distill.evals.tasks.predictions import PROBABILITY_SUM_TOLERANCE
from pytest_distill.evaluation.sources.fields import finite

PREFIXES = ("prob_", "proba_", "probability_", "p_")
"""What the name of a column with a label's probability begins with; the label follows."""

TEXTS = ("generated_text", "summary_text", "translation_text")
"""The fields in which pipelines give a text that they generated."""


@dataclass(frozen=True)
class ScoredLabels:
    """Labels and their scores, of one row."""

    labels: Sequence[str]
    scores: Sequence[float]

    @property
    def first(self) -> str:
        """The label with the greatest score, of equal ones the first by name."""
        most = max(self.scores)
        return min(n for n, score in zip(self.labels, self.scores, strict=True) if score == most)

    @property
    def sums_to_one(self) -> bool:
        """Whether these may be the probabilities of labels that exclude each other."""
        inside = all(0 <= score <= 1 for score in self.scores)
        return inside and abs(math.fsum(self.scores) - 1) <= PROBABILITY_SUM_TOLERANCE


class Labelled:
    """The rows in which labels have scores, as an eval's recorded rows.

    Parameters
    ----------
    on : Eval
        Whose labels they are.
    """

    def __init__(self, on: Eval) -> None:
        task = on.task
        self.task = task if isinstance(task, Classification) else None
        self.classes = frozenset(task.label_counts(on.gold.whole))

    def fields(self, place: str, row: Row) -> Row | None:
        """Return `prediction`, or `probabilities` with `labels`; None where a row has no scores.

        Only scores of all labels are probabilities, where they sum to 1: a pipeline was asked for
        the first of them (``top_k``), or scores each label alone (``multi_label``). Else the
        label with the greatest score is all that is known.
        """
        found = _scored(place, row)
        if found is not None:
            return self.named(found) if found.sums_to_one else {"prediction": found.first}
        columns = self._columns(place, row)
        return None if columns is None else self.named(columns)

    def beside(self, place: str, row: Row) -> Row:
        """Return the probabilities in columns beside an answer; nothing where there are none."""
        if not any(name.startswith(PREFIXES) for name in row):
            return {}
        columns = self._columns(place, row)
        if columns is None or not columns.sums_to_one:
            return {}
        named = self.named(columns)
        return named if "probabilities" in named else {}

    def named(self, found: ScoredLabels) -> Row:
        """Return probabilities by the names of their labels, where all of the eval's are there."""
        if self.task is None:
            return {"prediction": found.first}
        named = {self.task.class_named(label): label for label in found.labels}
        if len(named) < len(found.labels) or not self.classes <= named.keys():
            return {"prediction": found.first}
        by_label = dict(zip(found.labels, found.scores, strict=True))
        # Where the eval numbers the outputs of a model, their order is that of the numbers.
        order = self.task.outputs or tuple(named)
        if set(order) != named.keys():
            return {"prediction": found.first}
        return {"probabilities": [by_label[named[name]] for name in order], "labels": [*order]}

    def _columns(self, place: str, row: Row) -> ScoredLabels | None:
        """Return the probabilities that stand in a column each."""
        if self.task is None:
            return None
        found = []
        for prefix in PREFIXES:
            names = {
                name.removeprefix(prefix): name
                for name in row
                if name.startswith(prefix) and name != prefix
            }
            classes = {self.task.class_named(label) for label in names}
            if self.classes <= classes:
                found.append(names)
        if len(found) > 1:
            one, two = (next(iter(names.values())) for names in found[:2])
            raise EvaluationError(
                f"{place}: '{one}' and '{two}' begin two rows of probabilities; keep one of them"
            )
        if not found:
            return None
        scores = [finite(place, name, row[name]) for name in found[0].values()]
        return ScoredLabels([*found[0]], scores)


def _scored(place: str, row: Row) -> ScoredLabels | None:
    """Return the labels and scores in a row: its own, or those under one of its fields."""
    under = {}
    for name, value in row.items():
        nested = _flat(structure(value))
        if isinstance(nested, Mapping):
            listed = _of_mapping(place, nested)
        elif isinstance(nested, list) and nested and all(map(_is_pair, nested)):
            listed = _pairs(place, nested)
        else:
            continue
        if listed is not None:
            under[name] = listed
    if len(under) > 1:
        raise EvaluationError(
            f"{place}: {' and '.join(map(repr, under))} have labels with scores; keep the model's"
        )
    return next(iter(under.values()), None) or _of_mapping(place, row)


def _of_mapping(place: str, said: Mapping[str, Any]) -> ScoredLabels | None:
    """Return ``{"label", "score"}``, or ``{"labels", "scores"}`` of a zero-shot pipeline."""
    if _is_pair(said):
        return _pairs(place, [said])
    labels, scores = structure(said.get("labels")), structure(said.get("scores"))
    if not isinstance(labels, list) or not isinstance(scores, list) or not labels:
        return None
    if len(labels) != len(scores):
        raise EvaluationError(f"{place}: {len(labels)} labels and {len(scores)} scores")
    pairs = zip(labels, scores, strict=True)
    return _pairs(place, [{"label": label, "score": score} for label, score in pairs])


def _pairs(place: str, pairs: Sequence[Mapping[str, Any]]) -> ScoredLabels:
    labels = [str(pair["label"]) for pair in pairs]
    scores = [finite(place, "score", pair["score"]) for pair in pairs]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise EvaluationError(f"{place}: the label '{twice}' has two scores")
    return ScoredLabels(labels, scores)


def _is_pair(value: object) -> bool:
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("label"), str | int)
        and "score" in value
    )


def _flat(value: Any) -> Any:
    """Return what stands in a list of one list: a pipeline's answer to one text in a list."""
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], list):
        return value[0]
    return value


def texts_of(place: str, row: Row) -> Iterator[tuple[str, str]]:
    """Yield the texts that a pipeline generated for a row, and the field of each.

    Of a chat it gives all messages; the last one is the model's.
    """
    given = [
        answer for value in (row, *row.values()) for answer in _answers(_flat(structure(value)))
    ]
    if len({name for answer in given for name in TEXTS if name in answer}) > 1:
        raise EvaluationError(f"{place}: has several of {', '.join(TEXTS)}; keep the model's")
    for answer in given:
        name = next(name for name in TEXTS if name in answer)
        yield _said(place, name, answer[name]), name


def _answers(value: Any) -> list[Mapping[str, Any]]:
    """Return the mappings with a generated text that a value is."""
    listed = value if isinstance(value, list) else [value]
    found = [
        each for each in listed if isinstance(each, Mapping) and not each.keys().isdisjoint(TEXTS)
    ]
    return found if len(found) == len(listed) else []


def _said(place: str, name: str, value: Any) -> str:
    if isinstance(value, list) and value and isinstance(value[-1], Mapping):
        last = value[-1]
        if last.get("role") != "assistant":
            raise EvaluationError(
                f"{place}: the last message of {name} has the role {last.get('role')!r:.40}, not "
                "'assistant': it is none of the model's"
            )
        value = last.get("content")
    if not isinstance(value, str):
        raise EvaluationError(f"{place}: {name} is {value!r:.60}, not text")
    return value
