"""Generation: a text that answers the prompt."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from dataclasses import fields as fields_of
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from pytest_distill._util.strict import PositiveCount
from pytest_distill.errors import ConfigError
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.metrics import Answer, Metric, structured
from pytest_distill.evals.metrics.corpus import BLEU, CHRF
from pytest_distill.evals.metrics.error_rates import CHAR_ERROR_RATE, WORD_ERROR_RATE
from pytest_distill.evals.metrics.mathematics import MATH_EQUAL
from pytest_distill.evals.metrics.texts import EXACT_MATCH, FINISHED, ROUGE_L, TOKEN_F1
from pytest_distill.evals.normalisation import composed
from pytest_distill.evals.requests import LATER, GoldText, Prediction, Request, ToolCall
from pytest_distill.evals.tasks import fields
from pytest_distill.evals.tasks.conversing import Conversing
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest, sample_of
from pytest_distill.evals.tasks.predictions import no_answer, with_ending
from pytest_distill.evals.tasks.repeats import MOST as MOST_REPEATS
from pytest_distill.evals.tasks.repeats import refuse_budgets, refuse_repeats
from pytest_distill.evals.tasks.schemas import check_schema, schema_of
from pytest_distill.evals.tasks.thinking import Markers, answer_in, markers_of
from pytest_distill.evals.tasks.tool_calls import as_text, calls_of, expected_calls, refuse_calls


@dataclass(frozen=True)
class Generation(Decoding, Conversing):
    """A text that answers the prompt. Greedy unless `do_sample`.

    Parameters
    ----------
    input : str
        The field that is the prompt where there is no template.
    target : str
        The field that holds the accepted answer, or a list of them.
    prompt : str, optional
        A jinja2 template over the example's fields.
    shots : tuple of Example
        Solved examples that stand before the prompt, each with its first accepted answer.
    chat, messages, system, tools, template
        See `Conversing`.
    extract : str, optional
        A regular expression. The answer is its first match in the output: its first group where it
        has one, else the whole match; the empty text where it does not match.
    max_new_tokens, stop, do_sample, temperature, top_p, seed
        See `Decoding`.
    truncate : {"left"}, optional
        Whether the start of a prompt longer than the model's context may be cut off.
    thinking : mapping, optional
        What the model's thinking begins with (``start``) and ends with (``end``): the answer is
        what follows, and `extract` looks at that.
    schema : str or mapping, optional
        The JSON Schema that the answer is to fit, or the field that holds each example's.
    repeats : int
        How many texts are sampled for each example, each with a seed of its own.
    at_tokens : tuple of int
        Budgets of tokens, each at most `max_new_tokens`: what a run with that limit answers.
    """

    name: ClassVar[str] = GenerationRequest.task
    metrics: ClassVar[tuple[Metric, ...]] = (
        *(EXACT_MATCH, TOKEN_F1, ROUGE_L, BLEU, CHRF, FINISHED),
        *(MATH_EQUAL, WORD_ERROR_RATE, CHAR_ERROR_RATE),
        *(
            structured.VALID_JSON,
            structured.MATCHES_SCHEMA,
            structured.TOOL_NAME,
            structured.TOOL_ARGUMENTS,
        ),
    )
    confidence: ClassVar[str | None] = "mean_log_probability"
    by_token: ClassVar[bool] = True
    answered_by: ClassVar[tuple[str, ...]] = ("text", "prediction", "tool_calls")
    needs: ClassVar[str] = "'text' or 'prediction'"

    extract: str | None = None
    truncate: Literal["left"] | None = None
    thinking: Mapping[str, str] | None = field(default=None, metadata=LATER)
    schema: str | Mapping[str, Any] | None = field(default=None, metadata=LATER)
    repeats: Annotated[int, Field(ge=1, le=MOST_REPEATS)] = field(default=1, metadata=LATER)
    at_tokens: tuple[PositiveCount, ...] = field(default=(), metadata=LATER)

    def __post_init__(self) -> None:
        Conversing.__post_init__(self)
        Decoding.__post_init__(self)
        if self.extract is not None:
            try:
                re.compile(self.extract)
            except re.error as error:
                raise ConfigError(f"extract: not a regular expression: {error}") from None
        _ = self._markers
        refuse_repeats(self.repeats, sampled=self.do_sample)
        check_schema(self.schema, tools=self.tools is not None)
        refuse_budgets(self.at_tokens, self.max_new_tokens)

    @property
    def headline(self) -> Metric:
        """Whether the text is the accepted one, or with tools whether the right ones are called."""
        return EXACT_MATCH if self.tools is None else structured.TOOL_NAME

    def misfit(self, metric: Metric) -> str | None:
        """Return why a metric has nothing to look at in an eval without tools or a schema."""
        return structured.misfit(
            metric, tools=self.tools is not None, schema=self.schema is not None
        )

    @property
    def reads(self) -> tuple[str, ...]:
        """Also the field with the schemas."""
        *asked, target = super().reads
        return (*asked, *([self.schema] if isinstance(self.schema, str) else []), target)

    def within(self, tokens: int) -> Generation:
        """Return the task with answers of at most so many tokens."""
        return replace(self, max_new_tokens=tokens, at_tokens=())

    def settings(self) -> dict[str, Any]:
        """Return what decides what is asked: budgets beside it do not change it."""
        return {key: value for key, value in super().settings().items() if key != "at_tokens"}

    def sample(self, request: Request, number: int, id: str) -> GenerationRequest:
        """Return the request with the seed of a further sample."""
        return sample_of(request, number, id)

    def request(self, example: Example) -> GenerationRequest:
        """Return the prompt; the target is checked as well, before any model runs."""
        self._targets(example)
        schema_of(example, self.schema)
        conversation = self.conversation(example)
        prompt = self.solved + self.prompt_of(example) if conversation is None else ""
        return GenerationRequest(
            example.id,
            prompt,
            bool(self.chat),
            self._decoding,
            self.truncate,
            conversation,
            self._markers,
        )

    def gold_text(self, example: Example) -> GoldText:
        """Return the prompt and its first accepted answer, on whose tokens models are compared.

        Between the two stands a blank, as in a solved example, but none after a prompt that ends
        in a blank or a new line, and none in a chat.
        """
        request = self.request(example)
        joined = request.is_chat or request.prompt[-1:].isspace() or not request.prompt
        return GoldText(request, ("" if joined else " ") + self._targets(example)[0])

    def expected(self, example: Example) -> list[str]:
        """Return the accepted answers."""
        return list(self._targets(example))

    def answer(self, example: Example, prediction: Prediction) -> Answer:
        """Return what follows the thinking, with `extract` applied.

        A recorded `prediction` is taken as it is.
        """
        targets = self._targets(example)
        prediction = with_ending(prediction, self.max_new_tokens)
        text, predicted = self._said(example, prediction)
        answer = Answer(example, prediction, predicted, targets)
        if self.tools is None:
            refuse_calls(example, prediction)
            return replace(answer, schema=schema_of(example, self.schema))
        calls = calls_of(text) if prediction.tool_calls is None else prediction.tool_calls
        return replace(
            answer, calls=calls, expected_calls=self._calls(example), tools=self._tools(example)
        )

    def _said(self, example: Example, prediction: Prediction) -> tuple[str, str]:
        """Return the text after the thinking, and the answer in it; of calls alone their JSON."""
        if prediction.tool_calls and not prediction.text:
            return "", as_text(prediction.tool_calls)
        if prediction.text is not None:
            text = prediction.text
            if self._markers is not None:
                text = answer_in(text, self._markers)
            answer = self._extracted(text)
            said = prediction.prediction
            if said is not None and said.strip() != answer.strip():
                raise example.answer_error(
                    f"the prediction is {said!r:.60}, and the text comes to {answer!r:.60}: keep "
                    "the one that the model said"
                )
            return text, answer
        if prediction.prediction is not None:
            return prediction.prediction, prediction.prediction
        if prediction.tool_calls is not None:
            return "", ""
        raise no_answer(example, self.needs)

    def solution(self, shot: Example) -> str:
        """Return a blank and the first accepted answer."""
        return f" {self._targets(shot)[0]}"

    @property
    def longest(self) -> int:
        """The greatest number of tokens that are generated."""
        return self.max_new_tokens

    @cached_property
    def _decoding(self) -> Decoding:
        return Decoding(**{f.name: getattr(self, f.name) for f in fields_of(Decoding)})

    @cached_property
    def _markers(self) -> Markers | None:
        return markers_of(self.thinking)

    def _calls(self, example: Example) -> tuple[ToolCall, ...] | None:
        """Return the calls that are expected; None where the target is a text."""
        if self.tools is None:
            return None
        return expected_calls(example, self.target, self._tools(example))

    def _targets(self, example: Example) -> tuple[str, ...]:
        calls = self._calls(example)
        if calls is not None:
            return (as_text(calls),)
        value = fields.field(example, self.target)
        if not isinstance(value, list | tuple):
            return (fields.label(example, self.target),)
        if not value:
            raise example.gold_error(f"'{self.target}' holds no accepted answer")
        return fields.texts(example, self.target)

    def _extracted(self, text: str) -> str:
        if self.extract is None:
            return text
        match = re.search(composed(self.extract), composed(text))
        if match is None:
            return ""
        return (match[1] if match.re.groups else match[0]) or ""
