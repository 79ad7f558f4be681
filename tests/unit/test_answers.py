"""Answers that are no single text: numbers, a label a token, vectors."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from pytest_distill.comparison.comparison import Comparison
from pytest_distill.engines import ModelInfo, Role
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.metrics import Answer, MeanMetric, Metric
from pytest_distill.evals.requests import CAUSAL, Head, Prediction, Request
from pytest_distill.evals.tasks import Task
from pytest_distill.evaluation.run_model import RunModel
from pytest_distill.gates.errors import InheritedErrors
from pytest_distill.gates.likeness import Agreement
from pytest_distill.gates.quality import QualityRetained
from tests.unit.conftest import Scripted


@dataclass(frozen=True, slots=True)
class ValueRequest(Request):
    """Ask for a value."""

    task: ClassVar[str] = "value"
    heads: ClassVar[tuple[Head, ...]] = (CAUSAL,)

    text: str


@dataclass(frozen=True)
class ValueTask(Task):
    """A task whose answers are a number or several values, written as JSON."""

    name: ClassVar[str] = ValueRequest.task
    metrics: ClassVar[tuple[Metric, ...]] = ()

    def request(self, example: Example) -> ValueRequest:
        """Ask for it."""
        return ValueRequest(example.id, example.where)

    def answer(self, example: Example, prediction: Prediction) -> Answer[Any]:
        """Return the value."""
        value, target = json.loads(prediction.prediction or ""), example.fields["target"]
        several = isinstance(value, list)
        return Answer(
            example,
            prediction,
            tuple(value) if several else value,
            (tuple(target) if several else target,),
        )


def close(answer: Answer[float]) -> float:
    """Return 1.0 for a number within 0.5 of the target."""
    return float(abs(answer.predicted - answer.targets[0]) < 0.5)


def all_tags(answer: Answer[tuple[str, ...]]) -> float:
    """Return 1.0 where every token has its label."""
    return float(answer.predicted == answer.targets[0])


def same_way(answer: Answer[tuple[float, ...]]) -> float:
    """Return 1.0 for a vector whose cosine with the target is above 0.9."""
    one, other = answer.predicted, answer.targets[0]
    return float(
        sum(a * b for a, b in zip(one, other, strict=True))
        > 0.9 * math.hypot(*one) * math.hypot(*other)
    )


@pytest.mark.parametrize(
    ("score", "targets", "wrong"),
    [
        (close, [1.0, 2.5, 4.0, 8.0], 20.0),
        (all_tags, [["O", "B"], ["B", "I"], ["O"], ["B"]], ["I", "I"]),
        (same_way, [[1.0, 0.0], [0.0, 2.0], [1.0, 1.0], [3.0, 1.0]], [-1.0, -1.0]),
    ],
    ids=["number", "labels of tokens", "vector"],
)
def test_a_task_may_answer_with_other_values_than_text(
    score: Any, targets: list[Any], wrong: Any
) -> None:
    """Metrics read them, and gates compare what two models answered, as they do with text."""
    examples = tuple(Example(f"e{i}", {"target": t}, f"g:{i}") for i, t in enumerate(targets))
    on = Eval("values", ValueTask(), GoldSet("g", examples), (MeanMetric("right", score),))
    right = [json.dumps(target) for target in targets]
    bad = json.dumps(wrong)

    def model(name: Role, *answers: str) -> RunModel:
        labels = {example.id: answer for example, answer in zip(examples, answers, strict=True)}
        return RunModel(name, name, lambda: Scripted(ModelInfo(name, name), labels))

    student = model("student", *right[:2], bad, bad)
    models = {"teacher": model("teacher", *right[:3], bad), "student": student}
    comparison = Comparison(on, models, None, None, 0.05)

    retained = QualityRetained(min=0.6)
    assert retained.judge(comparison).observed == pytest.approx(2 / 3)
    (lost,) = retained.lost(comparison)
    expected = tuple(wrong) if isinstance(wrong, list) else wrong
    assert lost["student"] == {"score": 0.0, "answer": expected}
    assert Agreement(min=0.5).judge(comparison).observed == 0.75
    assert InheritedErrors(max=0.5).judge(comparison).observed == 1.0
