"""What a reader is shown of an example: its input, its target, and what a model said."""

from __future__ import annotations

import pytest

from pytest_distill.comparison.shown import shown_answer, shown_value
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.metrics import Answer
from pytest_distill.evals.requests import Prediction


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("as it is\n", "as it is\n"),
        (0.25, "0.25"),
        (7, "7"),
        (("B-PER", "O"), "B-PER O"),
        ([{"role": "user", "content": "Hi"}], "user: Hi"),
        (
            [{"role": "assistant", "content": None, "tool_calls": [{"name": "f"}]}],
            'assistant: {"tool_calls": [{"name": "f"}]}',
        ),
        ({"a": "ä"}, '{"a": "ä"}'),
        ((0.5,) * 9, "[0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, ... 9 numbers]"),
        ((), "[]"),
    ],
)
def test_a_value_is_shown_as_text(value: object, shown: str) -> None:
    """Whatever a gold set or a task has it be."""
    assert shown_value(value) == shown


@pytest.mark.parametrize(
    ("predicted", "text", "shown"),
    [
        ("7", None, "7"),
        ("7", " 7\n", "7"),
        ("7", "six and one is 7", "7\n\nsix and one is 7"),
        ("", "no number", "no number"),
    ],
)
def test_an_answer_is_shown_with_the_whole_text(
    predicted: str, text: str | None, shown: str
) -> None:
    """Where what was taken out of it is not all of it."""
    example = Example("e", {}, "gold.jsonl:1")
    answer = Answer(example, Prediction("e", text=text), predicted, ("7",))
    assert shown_answer(answer) == shown
