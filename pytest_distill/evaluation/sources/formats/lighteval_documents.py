"""The documents of lighteval's details: what a model made of each, and the gold set they are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pytest_distill.errors import EvaluationError, few
from pytest_distill.evaluation.sources.formats.format import asked_for_choices

DIGITS = 16
"""Of the digest of a query, which is a document's id."""


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
class LightevalDocument:
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

    def takes(self, detail: Detail) -> bool:
        """Return whether a row is of this document, by its place in the data set if that is known.

        Raises
        ------
        EvaluationError
            Where the document has the row's metrics already.
        """
        is_other = self.values.keys().isdisjoint(detail.values)
        place = detail.doc.get("id")
        if not place:
            return is_other
        if place != self.first.doc.get("id"):
            return False
        if not is_other:
            raise EvaluationError(
                f"{detail.place}: this document of the data set stands at {self.first.place} "
                "already: the file holds rows of two runs; keep those of one"
            )
        return True

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


def documents_of(details: Sequence[Detail]) -> list[LightevalDocument]:
    """Return the documents of some rows, in the order of the file.

    A document that a model was asked both for a text and for likelihoods stands in two rows, with
    the metrics of either. One that the data set has twice has two places in it.
    """
    by_query: dict[str, list[LightevalDocument]] = {}
    found: list[LightevalDocument] = []
    for detail in details:
        query = detail.doc["query"]
        alike = by_query.setdefault(query, [])
        document = next((each for each in alike if each.takes(detail)), None)
        if document is None:
            number = len(alike) + 1
            document = LightevalDocument(
                query_digest(query) if number == 1 else f"{query_digest(query)}#{number}"
            )
            alike.append(document)
            found.append(document)
        document.details.append(detail)
    _refuse_uneven(found)
    return found


def query_digest(query: str) -> str:
    """Return the id of a document that asks this first."""
    return hashlib.sha256(query.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]


def _refuse_uneven(documents: Sequence[LightevalDocument]) -> None:
    """Raise EvaluationError where a document lacks a metric that others have."""
    names = dict.fromkeys(name for document in documents for name in document.values)
    for document in documents:
        lacking = [name for name in names if name not in document.values]
        if lacking:
            raise EvaluationError(
                f"{document.first.place}: no value of {few(lacking)}, which other documents have: "
                "this one was not scored by it; evaluate again"
            )


@dataclass(frozen=True)
class LightevalGold:
    """How the rows of a gold set are made of documents.

    Parameters
    ----------
    asks : mapping
        What an entry of ``evals:`` says that asks what was asked; nothing where no task does.
    delimiter : str
        What each choice begins with that is no part of it.
    """

    asks: Mapping[str, Any] = field(default_factory=dict)
    delimiter: str = ""

    def row(self, doc: Mapping[str, Any]) -> dict[str, Any]:
        """Return the example: what the task knows of it, and in their place what a task reads."""
        found: dict[str, Any] = {**(doc.get("specific") or {}), "input": doc["query"]}
        choices = [choice.removeprefix(self.delimiter) for choice in doc.get("choices") or ()]
        right = _right(doc)
        if self.asks.get("task") == "multiple_choice":
            return {**found, "choices": choices, "target": right[0]}
        golds = [choices[index] for index in right]
        return {**found, "target": golds[0] if len(golds) == 1 else golds}

    @classmethod
    def of(cls, docs: Sequence[Mapping[str, Any]], ways: Sequence[str]) -> LightevalGold:
        """Return the form of documents that a model was asked in these ways."""
        rights = [_right(doc) for doc in docs]
        if not all(rights) or len(set(ways)) != 1:
            return cls()
        if ways[0] == "text":
            return cls({"task": "generation", **_generates(docs)})
        if ways[0] != "choices" or any(len(right) != 1 for right in rights):
            return cls()
        return cls(*asked_for_choices(c for doc in docs for c in doc.get("choices") or ()))


def _right(doc: Mapping[str, Any]) -> list[int]:
    """Return the places of the right choices; none where they are no places in the list."""
    said, choices = doc.get("gold_index"), doc.get("choices") or ()
    listed = said if isinstance(said, list) else [said]
    places = [index for index in listed if isinstance(index, int) and 0 <= index < len(choices)]
    return places if len(places) == len(listed) else []


def _generates(docs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how texts are generated, where that is the same for all."""
    names = {"generation_size": "max_new_tokens", "stop_sequences": "stop"}
    said = {ours: [doc.get(theirs) for doc in docs] for theirs, ours in names.items()}
    return {
        name: values[0]
        for name, values in said.items()
        if values[0] and values.count(values[0]) == len(values)
    }
