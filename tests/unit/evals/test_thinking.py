"""Texts of models that think before they answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pytest_distill.config.reading import load_config
from pytest_distill.errors import ConfigError
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.request_keys import request_key
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks import Generation

TAGS = {"start": "<think>", "end": "</think>"}
MODEL = "models:\n  student: {engine: recorded, predictions: p.jsonl}\nevals:\n"


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>1 + 1</think>\n\n 2\n", " 2\n"),
        ("1 + 1</think>2", "2"),  # the prompt ended in the start
        ("<think></think>2", "2"),
        ("</think>", ""),
        ("<think>1 + 1 is 2", ""),  # never ended
        ("so <think> 2", ""),
        ("2", "2"),  # did not think
        ("", ""),
        ("<think>a</think>b</think>c", "b</think>c"),  # the first end counts
        ("<think>a<think>b</think>c", "c"),
        ("<THINK>a</THINK>c", "<THINK>a</THINK>c"),
        ("<think>a\u2028</think>\r\n\u00e9", "\u00e9"),
    ],
)
def test_the_answer_is_what_follows_the_thinking(
    example: Callable[..., Example], text: str, answer: str
) -> None:
    """As vLLM's reasoning parsers cut; a text that thinks without an end has no answer."""
    task = Generation(thinking=TAGS)
    assert task.answer(example(target="2"), Prediction("r3", text=text)).predicted == answer


def test_a_pattern_looks_at_the_answer(example: Callable[..., Example]) -> None:
    """A number of the thinking is no answer."""
    task = Generation(thinking=TAGS, extract=r"\d+")
    given = Prediction("r3", text="<think>3, no, 4</think>It is 5.")
    assert task.answer(example(target="5"), given).predicted == "5"
    given = Prediction("r3", text="<think>3, no, 4")
    assert task.answer(example(target="3"), given).predicted == ""


def test_a_recorded_answer_is_taken_as_it_is(example: Callable[..., Example]) -> None:
    """A `prediction` is no text that a model wrote: nothing is cut from it."""
    given = Prediction("r3", prediction="<think>2")
    assert Generation(thinking=TAGS).answer(example(target="2"), given).predicted == "<think>2"


def test_the_request_says_what_thinking_is(example: Callable[..., Example]) -> None:
    """So its key is another; without it the key is that of the version that knew no thinking."""
    one = example(input="1+1", target="2")
    assert Generation(thinking=TAGS).request(one).thinking == ("<think>", "</think>")
    plain, thinks = Generation(), Generation(thinking=TAGS)
    assert request_key(plain.request(one)) != request_key(thinks.request(one))
    assert request_key(plain.request(one)).hex() == KEY
    assert "thinking" not in plain.settings()
    assert thinks.settings()["thinking"] == TAGS


KEY = "60834a18a68d45d2deac40461e5c933b5c38c76b09f03a2ee628f2d0fcb30e4d"


@pytest.mark.parametrize(
    ("thinking", "problem"),
    [
        ("yes_please", "must say start: and end:"),
        ("true", "must say start: and end:"),
        ("[<think>, </think>]", "must say start: and end:"),
        ("{}", "start is missing"),
        ("{start: <think>}", "end is missing"),
        ("{end: </think>}", "start is missing"),
        ("{start: '', end: </think>}", "start must be a text, not ''"),
        ("{start: ' ', end: </think>}", "start must be a text"),
        ("{start: 3, end: </think>}", "start must be a text, not 3"),
        ("{start: [a], end: b}", "start must be a text"),
        ("{start: a, end: a}", "start and end are the same text"),
        ("{begin: a, end: b}", "no key 'begin'"),
        ("{start: a, ende: b}", "no key 'ende'; did you mean 'end'?"),
    ],
)
def test_markers_that_are_none_are_refused_at_their_key(
    tmp_path: Path, thinking: str, problem: str
) -> None:
    """With file, line and key, before any model runs."""
    file = tmp_path / "distill.yaml"
    entry = f"  e:\n    task: generation\n    data: x.jsonl\n    thinking: {thinking}\n"
    file.write_text(MODEL + entry)
    with pytest.raises(ConfigError) as raised:
        load_config(file)
    assert "distill.yaml:7: evals.e.thinking" in str(raised.value)
    assert problem in str(raised.value)
