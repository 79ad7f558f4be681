"""OpenAI's batch output: a line a request, with what the server said, as recorded rows.

https://platform.openai.com/docs/api-reference/batch/request-output, and the bodies of
``/v1/chat/completions``, ``/v1/completions`` and ``/v1/responses``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pytest_distill.errors import EvaluationError, some_of
from pytest_distill.evals.cells import structure
from pytest_distill.evals.rows import Row

ID = "custom_id"
"""What a line calls the request; its `id` is the server's."""

Raise = Callable[[str], EvaluationError]


def is_of_batch(row: Row) -> bool:
    """Return whether a row is a line of a batch's output, or of its errors."""
    return ID in row and ("response" in row or "error" in row)


def model_of(row: Row) -> str | None:
    """Return whose answer a line is; None where it has none."""
    response = structure(row.get("response"))
    body = structure(response.get("body")) if isinstance(response, Mapping) else None
    model = body.get("model") if isinstance(body, Mapping) else None
    return model if isinstance(model, str) else None


def samples_of(where: str, row: Row) -> list[Row]:
    """Return the fields of a recorded row for each answer to one request.

    Raises
    ------
    EvaluationError
        Naming the request, where the server answered by an error, or by what is no text.
    """

    def error(problem: str) -> EvaluationError:
        return EvaluationError(f"{where} ({ID} '{row[ID]}'): {problem}")

    failed, response = structure(row.get("error")), structure(row.get("response"))
    if failed:
        raise error(f"the request failed: {_reason(failed)}; ask again, or leave it out of both")
    if not isinstance(response, Mapping):
        raise error("no response; ask again")
    status, body = response.get("status_code"), structure(response.get("body"))
    if status != 200:
        told = body.get("error") if isinstance(body, Mapping) else None
        why = f": {_reason(told)}" if told else ""
        raise error(f"the server answered with status {status!r:.20}{why}; ask again")
    if not isinstance(body, Mapping):
        raise error(f"its body is {body!r:.60}, not an object")
    if isinstance(body.get("output"), list):
        return [_of_responses(body, error)]
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        raise error(
            f"its body has no 'choices' and no 'output', but {some_of([*map(str, body)])}: no text "
            "was generated"
        )
    return [*_of_choices(choices, body, error)]


def _reason(told: Any) -> str:
    """Return what an error of the server says, in one line."""
    if isinstance(told, Mapping):
        said = [str(told[key]) for key in ("code", "message") if told.get(key)]
        return ": ".join(said) or "for no reason that is told"
    return f"{told!s:.200}"


def _of_choices(choices: list[Any], body: Mapping[str, Any], error: Raise) -> Iterator[Row]:
    """Yield an answer for each choice of a completion, of a chat or of a plain text."""
    alone = len(choices) == 1
    for place, choice in enumerate(choices):
        if not isinstance(choice, Mapping):
            raise error(f"choices has {choice!r:.60}, not an object")
        message = choice.get("message")
        if isinstance(message, Mapping):
            said = {"text": _text_of(message, error), "tool_calls": message.get("tool_calls")}
        else:
            said = {"text": choice.get("text")}
        if said["text"] is None and not said.get("tool_calls"):
            raise error("a choice has neither a text nor calls of tools")
        said["finish_reason"] = choice.get("finish_reason")
        said["system_fingerprint"] = body.get("system_fingerprint")
        if alone:  # of several answers only the sum is told
            said |= _lengths(body.get("usage"), "completion")
        else:
            said["repeat"] = choice.get("index", place)
        yield {name: value for name, value in said.items() if value is not None}


def _text_of(message: Mapping[str, Any], error: Raise) -> str | None:
    """Return what a message says: its text, or the words in which the model refused."""
    content = message.get("content")
    if isinstance(content, list):  # parts, of which only texts are what a model writes
        parts = [part.get("text") if isinstance(part, Mapping) else part for part in content]
        if not parts or not all(isinstance(part, str) for part in parts):
            raise error(f"its content is {content!r:.60}, not text")
        content = "".join(map(str, parts))
    if content is not None and not isinstance(content, str):
        raise error(f"its content is {content!r:.60}, not text")
    refusal = message.get("refusal")
    return content or (refusal if isinstance(refusal, str) else content)


def _of_responses(body: Mapping[str, Any], error: Raise) -> Row:
    """Return the answer in a body of ``/v1/responses``."""
    status = body.get("status")
    details = body.get("incomplete_details")
    why = details.get("reason") if isinstance(details, Mapping) else None
    cut = status == "incomplete" and why == "max_output_tokens"
    if status not in (None, "completed") and not cut:
        told = _reason(body.get("error") or why or status)
        raise error(f"the response is {status!r:.40} ({told}); ask again")
    items = [item for item in body["output"] if isinstance(item, Mapping)]
    parts = [
        part
        for item in items
        if item.get("type") == "message"
        for part in item.get("content") or ()
        if isinstance(part, Mapping)
    ]
    texts = [part.get("text", part.get("refusal")) for part in parts]
    calls = [
        {"name": item.get("name"), "arguments": item.get("arguments")}
        for item in items
        if item.get("type") == "function_call"
    ]
    said = [text for text in texts if isinstance(text, str)]
    if not said and not calls and not cut:
        raise error("the response has neither a text nor calls of tools")
    row: Row = {"text": "".join(said), **_lengths(body.get("usage"), "output")}
    if calls:
        row["tool_calls"] = calls
    return {**row, "finish": "length" if cut else "tool_call" if calls else "end"}


def _lengths(usage: Any, kind: str) -> Row:
    """Return how many tokens one answer has, and how many of these stand before it."""
    if not isinstance(usage, Mapping):
        return {}
    details = usage.get(f"{kind}_tokens_details")
    thinking = details.get("reasoning_tokens") if isinstance(details, Mapping) else None
    found = {"tokens": usage.get(f"{kind}_tokens"), "thinking_tokens": thinking or None}
    return {name: value for name, value in found.items() if value is not None}
