from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from pytest_distill.errors import ConfigError, EvaluationError, GoldSetError
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks import Classification
from pytest_distill.evals.tasks.classification import ClassificationRequest

LABELS = {"neg": 0, "pos": 1}


def test_request_of_one_text(example: Callable[..., Example]) -> None:
    """The text comes from the input field, and the truncation from the eval."""
    task = Classification(input="text", target="label", truncate="right")
    assert task.request(example(text="good", label=1)) == ClassificationRequest(
        "r3", "good", None, "right"
    )


def test_request_of_a_sentence_pair(example: Callable[..., Example]) -> None:
    """Two input fields are the two segments."""
    task = Classification(input=("premise", "hypothesis"))
    request = task.request(example(premise="a", hypothesis="b", target="x"))
    assert (request.text, request.text_pair) == ("a", "b")


def test_request_with_a_prompt(example: Callable[..., Example]) -> None:
    """A prompt gives the text, from all fields."""
    task = Classification(prompt="{{ title }}: {{ body }}")
    assert task.request(example(title="T", body="B", target="x")).text == "T: B"


@pytest.mark.parametrize(("gold", "correct"), [("pos", True), ("neg", False)])
def test_most_probable_label(example: Callable[..., Example], gold: str, correct: bool) -> None:
    """The predicted label is the gold set's name of the most probable output."""
    task = Classification(labels=LABELS)
    prediction = Prediction("r3", probabilities=(0.25, 0.75), labels=("LABEL_0", "LABEL_1"))
    answer = task.answer(example(target=gold), prediction)
    assert (answer.predicted, answer.targets, answer.correct) == ("pos", (gold,), correct)


def test_models_own_labels(example: Callable[..., Example]) -> None:
    """Without labels:, the outputs carry the model's names; gold labels are compared as text."""
    prediction = Prediction("r3", probabilities=(0.1, 0.9), labels=("0", "1"))
    assert Classification().answer(example(target=1), prediction).correct is True


def test_labels_and_gold_labels_are_compared_as_text(example: Callable[..., Example]) -> None:
    """In yaml and JSON a label may be a number or a boolean; both sides are taken as text."""
    labels: Any = {False: 0, True: 1}
    prediction = Prediction("r3", probabilities=(0.1, 0.9))
    answer = Classification(labels=labels).answer(example(target=True), prediction)
    assert (answer.predicted, answer.correct) == ("True", True)


def test_recorded_label(example: Callable[..., Example]) -> None:
    """A recorded label needs neither labels: nor probabilities."""
    answer = Classification().answer(example(target="pos"), Prediction("r3", prediction="pos"))
    assert answer.correct is True


def test_equal_probabilities_go_to_the_first(example: Callable[..., Example]) -> None:
    """Of equally probable outputs the first is the answer."""
    task = Classification(labels=LABELS)
    assert task.answer(
        example(target="pos"), Prediction("r3", probabilities=(0.5, 0.5))
    ).predicted == ("neg")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"txt": "x", "target": "pos"}, "no field 'text'; did you mean 'txt'?"),
        ({"text": "x", "targt": "pos"}, "no field 'target'; did you mean 'targt'?"),
        ({"text": 3, "target": "pos"}, "'text' must be text, not the number 3"),
        ({"text": None, "target": "pos"}, "'text' must be text, not null"),
        (
            {"text": "x", "target": ["pos"]},
            "'target' must be text, a whole number or a boolean, not the list ['pos']",
        ),
        ({"text": "x", "target": "poss"}, "the label 'poss' is not in labels; did you mean 'pos'?"),
    ],
)
def test_bad_example(example: Callable[..., Example], fields: dict[str, Any], message: str) -> None:
    """A missing or wrong field is named with file, line and id, before any model runs."""
    with pytest.raises(GoldSetError) as raised:
        Classification(input="text", labels=LABELS).request(example(**fields))
    assert str(raised.value) == f"gold/reviews.jsonl:3 (id 'r3'): {message}"


def test_gold_label_outside_labels_is_no_answer(example: Callable[..., Example]) -> None:
    """A recorded model, of which nothing is asked, meets a wrong gold label as well."""
    with pytest.raises(GoldSetError, match="the label 'poss' is not in labels"):
        Classification(labels=LABELS).answer(example(target="poss"), Prediction("r3", "pos"))


@pytest.mark.parametrize(
    ("labels", "prediction", "message"),
    [
        (LABELS, {}, "the prediction has no answer; it needs 'prediction' or 'probabilities'"),
        (LABELS, {"probabilities": (1.0,)}, "1 probabilities for 2 labels"),
        (LABELS, {"probabilities": (0.5, 0.4)}, "the probabilities sum to 0.9, not 1"),
        (LABELS, {"probabilities": (1.5, -0.5)}, "the probability 1.5 is not between 0 and 1"),
        (LABELS, {"probabilities": (math.nan, 1)}, "the probability nan is not between 0 and 1"),
        (
            LABELS,
            {"prediction": "Pos"},
            "the predicted label 'Pos' is not in labels; did you mean 'pos'?",
        ),
        (
            None,
            {"probabilities": (0.5, 0.5)},
            "probabilities, but no names for them; set labels: in the eval",
        ),
        (
            None,
            {"probabilities": (0.5, 0.5), "labels": ("LABEL_0", "LABEL_1")},
            "the gold label 'pos' is none of the model's labels (LABEL_0, LABEL_1); set labels: in "
            "the eval, to map the gold labels to the model's outputs",
        ),
    ],
)
def test_bad_prediction(
    example: Callable[..., Example],
    labels: Mapping[str, int] | None,
    prediction: dict[str, Any],
    message: str,
) -> None:
    """A prediction that cannot be scored is named with the example."""
    with pytest.raises(EvaluationError) as raised:
        Classification(labels=labels).answer(example(target="pos"), Prediction("r3", **prediction))
    assert str(raised.value) == f"gold/reviews.jsonl:3 (id 'r3'): {message}"


def test_probabilities_may_be_rounded(example: Callable[..., Example]) -> None:
    """Three decimals suffice: the sum may miss 1 by a thousandth."""
    prediction = Prediction("r3", probabilities=(0.333, 0.666))
    assert Classification(labels=LABELS).answer(example(target="pos"), prediction).correct is True


@pytest.mark.parametrize("labels", [{}, {"a": 0, "b": 2}, {"a": 0, "b": 0}, {"a": 1, "b": 2}])
def test_labels_must_name_every_output_once(labels: dict[str, int]) -> None:
    """Outputs without a label, or with two, leave no answer to compare."""
    with pytest.raises(ConfigError, match="labels: must give each output of the model one label"):
        Classification(labels=labels)


def test_prompt_and_pair_exclude_each_other() -> None:
    """A prompt makes one text, so two input fields are a mistake."""
    with pytest.raises(ConfigError, match="names two fields"):
        Classification(input=("a", "b"), prompt="{{ a }}")


def test_settings_are_json() -> None:
    """The settings are plain JSON values, every field of the task."""
    settings = Classification(input=("a", "b"), labels=LABELS).settings()
    assert (
        json.loads(json.dumps(settings))
        == settings
        == {
            "input": ["a", "b"],
            "target": "target",
            "labels": LABELS,
            "prompt": None,
            "truncate": None,
        }
    )


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (None, ("a", "b")),
        (("b", "c", "a"), ("b", "c", "a")),
        ({"a": 1, "b": 0}, ("b", "a")),
        ({"LABEL_0": "b", "LABEL_1": "a"}, ("a", "b")),
    ],
)
def test_requests_carry_all_classes(
    labels: Any, expected: tuple[str, ...], example: Callable[..., Example]
) -> None:
    """Those that the eval declares, in its order; else the whole gold set's, also of a sample."""
    examples = tuple(example(input="x", target=target) for target in "ba")
    gold = GoldSet("gold.jsonl", examples[:1], rest=examples[1:])
    (request,) = Classification(labels=labels).requests(gold)
    assert isinstance(request, ClassificationRequest)
    assert request.labels == expected
