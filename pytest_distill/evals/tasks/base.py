"""What a task is."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.metrics import Answer
from pytest_distill.evals.requests import Prediction, Request


class Task(Protocol):
    """example -> request, and prediction -> what a metric needs."""

    name: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]]
    """Names of the built-in metrics that suit the task; the first is the default headline."""

    def request(self, example: Example) -> Request:
        """Return what a model is asked; GoldSetError where a field is missing or wrong."""

    def answer(self, example: Example, prediction: Prediction) -> Answer:
        """Return the prediction in the gold set's words; EvaluationError where it cannot be."""

    def settings(self) -> Mapping[str, Any]:
        """Return everything beside the examples that decides what is asked, as JSON-able values."""


@runtime_checkable
class ChecksAnswers(Protocol):
    """A task that can tell only from all answers of a model whether they are in its words."""

    def check(self, answers: Sequence[Answer], gold: GoldSet) -> None:
        """Raise EvaluationError where they are not."""


def dataclass_settings(task: Any) -> dict[str, Any]:
    """Return the fields of a task that is a dataclass, for `Task.settings`."""
    return {field.name: _plain(getattr(task, field.name)) for field in dataclasses.fields(task)}


def _plain(value: Any) -> Any:
    if isinstance(value, Example):
        return dict(value.fields)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
