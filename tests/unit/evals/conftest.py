"""Examples and answers for the tests of `pytest_distill.evals`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from pytest_distill.evals.goldset import Example
from pytest_distill.evals.metrics import Answer
from pytest_distill.evals.requests import Prediction

MakeExample = Callable[..., Example]
MakeAnswer = Callable[..., Answer]


@pytest.fixture
def example() -> MakeExample:
    """Return a function: fields -> an example 'r3' that stands in line 3."""

    def make(**fields: Any) -> Example:
        return Example("r3", fields, "gold/reviews.jsonl:3")

    return make


@pytest.fixture
def text_answer() -> MakeAnswer:
    """Return a function: predicted text, accepted answers -> an answer."""

    def make(predicted: str, *targets: str) -> Answer:
        return Answer(Example("r3", {}, "gold.jsonl:3"), Prediction("r3"), predicted, targets)

    return make


@pytest.fixture
def label_answers() -> Callable[[Sequence[str], Sequence[str]], list[Answer]]:
    """Return a function: gold labels, predicted labels -> answers."""

    def make(gold: Sequence[str], predicted: Sequence[str]) -> list[Answer]:
        return [
            Answer(
                Example(str(i), {}, f"gold.jsonl:{i}"), Prediction(str(i)), p, (g,), correct=p == g
            )
            for i, (g, p) in enumerate(zip(gold, predicted, strict=True))
        ]

    return make
