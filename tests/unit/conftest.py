"""Evals and models for the unit tests, made of a few values."""

from __future__ import annotations

import string
from collections.abc import Callable, Iterator, Mapping, Sequence

import pytest

from pytest_distill.comparison.comparison import Comparison
from pytest_distill.engines import ModelInfo, Role
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evals.tasks import Classification
from pytest_distill.evaluation.model import Model
from pytest_distill.evaluation.run_model import RunModel

LETTERS = tuple(string.ascii_letters)
"""Every letter is a class: a gold set of a few need not have all that a model says."""


class Scripted:
    """An engine that gives the predictions that it was built with.

    Parameters
    ----------
    info : ModelInfo
        What it says of itself.
    labels : mapping
        Example id -> label.
    """

    def __init__(self, info: ModelInfo, labels: Mapping[str, str]) -> None:
        self.info = info
        self.labels = labels
        self.asked: list[int] = []

    def predict(self, requests: Sequence[Request]) -> Iterator[Prediction]:
        """Yield the scripted labels, the last request first: any order is allowed."""
        self.asked.append(len(requests))
        for request in reversed(requests):
            if request.id in self.labels:
                yield Prediction(request.id, prediction=self.labels[request.id])

    def close(self) -> None:
        """Hold nothing."""


def gold_set(answers: str, *, langs: str = "") -> GoldSet:
    """Return a gold set with one example a letter of `answers`; ids are e0, e1, ..."""
    return GoldSet(
        "gold.jsonl",
        tuple(
            Example(
                f"e{i}",
                {"input": f"text {i}", "target": answer} | ({"lang": langs[i]} if langs else {}),
                f"gold.jsonl:{i + 1}",
            )
            for i, answer in enumerate(answers)
        ),
    )


def classification(gold: GoldSet, *metrics: str, slices: tuple[str, ...] = ()) -> Eval:
    """Return a classification eval."""
    chosen = tuple(BUILT_IN[m] for m in metrics or ("accuracy",))
    return Eval("letters", Classification(labels=LETTERS), gold, chosen, slices)


def scripted(name: str, role: Role, gold: GoldSet, answers: str, size: int | None = 10) -> RunModel:
    """Return a model that answers with the letters of `answers`, in the order of the gold set."""
    labels = {e.id: a for e, a in zip(gold, answers, strict=True)}
    engine = Scripted(ModelInfo(name, role, parameters=size), labels)
    return RunModel(name, role, lambda: engine)


MakeComparison = Callable[..., Comparison]


@pytest.fixture
def make_comparison() -> MakeComparison:
    """Return a function: gold and each model's answers, a letter an example -> a comparison."""

    def make(
        gold: str,
        teacher: str,
        student: str,
        sft: str | None = None,
        *,
        langs: str = "",
        metrics: tuple[str, ...] = ("accuracy",),
        sizes: tuple[int | None, int | None] = (10, 10),
        tolerance: float = 0.05,
    ) -> Comparison:
        examples = gold_set(gold, langs=langs)
        on = classification(examples, *metrics, slices=("lang",) if langs else ())
        models: list[Model] = [
            scripted("teacher", "teacher", examples, teacher, 100),
            scripted("student", "student", examples, student, sizes[0]),
        ]
        if sft is not None:
            models.append(scripted("sft", "sft", examples, sft, sizes[1]))
        return Comparison(on, {m.name: m for m in models}, None, None, tolerance)

    return make
