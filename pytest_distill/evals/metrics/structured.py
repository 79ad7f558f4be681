"""Metrics of what a program reads: JSON, and calls of tools. Each says right or wrong."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pytest_distill._util import strict_json
from pytest_distill._util.apart import SECONDS
from pytest_distill.evals.json_schemas import JSONSCHEMA, LATE, UnusableSchemaError, fits
from pytest_distill.evals.metrics.base import Answer, MeanMetric, Metric
from pytest_distill.evals.normalisation import composed
from pytest_distill.evals.requests import ToolCall


def valid_json(answer: Answer) -> float:
    """Return 1.0 where the answer is one JSON value with blanks around it at most, else 0.0.

    By the standard (RFC 8259), which has no NaN and no comma at an end. With tools: where there is
    a call and the arguments of each are a JSON object; no call where none is expected will do.
    """
    if answer.calls is None:
        return float(_read(answer.predicted) is not _NO_JSON)
    return float(bool(_each_call(answer, lambda _, arguments: isinstance(arguments, dict))))


def matches_schema(answer: Answer) -> float:
    """Return 1.0 where the answer is JSON that fits the eval's ``schema``, else 0.0.

    With tools: where there is a call, and each is of a tool that there is, with arguments that fit
    its ``parameters``; no call where none is expected will do. As jsonschema has it: draft 2020-12
    unless ``$schema`` names another; ``format`` is not looked at. An answer in which a pattern is
    looked for longer than `SECONDS` of processor time does not fit.
    """
    return float(_matches(answer) is True)


@dataclass(frozen=True)
class MatchesSchema(MeanMetric):
    """`matches_schema`, and how many answers could not be held against it."""

    def doubts(self, model: str, answers: Sequence[Answer[Any]]) -> Iterator[str]:
        """Yield in how many of a model's answers a pattern was looked for too long."""
        # Where none was late nothing is looked at again.
        late = sum(_matches(answer) is None for answer in answers) if LATE else 0
        if late:
            yield (
                f"suspicious: in {late:,} answer{'' if late == 1 else 's'} of {model} a pattern of "
                f"the schema was looked for longer than {SECONDS} s, and "
                f"{'it counts' if late == 1 else 'they count'} as wrong ({self.name})"
            )


def _matches(answer: Answer) -> bool | None:
    """Return whether an answer fits; None where that takes too long."""
    if answer.calls is not None:
        tools = {composed(tool["function"]["name"]): tool["function"] for tool in answer.tools}
        return _each_call(answer, lambda name, given: _is_of(answer, tools, name, given))
    if answer.schema is None:
        raise answer.example.answer_error(
            "matches_schema has nothing to hold it against: say 'schema' or 'tools' in the eval"
        )
    return _fits(answer, _read(answer.predicted), answer.schema, "the schema")


def tool_name(answer: Answer) -> float:
    """Return 1.0 where the tools that are called are those that are expected, else 0.0.

    Each as often, in any order, whatever the arguments.
    """
    calls, expected = _calls(answer)
    return float(_names(calls) == _names(expected))


def tool_arguments(answer: Answer) -> float:
    """Return 1.0 where the arguments of the calls are those that are expected, else 0.0.

    Compared as JSON: 1 is 1.0, true is not 1, and the order of keys is nothing. The calls come in
    any order. Where the right tools are called, each call is held against those expected of its
    tool, so that arguments which changed places are wrong; else whatever the tools' names.
    """
    calls, expected = _calls(answer)
    by_name = _names(calls) == _names(expected)
    left = [_named(call, by_name) for call in expected]
    for call in calls:
        name, given = _named(call, by_name)
        same = (
            i for i, (to, each) in enumerate(left) if to == name and strict_json.equal(given, each)
        )
        place = next(same, None)
        if place is None:
            return 0.0
        del left[place]
    return float(not left)


_NO_JSON = object()
"""Stands for what is no JSON, and so equals nothing."""


def _read(text: str) -> Any:
    """Return the value of a text of JSON, its own texts in NFC."""
    with suppress(ValueError):
        plain = json.dumps(strict_json.loads(text), ensure_ascii=False)
        return json.loads(composed(plain))
    return _NO_JSON


def _each_call(answer: Answer, holds: Callable[[str, Any], bool | None]) -> bool | None:
    """Return whether something holds of the name and the arguments of each call, and there is one.

    Or there is none where none is expected. None where it holds of none not, and of one it cannot
    be told.
    """
    calls = answer.calls or ()
    if not calls:
        return answer.expected_calls == ()
    told = [holds(composed(call.name), _read(call.arguments)) for call in calls]
    return False if False in told else None if None in told else True


def _is_of(answer: Answer, tools: Mapping[str, Any], name: str, arguments: Any) -> bool | None:
    if name not in tools or not isinstance(arguments, dict):
        return False
    parameters = tools[name].get("parameters")
    if parameters is None:
        return True
    return _fits(answer, arguments, parameters, f"the parameters of the tool {name!r:.60}")


def _fits(answer: Answer, value: Any, schema: Mapping[str, Any], what: str) -> bool | None:
    if value is _NO_JSON:
        return False
    try:
        return fits(value, schema)
    except UnusableSchemaError as error:
        raise answer.example.gold_error(f"nothing can be held against {what}: {error}") from None


def _calls(answer: Answer) -> tuple[Sequence[ToolCall], Sequence[ToolCall]]:
    """Return the calls and the expected ones."""
    if answer.calls is None:
        raise answer.example.answer_error(
            "calls of tools are compared where the model was given some: say 'tools' in the eval"
        )
    if answer.expected_calls is None:
        raise answer.example.gold_error(
            "the target is a text; calls of tools need one such as "
            '{"name": ..., "arguments": {...}}, a list of them, or [] where none should be made'
        )
    return answer.calls, answer.expected_calls


def _named(call: ToolCall, by_name: bool) -> tuple[str, Any]:
    """Return the tool of a call, where that matters, and its arguments."""
    return composed(call.name) if by_name else "", _read(call.arguments)


def _names(calls: Sequence[ToolCall]) -> Counter[str]:
    return Counter(composed(call.name) for call in calls)


VALID_JSON = MeanMetric("valid_json", valid_json, binary=True)
MATCHES_SCHEMA = MatchesSchema("matches_schema", matches_schema, binary=True, package=JSONSCHEMA)
TOOL_NAME = MeanMetric("tool_name", tool_name, binary=True)
TOOL_ARGUMENTS = MeanMetric("tool_arguments", tool_arguments, binary=True)


def misfit(metric: Metric, *, tools: bool, schema: bool) -> str | None:
    """Return what an eval lacks that a metric looks at; None where it has it.

    Parameters
    ----------
    metric : Metric
        Whichever.
    tools, schema : bool
        Whether the eval says ``tools``, or ``schema``.
    """
    of = getattr(metric, "of", metric)  # of several samples
    if of in (TOOL_NAME, TOOL_ARGUMENTS) and not tools:
        return (
            f"'{of.name}' compares calls of tools, and the eval gives the model none: say 'tools', "
            "a list of their definitions or the name of the field that holds it"
        )
    if of is MATCHES_SCHEMA and not tools and not schema:
        return (
            "'matches_schema' has nothing to hold an answer against: say 'schema', a JSON Schema "
            "or the name of the field that holds each example's, or 'tools'"
        )
    return None
