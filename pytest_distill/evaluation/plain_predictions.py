"""Predictions of built-in types, out of what an engine of the user's gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pytest_distill.engines import plain
from pytest_distill.errors import EvaluationError
from pytest_distill.evals.requests import FINISHES, Prediction, ToolCall


def plain_prediction(prediction: Prediction, who: str) -> Prediction:
    """Return a prediction of built-in types; EvaluationError names the field that cannot be."""
    if _is_plain(prediction):  # as nearly all of very many are
        return prediction
    place = f"{who} for example {plain.quoted(prediction.id)}"
    values: dict[str, Any] = {}
    for name, take in _PREDICTION.items():
        value = getattr(prediction, name)
        try:
            values[name] = None if value is None and name != "id" else take(value)
        except ValueError as error:
            raise EvaluationError(f"{place}: {name}: {error}") from None
    thinking, tokens = values["thinking_tokens"], values["tokens"]
    if thinking is not None and tokens is not None and thinking > tokens:
        raise EvaluationError(
            f"{place}: thinking_tokens: must be a part of the {tokens} tokens in all, not "
            f"{thinking}"
        )
    return Prediction(**values)


def _is_plain(prediction: Prediction) -> bool:
    texts = (prediction.prediction, prediction.text, prediction.fingerprint)
    return (
        type(prediction.id) is str
        and all(value is None or type(value) is str for value in texts)
        and prediction.answered_as is None
        and _are_counts(prediction.thinking_tokens, prediction.tokens)
        and _holds(prediction.labels, str)
        and _holds(prediction.probabilities, float)
        and _holds(prediction.loglikelihoods, float)
        and _holds(prediction.greedy, bool)
        and (prediction.finish is None or prediction.finish in FINISHES)
        and prediction.tool_calls is None
    )


def _holds(values: object, kind: type) -> bool:
    return values is None or (type(values) is tuple and {*map(type, values)} <= {kind})


def _are_counts(thinking: object, tokens: object) -> bool:
    """Return whether two numbers of tokens are known or not, the first at most the second."""
    known = [count for count in (thinking, tokens) if count is not None]
    counts = [count for count in known if type(count) is int and count >= 0]
    return len(counts) == len(known) and counts == sorted(counts)


def _label(value: Any) -> str:
    """Return a label as text, as those of the gold set are: 1 is '1', true is 'True'."""
    try:
        return plain.text(value)
    except ValueError:
        said = plain.json_able(value)
    if isinstance(said, bool | int):
        return str(said)
    whole = f" (for this one '{said:.0f}')" if isinstance(said, float) and said.is_integer() else ""
    raise ValueError(
        f"must be text, not {plain.shown(value)}; give the label as the gold set writes it{whole}"
    )


def _numbers(value: Any) -> tuple[float, ...]:
    return tuple(plain.real(entry) for entry in plain.sequence(value))


def _count(value: Any) -> int:
    count = plain.whole(value)
    if count < 0:
        raise ValueError(f"must be a count, not {count}")
    return count


def _finish(value: Any) -> str:
    said = plain.text(value)
    if said not in FINISHES:
        raise ValueError(f"must be one of {', '.join(FINISHES)}, not {plain.shown(value)}")
    return said


def _truth(value: Any) -> bool:
    said = plain.json_able(value)
    if not isinstance(said, bool):
        raise ValueError(f"must be true or false, not {plain.shown(value)}")
    return said


def _call(value: Any) -> ToolCall:
    if not isinstance(value, ToolCall):
        raise ValueError(f"must be a ToolCall, not {plain.shown(value)}")
    return ToolCall(plain.text(value.name), plain.text(value.arguments))


_PREDICTION: Mapping[str, Callable[[Any], Any]] = {
    "id": plain.text,
    "prediction": _label,
    "probabilities": _numbers,
    "labels": lambda value: tuple(_label(entry) for entry in plain.sequence(value)),
    "loglikelihoods": _numbers,
    "text": plain.text,
    "tokens": _count,
    "finish": _finish,
    "thinking_tokens": _count,
    "greedy": lambda value: tuple(map(_truth, plain.sequence(value))),
    "tool_calls": lambda value: tuple(map(_call, plain.sequence(value))),
    "fingerprint": plain.text,
    "answered_as": plain.text,
}
"""Field of a prediction -> what makes it a built-in type."""
