"""Some examples of an eval asked twice: how far a model is from itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pytest_distill.evals.eval import Eval
from pytest_distill.evaluation.measured import MeasuredEvaluation


def some_of_eval(on: Eval, count: int) -> Eval:
    """Return an eval with so many of its examples, the same ones at every call, without budgets."""
    task: Any = on.task
    if task.at_tokens:
        task = replace(task, at_tokens=())
    return replace(on, gold=on.gold.sample(count), task=task, must_keep=())


def among(evaluation: MeasuredEvaluation, some: Eval) -> MeasuredEvaluation:
    """Return what an evaluation has of some examples of its eval."""
    chosen = {example.id for example in some.gold}
    pairs = zip(evaluation.eval.gold, evaluation.by_example, strict=True)
    answers = [each for example, said in pairs if example.id in chosen for each in said]
    return MeasuredEvaluation.of(evaluation.info, some, answers, source=evaluation.source)


def asked_again(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return under which identity second answers are kept: they are not those of the first time."""
    return {**identity, "asked": "again"}
