"""What a server answered, read with care: it may be anything."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_distill.engines.openai.money import count_of, usage_of
from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import ToolCall


@dataclass(frozen=True)
class Written:
    """What a model wrote, as its server tells it.

    Parameters
    ----------
    text : str
        The answer.
    thinking : str
        What was told apart as the thinking before it.
    calls : tuple of ToolCall, optional
        The calls that were told apart; None where there are none.
    ended : str
        Why it ended, in the server's word; empty where it does not say.
    stop : str
        The stop string that ended it, where the server says which.
    tokens, visible : int, optional
        How many were written, with the thinking and without it.
    thought : int, optional
        How many of them are thinking.
    likely : tuple of float, optional
        The log-probability of each token, where that is known.
    """

    text: str
    thinking: str = ""
    calls: tuple[ToolCall, ...] | None = None
    ended: str = ""
    stop: str = ""
    tokens: int | None = None
    visible: int | None = None
    thought: int | None = None
    likely: tuple[float, ...] | None = None


def written(answer: Mapping[str, Any], who: str) -> Written:
    """Return what the one choice of an answer says.

    Parameters
    ----------
    answer : mapping
        The JSON of a chat completion or a completion.
    who : str
        Model and example, for messages.

    Raises
    ------
    ModelError
        Where there is not one choice, or it says nothing that could be an answer.
    """
    choice = one_choice(answer, who)
    ended = choice.get("finish_reason")
    ended = ended if isinstance(ended, str) else ""
    if ended.lower() in _FILTERED:
        raise ModelError(
            f"{who}: the server's content filter took the answer away or cut it: ask another "
            "server, or leave the example out of the gold set"
        )
    thought = _thought(answer)
    message = choice.get("message")
    if isinstance(message, Mapping):
        text, thinking, calls = _said(message, ended, thought, who)
    elif isinstance(choice.get("text"), str):
        text, thinking, calls = choice["text"], "", None
    else:
        raise ModelError(f"{who}: the answer has neither a message nor a text: {_shown(choice)}")
    usage = usage_of(answer)
    stop = choice.get("stop_reason")
    likely = _likely(choice, who)
    tokens = None if likely is None else len(likely)
    visible = None
    if usage is not None:
        tokens = usage.output
        visible = min(tokens - (thought or 0), usage.told)
    stop = stop if isinstance(stop, str) else ""
    return Written(text, thinking, calls, ended, stop, tokens, visible, thought, likely)


def one_choice(answer: Mapping[str, Any], who: str) -> Mapping[str, Any]:
    """Return the only choice of an answer; ModelError where there is none, or more."""
    choices = answer.get("choices")
    if not isinstance(choices, Sequence) or isinstance(choices, str) or not choices:
        raise ModelError(f"{who}: the answer has no choices: {_shown(answer)}")
    if len(choices) != 1:
        raise ModelError(f"{who}: asked was for one answer, and {len(choices)} came")
    if not isinstance(choices[0], Mapping):
        raise ModelError(f"{who}: the choice in the answer is no object: {_shown(choices[0])}")
    return choices[0]


def _said(
    message: Mapping[str, Any], ended: str, thought: int | None, who: str
) -> tuple[str, str, tuple[ToolCall, ...] | None]:
    """Return text, thinking and calls of a message; a refusal is an answer, and its text."""
    thinking = message.get("reasoning_content") or message.get("reasoning") or ""
    thinking = thinking if isinstance(thinking, str) else ""
    calls = _calls(message, who)
    text = message.get("content")
    if text is None:
        text = message.get("refusal")
    if isinstance(text, Sequence) and not isinstance(text, str):
        text = "".join(map(_part, text))
    if text is None and (calls or (ended in ("length", "stop") and (thinking or thought))):
        text = ""  # all that it wrote is calls, or thinking
    if not isinstance(text, str):
        raise ModelError(
            f"{who}: the message in the answer has neither content nor tool_calls: "
            f"{_shown(message)}"
        )
    return text, thinking, calls


def _part(part: object) -> str:
    """Return the text of one part of a message's content; that of others is none."""
    text = part.get("text") if isinstance(part, Mapping) else None
    return text if isinstance(text, str) else ""


def _calls(message: Mapping[str, Any], who: str) -> tuple[ToolCall, ...] | None:
    """Return the calls of tools in a message, arguments as the server gives them."""
    given = message.get("tool_calls") or ()
    if message.get("function_call") and not given:  # as it was before there were several
        given = [{"function": message["function_call"]}]
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise ModelError(f"{who}: tool_calls in the answer are no list: {_shown(given)}")
    return tuple(_call(call, who) for call in given) or None


def _call(call: object, who: str) -> ToolCall:
    function = call.get("function") if isinstance(call, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(name, str):
        raise ModelError(f"{who}: a call of a tool in the answer has no name: {_shown(call)}")
    arguments = function.get("arguments")
    if not isinstance(arguments, str):
        arguments = json.dumps({} if arguments is None else arguments, ensure_ascii=False)
    return ToolCall(name, arguments or "{}")


def _thought(answer: Mapping[str, Any]) -> int | None:
    """Return how many tokens of thinking an answer's usage tells."""
    usage = answer.get("usage")
    details = usage.get("completion_tokens_details") if isinstance(usage, Mapping) else None
    return count_of(details, "reasoning_tokens") if isinstance(details, Mapping) else None


def _likely(choice: Mapping[str, Any], who: str) -> tuple[float, ...] | None:
    """Return the log-probability of each token; None where the server gives none."""
    given = choice.get("logprobs")
    if not isinstance(given, Mapping):
        return None
    tokens = given.get("content")
    values = given.get("token_logprobs")
    if isinstance(tokens, Sequence):
        values = [token.get("logprob") if isinstance(token, Mapping) else None for token in tokens]
    if not isinstance(values, Sequence) or not values:
        return None
    for value in values:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not -sys.float_info.max <= value <= _ROUNDING:
            raise ModelError(
                f"{who}: a token of the answer has {_shown(value)} for its log-probability, which "
                "is none: leave them out by extra_body: {logprobs: null}"
            )
    return tuple(map(float, values))


_FILTERED = frozenset({"blocklist", "content_filter", "prohibited_content", "recitation", "safety"})
"""What servers give as the reason where a filter ended an answer."""
_ROUNDING = 1e-3
"""How far above zero a log-probability may be by rounding."""


def _shown(value: object) -> str:
    return f"{json.dumps(value, ensure_ascii=False, default=str):.200}"
