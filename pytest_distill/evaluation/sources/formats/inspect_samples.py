"""A sample of inspect's as an example and its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_distill.evaluation.sources.fields import ENDINGS

CUT = {"token": "length", "context": "length"}
"""inspect's limits of a sample that are those of a text."""


def stop_reason(sample: Any) -> str | None:
    """Return why the text ended, in inspect's words; None where nothing was generated."""
    return sample.output.stop_reason if sample.output.choices else None


def document(sample: Any) -> dict[str, Any]:
    """Return what is known of an example beside any answer: its metadata are fields of a row."""
    own = {"input": _plain(sample.input), "target": sample.target}
    if sample.choices:
        own["choices"] = list(sample.choices)
    return {**sample.metadata, **own}


def answer(sample: Any) -> dict[str, Any]:
    """Return what the model answered: the fields of a recorded row."""
    output = sample.output
    if not output.choices:
        return {}
    found: dict[str, Any] = {"text": output.completion}
    calls = output.message.tool_calls
    if calls:
        found["tool_calls"] = [{"name": c.function, "arguments": c.arguments} for c in calls]
    if output.usage is not None:
        found["tokens"] = output.usage.output_tokens
        thinking = output.usage.reasoning_tokens
        if thinking and thinking <= output.usage.output_tokens:
            found["thinking_tokens"] = thinking
    ending = CUT.get(sample.limit.type) if sample.limit else ENDINGS.get(output.stop_reason)
    return found | ({"finish": ending} if ending else {})


def asked(sample: Any) -> Any:
    """Return the messages that the model was sent before it said anything.

    An assistant's message that was not generated is part of the question: an example to follow.
    """
    asked = []
    for message in sample.messages:
        if message.role == "assistant" and message.source == "generate":
            break
        asked.append(message)
    return _plain(asked or sample.input)


def _plain(messages: Any) -> Any:
    """Return messages without what differs from run to run: ids, and who wrote them."""
    if isinstance(messages, str):
        return messages
    return [_message(message.model_dump(mode="json", exclude_none=True)) for message in messages]


def _message(said: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: said[name] for name in ("role", "content", "function") if name in said}
    calls = said.get("tool_calls")
    if calls:
        kept["tool_calls"] = [{"name": c["function"], "arguments": c["arguments"]} for c in calls]
    return kept
