"""What a reader is shown of an example: its input, its target, and what a model said."""

from __future__ import annotations

import pytest

from pytest_distill.comparison.shown import shown_answer, shown_prediction, shown_value
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.metrics import Answer
from pytest_distill.evals.requests import Prediction, ToolCall


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("as it is\n", "as it is\n"),
        (0.25, "0.25"),
        (1234567.125, "1234567.125"),
        (7, "7"),
        (("B-PER", "O"), "B-PER O"),
        ([{"role": "user", "content": "Hi"}], "user: Hi"),
        ([{"role": "user", "content": [{"type": "text", "text": "Hi"}] * 2}], "user: Hi\nHi"),
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


CALLS = (ToolCall("weather", '{"city": "Rome"}'), ToolCall("time", "{oh"))
WEATHER = '{"name": "weather", "arguments": {"city": "Rome"}}'
BOTH = f'[{WEATHER}, {{"name": "time", "arguments": "{{oh"}}]'


@pytest.mark.parametrize(
    ("text", "predicted", "calls", "shown"),
    [
        ("Let me see.", "Let me see.", CALLS, f"Let me see.\n\n{BOTH}"),
        ("", WEATHER, CALLS[:1], WEATHER),
        (None, WEATHER, CALLS[:1], WEATHER),
        ("Hello!", "Hello!", (), "Hello!"),
    ],
)
def test_calls_beside_a_text_are_shown(
    text: str | None, predicted: str, calls: tuple[ToolCall, ...], shown: str
) -> None:
    """Two answers of one text may call with other arguments, and by these they are scored."""
    prediction = Prediction("e", text=text, tool_calls=calls)
    answer = Answer(Example("e", {}, "gold.jsonl:1"), prediction, predicted, ("x",))
    assert shown_answer(answer) == shown


def test_what_is_no_answer_is_shown_as_it_was_given() -> None:
    """Beside ready scores nobody reads it as an answer."""
    assert shown_prediction(Prediction("e", prediction="weird")) == "weird"
    assert shown_prediction(Prediction("e", text="a", tool_calls=CALLS)) == f"a\n\n{BOTH}"
    assert shown_prediction(Prediction("e", loglikelihoods=(0.5,))) == ""
