"""What only all rows of a file tell together: whose its labels are, and where its prompts stand."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from pytest_distill.errors import EvaluationError
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.requests import Request
from pytest_distill.evals.rows import Row
from pytest_distill.evals.tasks.decoding import GenerationRequest

LABEL = "label"
"""What pipelines call the label that they predict, and many data sets the right one."""


class PromptedTexts:
    """The generated texts of one file, in which all have their prompt in front or none has it.

    transformers' text-generation puts the prompt before what the model wrote, unless it is told
    ``return_full_text=False``; a file does not say which. So it is certain where every text begins
    with the prompt of its example, and where there is no prompt in any.

    Parameters
    ----------
    on : Eval
        Whose prompts they are.
    """

    def __init__(self, on: Eval) -> None:
        self.on = on
        self._with: str | None = None
        self._without: str | None = None
        self._free: str | None = None
        """The places of a text with its prompt in front, one without, and one that lacks it."""

    def alone(self, place: str, id: str, text: str) -> str:
        """Return a text without its prompt."""
        prompt = self._prompts.get(id)
        if not prompt:  # there is none, or the example is none of the gold set's
            return text
        if text.startswith(prompt):
            self._with = self._with or place
            return text[len(prompt) :]
        self._without = self._without or place
        if prompt.strip() not in text:
            self._free = self._free or place
        return text

    def refuse_doubtful(self) -> None:
        """Raise EvaluationError where it is not certain what the model wrote."""
        if self._without is None or (self._with is None and self._free is not None):
            return
        odd = "does not begin with its prompt"
        if self._with is None:
            odd = "holds its prompt, and does not begin with it as the eval asks it"
        other = "" if self._with is None else f", and that of {self._with} does"
        raise EvaluationError(
            f"{self._without}: its generated_text {odd}{other}: what the model wrote cannot be "
            "told from what it read; generate with return_full_text=False"
        )

    @cached_property
    def _prompts(self) -> Mapping[str, str]:
        requests = map(self.on.task.request, self.on.gold.whole)
        return {request.id: _prompt(request) for request in requests}


def _prompt(request: Request) -> str:
    """Return what a model read last: the prompt, or the last message to it."""
    if not isinstance(request, GenerationRequest):
        return ""
    if request.conversation is None:
        return request.prompt
    content = request.conversation.messages[-1].get("content")
    return content if isinstance(content, str) else ""


class GoldLabels:
    """The labels of one file, of which all may be the gold set's own.

    A row of the gold set to which somebody gave a column `score` looks as if a pipeline had filled
    it. So it is certain that the labels are a model's where one of them is not the right one.

    Parameters
    ----------
    on : Eval
        Whose predictions they are.
    """

    def __init__(self, on: Eval) -> None:
        self.on = on
        self._first: str | None = None
        self._is_certain = False

    def look_at(self, place: str, id: str, row: Row) -> None:
        """Look whether a row may be one of the gold set."""
        if self._is_certain:
            return
        self._first = self._first or place
        self._is_certain = not _is_row_of(self._gold.get(id, {}), row)

    def refuse_doubtful(self) -> None:
        """Raise EvaluationError where all rows may be the gold set's."""
        if self._first is not None and not self._is_certain:
            raise EvaluationError(
                f"{self._first}: this row and all others have fields of {self.on.gold.source}, its "
                f"'{LABEL}' too: nothing tells it from the gold label; write what the model "
                "predicted into a field 'prediction'"
            )

    @cached_property
    def _gold(self) -> Mapping[str, Mapping[str, Any]]:
        return {example.id: example.fields for example in self.on.gold.whole}


def _is_row_of(gold: Mapping[str, Any], row: Row) -> bool:
    """Return whether a row has the label of an example, and a text of it beside that."""
    if LABEL not in gold or str(gold[LABEL]) != str(row.get(LABEL)):
        return False
    return any(
        isinstance(text, str) and name not in ("id", LABEL) and row.get(name) == text
        for name, text in gold.items()
    )
