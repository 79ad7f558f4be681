from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pytest_distill.errors import ConfigError, EvaluationError, GoldSetError
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks import Generation
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest


def test_request_is_greedy_by_default(example: Callable[..., Example]) -> None:
    """Prompt, template and decoding travel with the request."""
    task = Generation(prompt="{{ q }}?", chat=True, max_new_tokens=5, stop=("\n",), truncate="left")
    assert task.request(example(q="1+1", target="2")) == GenerationRequest(
        "r3", "1+1?", True, Decoding(max_new_tokens=5, stop=("\n",)), "left"
    )


def test_sampling(example: Callable[..., Example]) -> None:
    """Sampling hands on its parameters and its seed."""
    task = Generation(do_sample=True, temperature=0.7, top_p=0.9, seed=0)
    decoding = task.request(example(input="x", target="y")).decoding
    assert decoding == Decoding(do_sample=True, temperature=0.7, top_p=0.9, seed=0)


def test_shots_stand_solved_before_the_prompt(example: Callable[..., Example]) -> None:
    """Each shot is its prompt, a space, its first accepted answer and a blank line."""
    task = Generation(prompt="Q: {{ q }}\nA:", shots=(example(q="1+1", target=["2", "two"]),))
    assert task.request(example(q="2+2", target="4")).prompt == "Q: 1+1\nA: 2\n\nQ: 2+2\nA:"


@pytest.mark.parametrize(
    ("target", "targets"), [("2", ("2",)), (2, ("2",)), (["2", "two"], ("2", "two"))]
)
def test_targets(example: Callable[..., Example], target: Any, targets: tuple[str, ...]) -> None:
    """The target is one accepted answer or a list of them."""
    answer = Generation().answer(example(target=target), Prediction("r3", text=" 2\n"))
    assert answer.targets == targets
    assert answer.predicted == " 2\n"
    assert answer.correct is None


@pytest.mark.parametrize(
    ("extract", "predicted"),
    [
        (r"#### (\d+)", "4"),  # the first group of the first match
        (r"\d+ apples", "3 apples"),  # no group: the whole match
        (r"pears: (\d+)", ""),  # no match
        (r"4(\.5)?", ""),  # a group that took no part
    ],
)
def test_extract(example: Callable[..., Example], extract: str, predicted: str) -> None:
    """The answer is the first match of the regular expression in the output."""
    prediction = Prediction("r3", text="3 apples\n#### 4\n#### 5")
    answer = Generation(extract=extract).answer(example(target="4"), prediction)
    assert answer.predicted == predicted


def test_recorded_answer_is_taken_as_it_is(example: Callable[..., Example]) -> None:
    """A recorded prediction is an answer already: nothing is extracted from it."""
    prediction = Prediction("r3", prediction="4")
    assert Generation(extract="#### (.*)").answer(example(target="4"), prediction).predicted == "4"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"input": "x", "targets": "a"}, "no field 'target'; did you mean 'targets'?"),
        ({"input": "x", "target": []}, "'target' holds no accepted answer"),
        (
            {"input": "x", "target": ["a", 1]},
            "'target' must be a list of texts, not the list ['a', 1]",
        ),
        ({"input": ["x"], "target": "a"}, "'input' must be text, not the list ['x']"),
    ],
)
def test_bad_example(example: Callable[..., Example], fields: dict[str, Any], message: str) -> None:
    """A wrong field is named with file, line and id, before any model runs."""
    with pytest.raises(GoldSetError) as raised:
        Generation().request(example(**fields))
    assert str(raised.value) == f"gold/reviews.jsonl:3 (id 'r3'): {message}"


def test_prediction_without_text(example: Callable[..., Example]) -> None:
    """A prediction without a text is an error, not an empty answer."""
    with pytest.raises(EvaluationError, match="no answer; it needs 'text' or 'prediction'"):
        Generation().answer(example(target="a"), Prediction("r3", probabilities=(1.0,)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"extract": "("}, "extract: not a regular expression: missing ), unterminated"),
        ({"max_new_tokens": 0}, "max_new_tokens: must be at least 1, not 0"),
        ({"stop": ("\n", "")}, "stop: an empty text would stop before the first token"),
        ({"do_sample": True}, "do_sample: needs a seed, so that a second run"),
        ({"temperature": 0.0}, "temperature: must be a number above 0, not 0.0"),
        ({"temperature": float("nan")}, "temperature: must be a number above 0, not nan"),
        ({"top_p": 1.1}, "top_p: must be above 0 and at most 1, not 1.1"),
        ({"prompt": "{% if %}"}, "prompt: Expected an expression"),
    ],
)
def test_bad_settings(options: dict[str, Any], message: str) -> None:
    """Settings that cannot work are refused when the eval is read."""
    with pytest.raises(ConfigError) as raised:
        Generation(**options)
    assert str(raised.value).startswith(message)


def test_settings_are_json() -> None:
    """The settings are plain JSON values."""
    settings = Generation(stop=("a", "b")).settings()
    assert json.loads(json.dumps(settings)) == settings
    assert settings["stop"] == ["a", "b"]
