"""Examples to read: what a student lost as rows, and an example and its answer as texts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.side_by_side import Selection
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.metrics import Answer, Metric
from pytest_distill.evals.metrics.samples import OfSamples
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evals.tasks.tool_calls import as_text
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.statistics.scoring import zero_or_one

MOST_NUMBERS = 8
"""Of a vector."""


def shown_input(on: Eval, example: Example, answer: Answer[Any] | None) -> str:
    """Return what a model is asked: the input fields, else what the task makes of the example.

    Choices follow, each on a line of its own.
    """
    found = [example.fields[name] for name in on.task.inputs if name in example.fields]
    told = map(shown_value, found) if found else [_asked(on.task.request(example))]
    choices = () if answer is None else answer.choices
    return "\n".join([*told, *(f"- {choice}" for choice in choices)])


def shown_target(on: Eval, example: Example, answer: Answer[Any] | None) -> str:
    """Return what counts as right, an accepted answer a line; nothing where nothing does."""
    if answer is not None and answer.targets:
        return "\n".join(map(shown_value, answer.targets))
    expected = on.task.expected(example)
    return "" if expected is None else shown_value(expected)


def shown_answer(answer: Answer[Any]) -> str:
    """Return what a model said; of several samples the first, and the whole text where more is.

    Calls of tools that stand beside a text follow it.
    """
    said, beside = shown_value(answer.predicted), answer.prediction
    parts = [said]
    if beside.text and beside.text.strip() != said.strip():
        parts.append(beside.text)
    if beside.text and beside.tool_calls:
        parts.append(as_text(beside.tool_calls))
    return "\n\n".join(filter(None, parts))


def shown_prediction(prediction: Prediction) -> str:
    """Return what a model gave, where that is no answer in the gold set's words."""
    calls = [as_text(prediction.tool_calls)] if prediction.tool_calls else []
    parts = (prediction.prediction, prediction.text, *calls)
    return "\n\n".join(dict.fromkeys(part for part in parts if part))


def shown_value(value: object) -> str:
    """Return a value of an example as text: messages by who says them, the rest as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence) and value:
        if all(isinstance(each, Mapping) and "role" in each for each in value):
            return "\n".join(f"{each['role']}: {_content(each)}" for each in value)
        if isinstance(value, tuple) and all(isinstance(each, str) for each in value):
            return " ".join(value)
        if all(isinstance(each, float) for each in value) and len(value) > MOST_NUMBERS:
            head = ", ".join(f"{each:g}" for each in value[:MOST_NUMBERS])
            return f"[{head}, ... {len(value):,} numbers]"
    return json.dumps(value, ensure_ascii=False, default=str)


def _content(message: Mapping[str, Any]) -> str:
    told = {key: value for key, value in message.items() if key not in ("role", "content")}
    content = message.get("content")
    if isinstance(content, Sequence) and all(map(_is_text, content)):
        content = "\n".join(str(part["text"]) for part in content)
    parts = [shown_value(content)] if content else []
    return " ".join([*parts, *([shown_value(told)] if told else [])])


def _is_text(part: object) -> bool:
    """Return whether a part of a message's content holds a text and nothing else."""
    return isinstance(part, Mapping) and set(part) == {"type", "text"}


def _asked(request: Request) -> str:
    """Return the text of a request, whatever its kind calls it."""
    conversation = getattr(request, "conversation", None)
    if conversation is not None:
        return shown_value(conversation.messages)
    for name in ("prompt", "context", "text"):
        found = getattr(request, name, None)
        if found:
            return str(found)
    return ""


def lost_rows(
    comparison: Comparison, metric: Metric, to: str, selection: Selection = None
) -> list[dict[str, object]]:
    """Return what can be read of every example that the student lost to another model.

    Parameters
    ----------
    to : str
        Name or role of the model that did better on these examples.

    Returns
    -------
    list of dict
        JSON-able rows: id, the example's fields, and score and answer of both models, where they
        have tools also their calls, with the arguments as the text that they were. Of several
        samples the first answer, how many there are, and how many are right where the metric says
        right or wrong.
    """
    better, student = comparison.evaluation(to), comparison.evaluation("student")
    if not isinstance(better, MeasuredEvaluation) or not isinstance(student, MeasuredEvaluation):
        return []
    lost = set(comparison.flips_by(metric, selection, to).lost)
    return [
        {
            **example_row(example),
            **{e.info.name: _said(e, metric, position) for e in (better, student)},
        }
        for position, example in enumerate(better.eval.gold)
        if example.id in lost
    ]


def example_row(example: Example) -> dict[str, object]:
    """Return what can be read of an example, JSON-able."""
    return {"id": example.id, "fields": dict(example.fields)}


def _said(evaluation: MeasuredEvaluation, metric: Metric, position: int) -> dict[str, object]:
    said: dict[str, object] = {"score": float(evaluation.scores(metric)[position])}
    if evaluation.predictions:
        answer = evaluation.answers[position]
        said["answer"] = answer.predicted
        if answer.calls is not None:
            said["calls"] = [
                {"name": call.name, "arguments": call.arguments} for call in answer.calls
            ]
        if answer.samples:
            said["samples"] = len(answer.samples)
            scores = evaluation.sample_scores(
                metric.of if isinstance(metric, OfSamples) else metric
            )
            if zero_or_one(scores[position]):
                said["right"] = int((scores[position] == metric.higher_is_better).sum())
    return said
