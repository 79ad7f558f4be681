"""The gold set that lighteval's details are of, in a form that tasks of ours read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


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
        texts = [choice for doc in docs for choice in doc.get("choices") or ()]
        if all(text.startswith(" ") and text.strip() for text in texts):
            return cls({"task": "multiple_choice"}, " ")
        return cls({"task": "multiple_choice", "delimiter": ""})


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
