"""The calls of tools in what a model wrote, and those that the gold set expects."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from pytest_distill._util import strict_json
from pytest_distill.errors import did_you_mean, few
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.normalisation import composed
from pytest_distill.evals.requests import Prediction, ToolCall
from pytest_distill.evals.tasks import fields


def calls_of(text: str) -> tuple[ToolCall, ...]:
    """Return the calls that a model wrote, in its order; empty where it called no tool.

    Told apart are, in this order: a text that is JSON as a whole, one call, a list of them, or
    several with a semicolon between (Llama 3; Mistral without its special token);
    ``<tool_call>...</tool_call>`` (Hermes, Qwen, SmolLM2); ``[TOOL_CALLS]`` (Mistral, also
    ``[TOOL_CALLS]name[ARGS]{...}``); ``<|python_tag|>`` (Llama 3); a fence of JSON. Around those
    with a marker other text may stand. What is called but cannot be read is a call whose arguments
    are no JSON.

    Parameters
    ----------
    text : str
        What the model generated, without its thinking.
    """
    whole = _without_ends(text)
    found = _read(whole)
    if found is not None:
        return found
    first = _MARKER.search(whole)  # others may stand in the texts of its JSON
    if first is not None:
        return tuple(_MARKED[first[0]](whole))
    blocks = _FENCE.findall(whole)
    calls = [call for block in blocks for call in _read(block) or ()]
    broken = [block for block in (*blocks, whole) if not calls and _began_a_call(block)]
    return (*calls, *map(_malformed, broken[:1]))


def expected_calls(
    example: Example, name: str, tools: Sequence[Mapping[str, Any]]
) -> tuple[ToolCall, ...] | None:
    """Return the calls that a field of the gold set expects: none of them; None where it is text.

    It holds a call, a list of calls, or null or an empty list where none should be made; in a table
    the JSON of that.

    Parameters
    ----------
    example : Example
        Whose field it is.
    name : str
        The field.
    tools : sequence of mapping
        The definitions of the tools that may be called.

    Raises
    ------
    GoldSetError
        Where what is expected is no call, or one of no tool.
    """
    value = fields.field(example, name)
    read = fields.read(value)
    value = read if read is None or isinstance(read, dict | list) else value
    calls = [] if value is None else [value] if isinstance(value, Mapping) else value
    if not isinstance(calls, list | tuple):
        return None
    if calls and not any(isinstance(call, Mapping) for call in calls):  # texts: accepted answers
        return None
    known = [tool["function"]["name"] for tool in tools]
    return tuple(_expected(example, name, call, known) for call in calls)


def refuse_calls(example: Example, prediction: Prediction) -> None:
    """Raise EvaluationError where a prediction brings calls of tools that nobody gave the model."""
    if prediction.tool_calls:
        names = few([call.name for call in prediction.tool_calls])
        raise example.answer_error(
            f"the prediction calls tools ({names}), and the eval gives the model none: say 'tools' "
            "in the eval, or leave 'tool_calls' out of the predictions"
        )


def as_text(calls: Sequence[ToolCall]) -> str:
    """Return calls as JSON: what stands where a text is expected, and where none was written."""
    named = [
        {"name": call.name, "arguments": strict_json.loads_or(call.arguments, call.arguments)}
        for call in calls
    ]
    return json.dumps(named[0] if len(named) == 1 else named, ensure_ascii=False)


def _expected(example: Example, name: str, value: object, known: Sequence[str]) -> ToolCall:
    try:
        call = _read_call(value, ("arguments",))
    except (TypeError, ValueError) as error:  # such as a date of a parquet file
        raise example.gold_error(
            f"'{name}': the arguments of a call are no JSON: {error}"
        ) from None
    if call is None or not call.name:
        raise fields.wrong_type(example, name, _WANTED, value)
    if not isinstance(strict_json.loads_or(call.arguments, None), dict):
        raise example.gold_error(
            f"'{name}': the arguments of the call of {call.name!r:.60} must be an object, not "
            f"{call.arguments:.60}"
        )
    if composed(call.name) not in map(composed, known):
        raise example.gold_error(
            f"'{name}' expects a call of {call.name!r:.60}, which is no tool of the example; "
            f"{did_you_mean(call.name, known)}"
        )
    return call


def _read(text: str) -> tuple[ToolCall, ...] | None:
    """Return the calls that a text of nothing else holds; None where it is something else."""
    values: list[Any] = []
    position, text = 0, text.strip()
    while position < len(text):
        try:
            value, position = strict_json.decoded(text, position)
        except ValueError:
            return None
        values += value if isinstance(value, list) else [value]
        position = _BETWEEN.match(text, position).end()  # type: ignore[union-attr]  # or nothing
    calls = [_read_call(value, ("arguments", "parameters")) for value in values]
    found = tuple(call for call in calls if call is not None)
    return found if text and len(found) == len(calls) else None


def _read_call(value: object, named: tuple[str, ...]) -> ToolCall | None:
    """Return a call of its JSON, also in the form of OpenAI's API; None where it is none.

    Parameters
    ----------
    value : object
        What may be a call.
    named : tuple of str
        What its arguments may be called; they are an object, or the text of one.
    """
    if isinstance(value, Mapping) and isinstance(value.get("function"), Mapping):
        value = value["function"]
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        return None
    given = [value[key] for key in named if key in value]
    if not given:
        return None
    arguments = given[0]
    as_text = arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
    return ToolCall(value["name"], as_text)


def _began_a_call(text: str) -> bool:
    """Return whether a text is no JSON, but was to be a call."""
    begins = text.lstrip()[:1] in ("{", "[")
    named = begins and _NAME.search(text) and _ARGUMENTS.search(text)
    return bool(named) and not _is_json(text)


def _malformed(text: str) -> ToolCall:
    """Return a call that cannot be read, with its name where that can be told."""
    name = _NAME.search(text)
    return ToolCall(
        strict_json.loads(name[1]) if name else "", "" if _is_json(text) else text.strip()
    )


def _is_json(text: str) -> bool:
    return strict_json.loads_or(text, _NO_JSON) is not _NO_JSON


def _after(text: str, marker: str, close: str = "") -> Iterator[ToolCall]:
    for block in _blocks(text, marker, close):
        yield from _called(block)


def _mistral(text: str) -> Iterator[ToolCall]:
    for block in _blocks(text, "[TOOL_CALLS]"):
        named = _NAMED.match(block)
        start = named.end() if named else 0
        try:
            _, end = strict_json.decoded(block, start)
        except ValueError:
            end = len(block)
        if named:
            yield ToolCall(named[1], block[start:end].strip())
        else:
            yield from _called(block[:end])


def _blocks(text: str, marker: str, close: str = "") -> Iterator[str]:
    """Yield what follows each marker, to its close, the next marker or the end.

    Both may stand in a text inside the JSON too.
    """
    position = text.find(marker)
    while position >= 0:
        start = position + len(marker)
        after = start
        if _OPENED.match(text, start):
            with suppress(ValueError):
                _, after = strict_json.decoded(text, start)
        following = text.find(marker, after)
        stop = following if following >= 0 else len(text)
        closed = text.find(close, after, stop) if close else -1
        stop = closed if closed >= 0 else stop
        yield text[start:stop]
        position = following


def _called(block: str) -> tuple[ToolCall, ...]:
    found = _read(block)
    return (_malformed(block),) if found is None else found


def _without_ends(text: str) -> str:
    """Return a text without the special tokens that end a turn, where a file has them."""
    text = text.strip()
    end = len(text)
    while found := _END.search(text, max(0, end - _LONGEST_END), end):
        end = found.start()
        while end and text[end - 1].isspace():
            end -= 1
    return text[:end]


_MARKED: Mapping[str, Callable[[str], Iterator[ToolCall]]] = {
    "<tool_call>": partial(_after, marker="<tool_call>", close="</tool_call>"),
    "[TOOL_CALLS]": _mistral,
    "<|python_tag|>": partial(_after, marker="<|python_tag|>"),
}
MARKERS = (*_MARKED, "</tool_call>", "[CALL_ID]", "[ARGS]")
"""What stands around calls: special tokens of some models, of which calls are read all the same."""
_MARKER = re.compile("|".join(map(re.escape, _MARKED)))
_WANTED = (
    'a call of a tool as {"name": ..., "arguments": {...}}, a list of them, or [] where none '
    "should be made"
)
_NO_JSON = object()
_LONGEST_END = 40
_END = re.compile(r"(?:<\|\w+\|>|</s>)\Z")
_OPENED = re.compile(r"\s*[{\[]")
_BETWEEN = re.compile(r"[ \t\r\n]*;?[ \t\r\n]*")
_FENCE = re.compile(r"```(?i:json)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL)
_NAME = re.compile(r'"name"\s*:\s*("(?:[^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*")')
_NAMED = re.compile(r"\s*([\w.:/-]+)\s*(?:\[CALL_ID\]\s*\w+\s*)?(?:\[ARGS\]\s*|(?=\{))")
_ARGUMENTS = re.compile(r'"(?:arguments|parameters)"\s*:')
