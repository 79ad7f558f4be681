"""The gold set that lm-evaluation-harness's samples are of, in a form that tasks of ours read."""

from __future__ import annotations

import ast
from collections.abc import ItemsView, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_distill.evaluation.sources.formats.format import asked_for_choices
from pytest_distill.evaluation.sources.formats.lm_eval.samples import Sample

MOST_TOKENS = 256
"""What lm-evaluation-harness generates at most where a task does not say it."""


@dataclass(frozen=True)
class HarnessGold:
    """How the rows of a gold set are made of samples.

    Parameters
    ----------
    asks : mapping
        What an entry of ``evals:`` says that asks what was asked.
    delimiter : str
        What each continuation begins with that is no part of a choice.
    in_template : bool
        Whether the prompts stand in a model's own chat template, so that they are of that model.
    """

    asks: Mapping[str, Any]
    delimiter: str = ""
    in_template: bool = False

    def row(self, sample: Sample) -> dict[str, Any]:
        """Return the example: the document's fields, and in their place what a task reads."""
        task = self.asks["task"]
        row = dict(sample.doc)
        if sample.asked.prompt is not None and not self.in_template:
            row["input"] = sample.asked.prompt
        if task == "multiple_choice":
            row["choices"] = _choices(sample, self.delimiter)
            row["target"] = _index(sample, row["choices"])
        elif task == "generation":
            row["target"] = _texts(sample.target)
        return row


@dataclass(frozen=True, slots=True, eq=False)
class GoldRow(Mapping[str, Any]):
    """The row of a sample, which is made when it is looked at: to judge answers nobody needs it."""

    form: HarnessGold
    sample: Sample

    def __getitem__(self, name: str) -> Any:
        return self.form.row(self.sample)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.form.row(self.sample))

    def __len__(self) -> int:
        return len(self.form.row(self.sample))

    def items(self) -> ItemsView[str, Any]:
        """Return all fields, for which the row is made once."""
        return self.form.row(self.sample).items()


def gold_form(samples: Sequence[Sample], *, in_template: bool) -> HarnessGold:
    """Return the form of a gold set.

    Where no task of ours asks the same it is that of texts, of which the scores alone are judged.
    """
    kinds = {sample.asked.kind for sample in samples}
    kind = kinds.pop() if len(kinds) == 1 else "other"
    one_prompt = all(sample.asked.prompt is not None for sample in samples)
    if kind == "choice" and one_prompt:
        asks, delimiter = asked_for_choices(t for s in samples for t in s.asked.continuations)
        if all(_is_choice(sample, delimiter) for sample in samples):
            return HarnessGold(asks, delimiter, in_template)
    if kind == "text" and all(sample.asked.prompt for sample in samples):
        return HarnessGold({"task": "perplexity"})
    said = _generates(samples) if kind == "generation" else {}
    return HarnessGold({"task": "generation", **said}, in_template=in_template)


def _choices(sample: Sample, delimiter: str) -> list[str]:
    return [text.removeprefix(delimiter) for text in sample.asked.continuations]


def _is_choice(sample: Sample, delimiter: str) -> bool:
    """Return whether it is known which choice is right, and the scores say so too."""
    choices = _choices(sample, delimiter)
    right = _index(sample, choices)
    if right is None or "" in choices:
        return False
    said = sample.scores.get("acc")
    values = sample.answers[0]["loglikelihoods"]
    most = max(values)
    tied = values.count(most) > 1
    return tied or said not in (0, 1) or (values.index(most) == right) == bool(said)


def _index(sample: Sample, choices: Sequence[str]) -> int | None:
    """Return which choice is right by the target: its index, else its text."""
    target = sample.target
    if target.isdecimal() and target.isascii() and len(target) < 4:
        return int(target) if int(target) < len(choices) else None
    return choices.index(target) if choices.count(target) == 1 else None


def _texts(target: str) -> str | list[str]:
    """Return the accepted texts, which are a list where the target reads so."""
    if target.startswith("["):
        try:
            listed = ast.literal_eval(target)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return target
        if isinstance(listed, list) and listed and all(isinstance(t, str) for t in listed):
            return listed
    return target


def _generates(samples: Sequence[Sample]) -> dict[str, Any]:
    """Return how texts are generated, where that is the same for all."""
    settings = samples[0].asked.settings
    if any(sample.asked.settings != settings for sample in samples):
        return {}
    until = settings.get("until")
    stop = [until] if isinstance(until, str) else until or []
    said: dict[str, Any] = {"max_new_tokens": settings.get("max_gen_toks", MOST_TOKENS)}
    if isinstance(stop, list) and all(isinstance(text, str) and text for text in stop):
        said["stop"] = stop
    return {name: value for name, value in said.items() if value}
