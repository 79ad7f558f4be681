"""Classification by a model that writes: held to the labels, or asked which is the likeliest."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_distill.engines.openai.calls import CHAT, Call, CallRefusedError, Send
from pytest_distill.engines.openai.checks import Dialect, Trial
from pytest_distill.engines.openai.echoes import CUTS_NOTHING
from pytest_distill.engines.openai.options import OpenAIOptions
from pytest_distill.engines.openai.reading import Written, written
from pytest_distill.engines.openai.score_trials import TRIAL, PromptScoring
from pytest_distill.engines.openai.scores import score_choices
from pytest_distill.errors import ModelError, one_line, some_of
from pytest_distill.evals.distributions import softmax
from pytest_distill.evals.normalisation import composed
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest

_GAP = "\n\n"
_ANSWER = "Label:"
_SPARE = 32
"""Tokens beside those of the longest label: blanks that JSON may have, and the end."""
_UNLIKELY = ("qzxwv", "jgkpq")
_SHOWN = 60


@dataclass(frozen=True)
class Classifier:
    """How one model is asked for labels.

    Parameters
    ----------
    who : str
        The model and where it is asked, for messages.
    options : OpenAIOptions
        What stands before a text, and how the model is held to the labels.
    scoring : PromptScoring
        How its server scores prompts.
    dialect : Dialect
        How its server wants to be asked.
    """

    who: str
    options: OpenAIOptions
    scoring: PromptScoring
    dialect: Dialect

    def trials(self, requests: Sequence[ClassificationRequest]) -> Mapping[Hashable, Trial]:  # noqa: ARG002
        """Return what is tried before these are asked, by what it is about."""
        way = self.options.classify_by
        if way == "loglikelihoods":

            async def scores(send: Send) -> None:
                await self.scoring.find_out(send, ClassificationRequest.task, self._other_ways)

            return {"scores": scores}

        async def held(send: Send) -> None:
            await self._refuse_loose(send)

        return {("labels", way): held}

    async def _refuse_loose(self, send: Send) -> None:
        """Raise ModelError where the server lets the model say what is no label.

        It is held to words that no model says by itself.
        """
        way = self.options.classify_by
        try:
            said = await self._said(send, TRIAL, "Is snow white? Answer yes or no.", _UNLIKELY)
        except CallRefusedError as error:
            raise ModelError(f"{error}. {self._other_ways}") from None
        if self._label_in(said.text) not in _UNLIKELY:
            if cut := self._if_cut(said):
                raise ModelError(f"{self.who}: no label was answered{cut}")
            raise ModelError(
                f"{self.who}: the server takes {way} without a word and does not hold the model to "
                f"it: it answered {_shown(said.text)}, which is none of "
                f"{' and '.join(map(repr, _UNLIKELY))}. {self._other_ways}"
            )

    @property
    def _other_ways(self) -> str:
        ways = {"response_format": "a JSON schema, as OpenAI's API has it"}
        ways["structured_outputs"] = "vLLM's own key"
        ways["loglikelihoods"] = "where the server scores prompts"
        others = [
            f"{way} ({what})" for way, what in ways.items() if way != self.options.classify_by
        ]
        return f"Set classify_by to another way for this model: {' or '.join(others)}"

    async def classify(self, send: Send, request: ClassificationRequest) -> Prediction:
        """Return the label of a text, with the labels' probabilities where they are known.

        Raises
        ------
        ModelError
            Where the answer is none of the labels, or it cannot be told by them.
        """
        labels = request.labels
        if len(labels) < 2:
            raise ModelError(
                f"{self.who}: example '{request.id}': a model that writes is told the labels, and "
                "there are no two: list all classes in the eval, as in 'labels: [no, yes]'"
            )
        if self.options.classify_by == "loglikelihoods":
            return await self._likeliest(send, request)
        try:
            said = await self._said(send, request.id, text_of(self.options, request), labels)
        except CallRefusedError as error:
            if not error.is_too_long:
                raise
            raise ModelError(f"{error}; {CUTS_NOTHING}") from None
        found = self._label_in(said.text)
        label = {composed(label).strip(): label for label in labels}.get(
            composed(found or "").strip()
        )
        if label is None:
            why = "" if found is not None else ' in the JSON that was asked for, {"label": ...}'
            raise ModelError(
                f"{self.who}: example '{request.id}': the answer {_shown(said.text)} is none of "
                f"the labels ({some_of(labels)}){why}{self._if_cut(said)}"
            )
        return Prediction(request.id, prediction=label)

    async def _said(self, send: Send, id: str, text: str, labels: Sequence[str]) -> Written:
        """Return what the model answers that is held to labels."""
        way = self.options.classify_by
        longest = max(len(json.dumps({"label": label})) for label in labels)
        body: dict[str, Any] = {"messages": [{"role": "user", "content": text}], "temperature": 0}
        body |= {"max_tokens": longest + _SPARE, way: _held(way, labels)}
        call = Call(id, CHAT, body, longest + _SPARE)
        answer = await self.dialect.ask(send, call)
        return written(answer, f"{self.who}: example '{id}'")

    def _if_cut(self, said: Written) -> str:
        """Return what to say of an answer that had no room; empty where it had."""
        if said.ended != "length" or said.text.strip():
            return ""
        return (
            "; it ended before it said anything: a model that thinks first needs more tokens, as "
            f"in 'extra_body: {{{self.dialect.learnt.limit}: 4096}}'"
        )

    def _label_in(self, said: str) -> str | None:
        """Return what an answer gives as its label; None where it gives none."""
        if self.options.classify_by == "structured_outputs":
            return said.strip()  # tokens of words begin with a blank
        try:
            label = json.loads(said)["label"]
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
        return label if isinstance(label, str) else None

    async def _likeliest(self, send: Send, request: ClassificationRequest) -> Prediction:
        labels = request.labels
        for one in labels:
            longer = next((label for label in labels if label != one and label.startswith(one)), "")
            if longer:
                raise ModelError(
                    f"{self.who}: the label {one!r} is the beginning of {longer!r}, so that it is "
                    f"the likelier one after any text. {self._other_ways}"
                )
        text = text_of(self.options, request)
        if self.options.instruction != "":
            text += _GAP + _ANSWER
        choices = tuple(f" {label}" for label in labels)
        scored = await score_choices(self.scoring, send, ChoiceRequest(request.id, text, choices))
        values = scored.loglikelihoods or ()
        best = [label for label, value in zip(labels, values, strict=True) if value == max(values)]
        return Prediction(
            request.id,
            prediction=best[0] if len(best) == 1 else None,  # else the task's rule decides
            probabilities=tuple(map(float, softmax(values))),
            labels=labels,
        )


def text_of(options: OpenAIOptions, request: ClassificationRequest) -> str:
    """Return all that the model reads of a classification."""
    parts = [_instruction(options, request), request.text, request.text_pair]
    return _GAP.join(part for part in parts if part)


def _instruction(options: OpenAIOptions, request: ClassificationRequest) -> str:
    if options.instruction is not None:
        return options.instruction
    what = "text" if request.text_pair is None else "two texts"
    labels = ", ".join(json.dumps(label, ensure_ascii=False) for label in request.labels)
    return (
        f"Which label fits the {what}? Answer with one of these labels and nothing else: {labels}"
    )


def whole_prompt(options: OpenAIOptions, request: ClassificationRequest) -> str:
    """Return all that decides the answer, in one text: an answer is found again by it."""
    return json.dumps([options.classify_by, text_of(options, request), list(request.labels)])


def _held(way: str, labels: Sequence[str]) -> Mapping[str, Any]:
    """Return what holds a model to labels."""
    if way == "structured_outputs":
        return {"choice": list(labels)}
    label = {"type": "string", "enum": list(labels)}
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"label": label},
        "required": ["label"],
    }
    schema["additionalProperties"] = False
    return {
        "type": "json_schema",
        "json_schema": {"name": "label", "strict": True, "schema": schema},
    }


def _shown(said: str) -> str:
    shown = one_line(repr(said))
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}..."
