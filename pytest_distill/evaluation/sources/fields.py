"""What the fields of a recorded row say of a model's answer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from pytest_distill.errors import EvaluationError
from pytest_distill.evals.cells import real, structure, whole
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.requests import FINISHES, Finish, Prediction, ToolCall

ENDINGS: Mapping[str, Finish] = {
    **{finish: finish for finish in FINISHES},
    **dict.fromkeys(("eos_token", "end_turn"), "end"),
    "stop_sequence": "stop",
    **dict.fromkeys(("max_tokens", "model_length"), "length"),
    **dict.fromkeys(("tool_calls", "function_call", "tool_use"), "tool_call"),
}
"""Why a text ended: our words, and those of OpenAI, vLLM, TGI, Anthropic and inspect.

OpenAI's, vLLM's and inspect's ``stop`` is an end token or a stop string: they don't tell which."""

PROMPT = "prompt_digest"
"""The field with a digest of what the model was asked: ``KIND:DIGEST``, or ``KIND+TEMPLATE:DIGEST``
where the prompt stands in the model's own chat template. Two of one kind can be compared. Behind
another colon there may be a digest of what stands in no template: choices, settings."""


def prediction_of(row: Example) -> Prediction:
    """Return the prediction of a row; EvaluationError naming it where a field says none."""
    fields = row.fields
    answer = fields.get("prediction")
    probabilities, labels = structure(fields.get("probabilities")), fields.get("labels")
    if isinstance(probabilities, Mapping):
        labels, probabilities = list(probabilities), list(probabilities.values())
    text, tokens = fields.get("text"), fields.get("tokens")
    if isinstance(tokens, list):  # the tokens themselves, beside their log-probabilities
        tokens = len(tokens)
    if text is not None and not isinstance(text, str):
        raise row.answer_error(f"text is {text!r:.60}, not text")
    if answer is not None and not isinstance(answer, str | Real):
        raise row.answer_error(f"prediction is {answer!r:.60}, not a label, a text or an index")
    calls = _tool_calls(row)
    if text is None and answer is None and calls is not None:
        text = ""  # beside calls there need be none
    tokens = _count(row, "tokens", tokens)
    return Prediction(
        id=row.id,
        prediction=None if answer is None else str(answer),
        probabilities=numbers(row, "probabilities", probabilities),
        labels=_labels(row, labels),
        loglikelihoods=numbers(row, "loglikelihoods", fields.get("loglikelihoods")),
        text=text,
        tokens=tokens,
        finish=_finish(row),
        thinking_tokens=_thinking_tokens(row, tokens),
        greedy=_greedy(row),
        tool_calls=calls,
        fingerprint=_text(row, "fingerprint") or _text(row, "system_fingerprint"),
        answered_as=_text(row, "answered_as"),
    )


def prompts_of(rows: Sequence[Example]) -> dict[str, str]:
    """Return id -> the digest of what the model was asked, where rows have one."""
    found: dict[str, str] = {}
    for row in rows:
        digest = row.fields.get(PROMPT)
        if digest is None or digest == "":
            continue
        if not isinstance(digest, str) or found.setdefault(row.id, digest) != digest:
            raise row.answer_error(
                f"{PROMPT} is {digest!r:.60}, not one text for all samples of an example"
            )
    return found


def _labels(row: Example, labels: object) -> tuple[str, ...] | None:
    labels = None if labels == "" else structure(labels)
    if labels is not None and not isinstance(labels, list):
        raise row.answer_error(f"labels is {labels!r:.60}, not a list of labels")
    return None if labels is None else tuple(map(str, labels))


def numbers(row: Example, name: str, values: Any) -> tuple[float, ...] | None:
    """Return a list of finite numbers, or one of them as a list; EvaluationError else."""
    if values is None or values == "":  # an empty cell of a CSV file
        return None
    values = structure(values)
    if not isinstance(values, list):
        return (cell(row, name, values),)
    return tuple(number(row, name, value) for value in values)


def cell(row: Example, name: str, value: Any) -> float:
    """Return a finite number, which may stand as text in a CSV file; EvaluationError else."""
    return finite(row.place, name, value)


def finite(place: str, name: str, value: Any) -> float:
    """Return the finite number of a field of the row at `place`; EvaluationError else."""
    found = real(value)
    if found is None:
        raise EvaluationError(f"{place}: {name} has {value!r:.60}, not a finite number")
    return found


def number(row: Example, name: str, value: Any) -> float:
    """Return a finite number inside of JSON, where a text is none; EvaluationError else."""
    if isinstance(value, str):
        raise row.answer_error(f"{name} has {value!r:.60}, not a finite number")
    return cell(row, name, value)


def _text(row: Example, name: str) -> str | None:
    """Return a field that is text; one that is not is something else of the same name."""
    value = row.fields.get(name)
    return value if isinstance(value, str) and value else None


def _finish(row: Example) -> Finish | None:
    """Return why the text ended, in our words or in those of what made it."""
    said: dict[str, Finish] = {}
    for field in ("finish", "finish_reason"):
        value = row.fields.get(field)
        if value is None or value == "":  # an empty cell of a CSV file
            continue
        found = ENDINGS.get(value) if isinstance(value, str) else None
        if found is None:
            raise row.answer_error(f"{field} is {value!r:.60}; known: {', '.join(ENDINGS)}")
        said[field] = found
    endings = set(said.values())
    if len(endings) > 1 and endings != {"end", "stop"}:
        shown = " and ".join(f"{field} is {row.fields[field]!r}" for field in said)
        raise row.answer_error(f"{shown}: only one of the two can be")
    return next(iter(said.values()), None)


def _thinking_tokens(row: Example, tokens: int | None) -> int | None:
    """Return how many of the text's tokens stand before its answer."""
    thinking = _count(row, "thinking_tokens", row.fields.get("thinking_tokens"))
    if thinking is not None and tokens is not None and thinking > tokens:
        raise row.answer_error(f"thinking_tokens is {thinking}, of {tokens} tokens in all")
    return thinking


def _count(row: Example, name: str, value: object) -> int | None:
    if value is None or value == "":
        return None
    found = whole(value)
    if found is None or found < 0:
        raise row.answer_error(f"{name} is {value!r:.60}, not a count")
    return found


def _greedy(row: Example) -> tuple[bool, ...] | None:
    """Return of each choice whether it is what the model would have generated greedily."""
    given = _parsed(row, "greedy")
    if given is None:
        return None
    listed = given if isinstance(given, list) else [given]
    for value in listed:
        if not isinstance(value, bool):
            raise row.answer_error(f"greedy has {value!r:.60}, not true or false")
    return tuple(listed)


def _tool_calls(row: Example) -> tuple[ToolCall, ...] | None:
    """Return the calls of tools, in OpenAI's form or bare."""
    given = _parsed(row, "tool_calls")
    if given is None:
        return None
    if not isinstance(given, list):
        raise row.answer_error(f"tool_calls is {given!r:.60}, not a list of calls")
    return tuple(_call(row, call) for call in given)


def _call(row: Example, call: object) -> ToolCall:
    inside = call.get("function") if isinstance(call, Mapping) else None
    said = call if inside is None else inside
    if not isinstance(said, Mapping) or not isinstance(said.get("name"), str):
        raise row.answer_error(
            f"tool_calls has {call!r:.60}; a call is "
            '{"function": {"name": ..., "arguments": ...}} or {"name": ..., "arguments": ...}'
        )
    arguments = said.get("arguments")
    if isinstance(arguments, str):
        return ToolCall(said["name"], arguments)
    if arguments is not None and not isinstance(arguments, Mapping):
        raise row.answer_error(
            f"tool_calls: the arguments of '{said['name']}' are {arguments!r:.60}; they are a "
            "mapping, or JSON as text"
        )
    try:
        return ToolCall(said["name"], json.dumps(arguments or {}, ensure_ascii=False))
    except (RecursionError, TypeError) as error:  # a date, say, in a parquet file
        raise row.answer_error(
            f"tool_calls: the arguments of '{said['name']}' are no JSON: {error}"
        ) from None


def _parsed(row: Example, name: str) -> Any:
    """Return a field; where it is text, as in a CSV file, the JSON that it is."""
    value = row.fields.get(name)
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise row.answer_error(f"{name} is {value!r:.60}, which is no JSON") from None
