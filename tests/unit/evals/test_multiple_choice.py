from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from pytest_distill.errors import ConfigError, EvaluationError, GoldSetError
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks import MultipleChoice

PROMPT = "Question: {{ question }}\nAnswer:"
FIELDS = {"question": "Q", "choices": ["yes", "no", "perhaps"], "target": 1}


def test_request_without_shots(example: Callable[..., Example]) -> None:
    """The context is the filled-in prompt; each choice follows after a space."""
    request = MultipleChoice(prompt=PROMPT).request(example(**FIELDS))
    assert request.context == "Question: Q\nAnswer:"
    assert request.continuations == (" yes", " no", " perhaps")


def test_prompt_defaults_to_the_input_field(example: Callable[..., Example]) -> None:
    """Without a prompt the input field is the context, as it stands."""
    assert MultipleChoice(input="question").request(example(**FIELDS)).context == "Q"


def test_trailing_newline_of_a_prompt_stays(example: Callable[..., Example]) -> None:
    """A prompt is taken to the letter, like lm-evaluation-harness does."""
    assert MultipleChoice(prompt="{{ question }}\n").request(example(**FIELDS)).context == "Q\n"


def test_shots_stand_solved_before_the_prompt(example: Callable[..., Example]) -> None:
    """Each shot is its prompt, a space, its right choice and a blank line."""
    shots = (example(**FIELDS), example(question="R", choices=["a", "b"], target="a"))
    request = MultipleChoice(prompt=PROMPT, shots=shots).request(example(**FIELDS))
    assert request.context == (
        "Question: Q\nAnswer: no\n\nQuestion: R\nAnswer: a\n\nQuestion: Q\nAnswer:"
    )


@pytest.mark.parametrize("target", [1, "no"])
def test_target_is_an_index_or_a_text(example: Callable[..., Example], target: int | str) -> None:
    """The right choice may be given either way."""
    answer = MultipleChoice().answer(
        example(**FIELDS | {"target": target}), Prediction("r3", loglikelihoods=(-3.0, -1.0, -2.0))
    )
    assert answer.target_index == 1
    assert (answer.predicted, answer.targets, answer.correct) == ("no", ("no",), True)


@pytest.mark.parametrize(("target", "index"), [("1", 1), ("0", 0), ("2", 0), ("no", 1)])
def test_an_index_in_a_table_is_a_text(
    example: Callable[..., Example], target: str, index: int
) -> None:
    """Unless a choice reads so; the choices stand as JSON in their cell."""
    given = example(choices='["2", "no"]', target=target, question="Q")
    assert MultipleChoice().expected(given) == index


@pytest.mark.parametrize(("stated", "correct"), [("no", True), ("1", True), ("yes", False)])
def test_recorded_choice(example: Callable[..., Example], stated: str, correct: bool) -> None:
    """A recorded choice may be its text or its index."""
    answer = MultipleChoice().answer(example(**FIELDS), Prediction("r3", prediction=stated))
    assert answer.correct is correct


def test_text_of_a_choice_goes_before_its_index(example: Callable[..., Example]) -> None:
    """Where the choices are numbers, a recorded number is a text."""
    gold = example(choices=["2", "1", "0"], target=1)
    assert MultipleChoice().answer(gold, Prediction("r3", prediction="1")).predicted == "1"
    assert MultipleChoice().answer(gold, Prediction("r3", prediction="2")).predicted == "2"


def test_accuracy_norm_divides_by_characters(example: Callable[..., Example]) -> None:
    """Accuracy_norm divides each log-likelihood by its choice's characters, not its bytes.

    By hand: -2.5 > -4.0; per character -2.5/3 < -4.0/8; per byte -2.5/6 > -4.0/8.
    """
    gold = example(choices=["äöü", "perhapss"], target=1)
    answer = MultipleChoice().answer(gold, Prediction("r3", loglikelihoods=(-2.5, -4.0)))
    assert BUILT_IN["accuracy"].scores([answer]).tolist() == [0.0]
    assert BUILT_IN["accuracy_norm"].scores([answer]).tolist() == [1.0]


def test_accuracy_norm_needs_loglikelihoods(example: Callable[..., Example]) -> None:
    """A recorded choice has no log-likelihoods to normalise."""
    answer = MultipleChoice().answer(example(**FIELDS), Prediction("r3", prediction="no"))
    with pytest.raises(EvaluationError, match="accuracy_norm needs the log-likelihood of every"):
        BUILT_IN["accuracy_norm"].scores([answer])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"choices": "yes"}, "'choices' must be a list of texts, not the text 'yes'"),
        ({"choices": ["yes", 1]}, "'choices' must be a list of texts, not the list ['yes', 1]"),
        ({"choices": ["yes"]}, "'choices' must hold two choices or more"),
        ({"choices": ["yes", ""]}, "'choices' holds an empty choice"),
        ({"target": True}, "'target' must be a choice's index or text, not the boolean True"),
        ({"target": 1.0}, "'target' must be a choice's index or text, not the number 1.0"),
        ({"target": 3}, "'target' is 3, but the choices are 0 to 2"),
        ({"target": -1}, "'target' is -1, but the choices are 0 to 2"),
        (
            {"target": "yess"},
            "'target' is 'yess', which is none of the choices; did you mean 'yes'?",
        ),
        (
            {"choices": ["no", "no"], "target": "no"},
            "'target' is 'no', and several choices read so; give its index",
        ),
    ],
)
def test_bad_example(example: Callable[..., Example], fields: dict[str, Any], message: str) -> None:
    """A wrong field is named with file, line and id, before any model runs."""
    with pytest.raises(GoldSetError) as raised:
        MultipleChoice(input="question").request(example(**FIELDS | fields))
    assert str(raised.value) == f"gold/reviews.jsonl:3 (id 'r3'): {message}"


@pytest.mark.parametrize(
    ("prediction", "message"),
    [
        ({}, "the prediction has no answer; it needs 'loglikelihoods' or 'prediction'"),
        ({"loglikelihoods": (-1.0, -2.0)}, "2 log-likelihoods for 3 choices"),
        (
            {"loglikelihoods": (-1.0, math.nan, -1.0)},
            "the log-likelihood nan is not a finite number up to 0",
        ),
        (
            {"loglikelihoods": (-1.0, -math.inf, -1.0)},
            "the log-likelihood -inf is not a finite number up to 0",
        ),
        (
            {"prediction": "3"},
            "the prediction '3' is no choice's text or index; known: no, perhaps, yes",
        ),
    ],
)
def test_bad_prediction(
    example: Callable[..., Example], prediction: dict[str, Any], message: str
) -> None:
    """A prediction that cannot be scored is named with the example."""
    with pytest.raises(EvaluationError) as raised:
        MultipleChoice().answer(example(**FIELDS), Prediction("r3", **prediction))
    assert str(raised.value) == f"gold/reviews.jsonl:3 (id 'r3'): {message}"


def test_recorded_text_of_two_choices(example: Callable[..., Example]) -> None:
    """A recorded text that two choices share does not say which one is meant."""
    gold = example(choices=["no", "no"], target=1)
    with pytest.raises(EvaluationError, match="the text of several choices; record the index"):
        MultipleChoice().answer(gold, Prediction("r3", prediction="no"))
    assert MultipleChoice().answer(gold, Prediction("r3", prediction="1")).correct is True


def test_settings_are_json_and_hold_the_shots(example: Callable[..., Example]) -> None:
    """The settings are plain JSON values; the shots decide what is asked."""
    settings = MultipleChoice(prompt=PROMPT, shots=(example(**FIELDS),)).settings()
    assert json.loads(json.dumps(settings)) == settings
    assert settings["shots"] == [FIELDS]


@pytest.mark.parametrize(
    ("prompt", "error", "message"),
    [
        (
            "{{ questin }}",
            GoldSetError,
            "gold/reviews.jsonl:3 (id 'r3'): prompt: no field 'questin'; did you mean 'question'?",
        ),
        (
            "{{ choices[9] }}",
            GoldSetError,
            "gold/reviews.jsonl:3 (id 'r3'): prompt: list object has no element 9",
        ),
        (
            "{{ question + 1 }}",
            GoldSetError,
            "gold/reviews.jsonl:3 (id 'r3'): prompt: TypeError: can only concatenate str (not "
            '"int") to str',
        ),
        (
            "{{ question.__class__.__mro__ }}",
            ConfigError,
            "prompt: the sandbox forbids it: access to attribute '__class__' of 'str' object is "
            "unsafe.",
        ),
    ],
)
def test_prompt_that_fails(
    example: Callable[..., Example], prompt: str, error: type[Exception], message: str
) -> None:
    """A prompt that cannot be filled in says why, and for which example."""
    with pytest.raises(error) as raised:
        MultipleChoice(prompt=prompt).request(example(**FIELDS))
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (
            "Q:\n{{ question",
            "unexpected end of template, expected 'end of print statement'. (line 2",
        ),
        ("{{ question | shout }}", "No filter named 'shout'. (line 1"),
    ],
)
def test_prompt_that_is_no_template(prompt: str, message: str) -> None:
    """A prompt that is no template is refused when the eval is read."""
    with pytest.raises(ConfigError) as raised:
        MultipleChoice(prompt=prompt)
    assert str(raised.value) == f"prompt: {message} of the template)"
