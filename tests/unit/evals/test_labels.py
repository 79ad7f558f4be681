from __future__ import annotations

from typing import Any

import pytest

from pytest_distill.engines import ModelInfo
from pytest_distill.errors import ConfigError, EvaluationError, GoldSetError
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks import Classification, MultipleChoice
from pytest_distill.evaluation.measured import MeasuredEvaluation


def measured(gold: list[Any], said: list[dict[str, Any]], labels: Any = None) -> MeasuredEvaluation:
    """Return one model's evaluation on examples with these gold labels."""
    examples = tuple(
        Example(f"e{i}", {"input": f"text {i}", "target": label}, f"gold.jsonl:{i + 1}")
        for i, label in enumerate(gold)
    )
    on = Eval(
        "e", Classification(labels=labels), GoldSet("gold.jsonl", examples), (BUILT_IN["accuracy"],)
    )
    predictions = tuple(Prediction(f"e{i}", **row) for i, row in enumerate(said))
    return MeasuredEvaluation(
        ModelInfo("student", "student"), on, predictions, source="student.jsonl"
    )


@pytest.mark.parametrize(
    ("gold", "said"),
    [
        (["neg", "pos"], "Pos"),
        (["neg", "pos"], " pos"),
        (["neg", "pos"], "LABEL_1"),
        (["true", "false"], "True"),
        (["1", "0"], "1.0"),
    ],
)
def test_a_label_that_no_gold_example_has_is_refused(gold: list[str], said: str) -> None:
    """It could never be right: the error has both lists, and the lines that would name it."""
    rows = [{"prediction": gold[0]}, {"prediction": said}]
    with pytest.raises(EvaluationError) as raised:
        _ = measured(gold, rows).answers
    message = str(raised.value)
    assert message.startswith("student.jsonl: gold.jsonl:2 (id 'e1'): predicted labels that no")
    assert f"has: {said!r} (1); the gold labels: " in message
    assert all(f"{label!r} (1)" in message for label in gold)
    assert f"labels: {{{said!r}: " in message
    assert "'labels: [" in message


def test_a_probable_output_is_a_predicted_label_too() -> None:
    """A third output that the gold set lacks is refused when it is the answer, and not before."""
    names = ("neg", "neutral", "pos")
    sure = {"probabilities": (0.1, 0.2, 0.7), "labels": names}
    other = {"probabilities": (0.1, 0.8, 0.1), "labels": names}
    assert [a.predicted for a in measured(["pos", "neg"], [sure, sure]).answers] == ["pos", "pos"]
    with pytest.raises(EvaluationError, match=r"has: 'neutral' \(1\)"):
        _ = measured(["pos", "neg"], [sure, other]).answers


def test_a_list_names_the_classes_that_the_gold_set_lacks() -> None:
    """What is listed may be predicted; what is not, in the gold set or by a model, is refused."""
    classes = ["neg", "neutral", "pos"]
    rows = [{"prediction": "neutral"}, {"prediction": "neg"}]
    found = measured(["pos", "neg"], rows, classes)
    assert [(a.predicted, a.correct) for a in found.answers] == [("neutral", False), ("neg", True)]
    with pytest.raises(EvaluationError, match="'Neg' is not in labels; did you mean 'neg'"):
        _ = measured(["pos"], [{"prediction": "Neg"}], classes).answers
    with pytest.raises(GoldSetError, match="'positive' is not in labels"):
        _ = measured(["positive"], [{"prediction": "pos"}], classes).answers


def test_a_mapping_of_names_says_what_a_model_means() -> None:
    """Stated labels and the names of outputs are mapped alike; others stay what they are."""
    names = {"LABEL_0": "neg", "LABEL_1": "pos"}
    rows: list[dict[str, Any]] = [
        {"prediction": "LABEL_1"},
        {"probabilities": (0.9, 0.1), "labels": ("LABEL_0", "LABEL_1")},
        {"prediction": "pos"},
    ]
    found = measured(["pos", "neg", "pos"], rows, names)
    assert [a.predicted for a in found.answers] == ["pos", "neg", "pos"]
    assert all(a.correct for a in found.answers)


@pytest.mark.parametrize(
    ("label", "meant"),
    [
        ("Neg", "did you mean 'neg'?"),
        (" NEG", "did you mean 'neg'?"),
        ("nge", "did you mean 'neg'?"),
        ("LABEL_0", "the gold labels: 'neg' (1), 'pos' (1)"),
    ],
)
@pytest.mark.parametrize("said", ["LABEL_0", "pos"], ids=["predicted", "not predicted"])
def test_a_name_is_mapped_to_a_gold_label(label: str, meant: str, said: str) -> None:
    """Mapped to anything else it would only count as wrong, whether or not it was predicted."""
    rows = [{"prediction": said}, {"prediction": "pos"}]
    with pytest.raises(EvaluationError) as raised:
        _ = measured(["neg", "pos"], rows, {"LABEL_0": label, "LABEL_1": "pos"}).answers
    assert str(raised.value) == (
        f"student.jsonl: labels: maps 'LABEL_0' to {label!r}, which no gold example has; {meant}"
    )


def test_a_name_may_be_mapped_to_a_label_that_the_sample_left_out() -> None:
    """The labels are those of the whole gold set."""
    said = [{"prediction": "a"}] * 10
    left_out = measured(["a"] * 10, said).eval.gold.sample(5).left_out
    whole = measured(["b" if f"e{i}" in left_out else "a" for i in range(10)], said)
    on = Eval("e", Classification(labels={"B": "b"}), whole.eval.gold.sample(5), whole.eval.metrics)
    other = tuple(Prediction(example.id, prediction="B") for example in on.gold)
    assert {a.predicted for a in MeasuredEvaluation(whole.info, on, other).answers} == {"b"}


def test_two_outputs_of_one_label_are_refused() -> None:
    """Whether their probabilities add up is not for a mapping to say."""
    row: dict[str, Any] = {"probabilities": (0.4, 0.3, 0.3), "labels": ("a", "A", "b")}
    with pytest.raises(EvaluationError, match=r"two of the outputs \(a, A, b\) are one label"):
        _ = measured(["a", "b"], [row, row], {"A": "a"}).answers


def test_a_sample_knows_the_labels_of_the_whole_gold_set() -> None:
    """A class that the sample left out is a class all the same."""
    said = [{"prediction": "a"}] * 10
    left_out = measured(["a"] * 10, said).eval.gold.sample(5).left_out
    whole = measured(["b" if f"e{i}" in left_out else "a" for i in range(10)], said)
    gold = whole.eval.gold.sample(5)
    assert {example.fields["target"] for example in gold} == {"a"}
    on = Eval("e", Classification(), gold, whole.eval.metrics)
    other = tuple(Prediction(example.id, prediction="b") for example in gold)
    assert {a.predicted for a in MeasuredEvaluation(whole.info, on, other).answers} == {"b"}


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ("pos", "labels: must be a mapping or a list of names, not 'pos'"),
        (3, "labels: must be a mapping or a list"),
        ([], "labels: must list two classes or more"),
        (["a"], "labels: must list two classes or more"),
        (["a", ["b"]], "labels: must list two classes or more, by name"),
        (["a", "b", "a"], "labels: 'a' is given twice"),
        ({"a": 0, "b": "pos"}, "labels: maps names to output numbers, or names to labels"),
        ({"a": 1.5}, "labels: must map a name to a label or to an output, not to 1.5"),
        ({"a": None}, "labels: must map a name to a label or to an output, not to None"),
    ],
)
def test_a_form_that_says_nothing_is_refused(labels: Any, message: str) -> None:
    """Lists, numbers and names are three forms, and are not mixed."""
    with pytest.raises(ConfigError) as raised:
        Classification(labels=labels)
    assert str(raised.value).startswith(message)


def test_both_lists_are_bounded() -> None:
    """A thousand wrong labels are told by ten and a number."""
    rows = [{"prediction": f"x{i}"} for i in range(50)]
    with pytest.raises(EvaluationError, match=r"and 40 more; the gold labels: .* and 15 more"):
        _ = measured([f"g{i % 25}" for i in range(50)], rows).answers


@pytest.mark.parametrize("said", ["neg", "pos"])
def test_a_label_that_contradicts_its_probabilities_is_refused(said: str) -> None:
    """Only the most probable label, or one of several that are, may be stated beside them."""
    row = {"prediction": said, "probabilities": (0.1, 0.9), "labels": ("neg", "pos")}
    evaluation = measured(["pos", "neg"], [row, {"prediction": "neg"}])
    if said == "pos":
        assert evaluation.answers[0].correct
        return
    with pytest.raises(EvaluationError, match=r"id 'e0'\): 'prediction' is 'neg', but .* 'pos'"):
        _ = evaluation.answers


def test_a_stated_label_may_be_one_of_equally_probable_ones() -> None:
    """That is what the model picked, and it stands; that it is a tie is counted all the same."""
    row = {"prediction": "pos", "probabilities": (0.5, 0.5), "labels": ("neg", "pos")}
    (answer,) = measured(["pos"], [row], ["neg", "pos"]).answers
    assert (answer.predicted, answer.tied) == ("pos", True)


@pytest.mark.parametrize("probabilities", [(0.3, 0.69), (0.2, 0.9), (0.0, 0.1)])
def test_beside_a_stated_label_only_the_greatest_probability_counts(
    probabilities: tuple[float, ...],
) -> None:
    """Rounded ones and scores of labels that do not exclude each other need no sum of 1."""
    names = ("neg", "pos")
    row: dict[str, Any] = {"probabilities": probabilities, "labels": names}
    (answer,) = measured(["pos"], [{"prediction": "pos", **row}], names).answers
    assert (answer.predicted, answer.tied) == ("pos", False)
    with pytest.raises(EvaluationError, match="'prediction' is 'neg', but"):
        _ = measured(["pos"], [{"prediction": "neg", **row}], names).answers
    with pytest.raises(EvaluationError, match="the probabilities sum to"):
        _ = measured(["pos"], [row], names).answers


@pytest.mark.parametrize(
    ("probabilities", "message"),
    [
        ((0.1, 0.2, 0.7), "3 probabilities for 2 labels"),
        ((-1.0, 3.0), "the probability -1.0 is not between 0 and 1"),
        ((float("nan"), 0.9), "the probability nan is not between 0 and 1"),
    ],
)
def test_beside_a_stated_label_they_are_probabilities_all_the_same(
    probabilities: tuple[float, ...], message: str
) -> None:
    """As many as there are labels, each between 0 and 1."""
    row: dict[str, Any] = {"probabilities": probabilities, "labels": ("neg", "pos")}
    with pytest.raises(EvaluationError, match=message):
        _ = measured(["pos"], [{"prediction": "pos", **row}], ["neg", "pos"]).answers


def test_no_probabilities_beside_a_stated_label_are_an_error() -> None:
    """An empty mapping says of no label how probable it is."""
    row: dict[str, Any] = {"prediction": "pos", "probabilities": (), "labels": ()}
    with pytest.raises(EvaluationError, match="0 probabilities for 0 labels"):
        _ = measured(["pos"], [row]).answers


def test_outputs_that_the_eval_numbers_are_checked_in_that_order() -> None:
    """Their names are those of `labels`, so that a contradiction is seen."""
    row = {"prediction": "neg", "probabilities": (0.9, 0.1)}
    assert measured(["neg"], [row], {"neg": 0, "pos": 1}).answers[0].correct
    with pytest.raises(EvaluationError, match=r"'prediction' is 'neg', but .* 'pos' \(0.9\)"):
        _ = measured(["neg"], [row], {"pos": 0, "neg": 1}).answers


def test_a_list_of_classes_is_no_order_of_outputs() -> None:
    """Probabilities without names contradict no stated label; alone they say nothing."""
    classes = ["neg", "pos"]
    unnamed = {"probabilities": (0.1, 0.9)}
    (answer,) = measured(["neg"], [{"prediction": "neg", **unnamed}], classes).answers
    assert (answer.predicted, answer.tied) == ("neg", False)
    even: dict[str, Any] = {"prediction": "neg", "probabilities": (0.5, 0.5)}
    assert measured(["neg"], [even], classes).answers[0].tied
    with pytest.raises(EvaluationError, match=r"label -> output \(a list is no order\)"):
        _ = measured(["neg"], [unnamed], classes).answers


def test_equal_probabilities_go_to_the_labels_sorted_order() -> None:
    """Which label a row names first decides nothing, and the tie is counted."""
    for names in (("pos", "neg"), ("neg", "pos")):
        row = {"probabilities": (0.5, 0.5), "labels": names}
        (answer,) = measured(["pos"], [row], ["neg", "pos"]).answers
        assert (answer.predicted, answer.tied) == ("neg", True)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            {"prediction": "0", "loglikelihoods": (-2.0, -1.0)},
            "'prediction' is choice 0 .'Paris'., but 'loglikelihoods' are greatest for choice 1",
        ),
        ({"prediction": "0", "loglikelihoods": (-1.0,)}, "1 log-likelihoods for 2 choices"),
        ({"prediction": "paris"}, "'paris' is no choice's text or index; did you mean 'Paris'"),
        ({"prediction": "1.0"}, "'1.0' is no choice's text or index"),
        ({"prediction": "True"}, "'True' is no choice's text or index"),
    ],
)
def test_choices_are_checked_alike(row: dict[str, Any], message: str) -> None:
    """A stated choice must be one, and the most likely one where that is known."""
    fields = {"input": "q", "choices": ["Paris", "Rome"], "target": 0}
    example = Example("e0", fields, "gold.jsonl:1")
    with pytest.raises(EvaluationError, match=message):
        MultipleChoice().answer(example, Prediction("e0", **row))


def test_equally_likely_choices_are_counted() -> None:
    """The first of them is the answer, as before."""
    example = Example("e0", {"input": "q", "choices": ["a", "b"], "target": 1}, "gold.jsonl:1")
    answer = MultipleChoice().answer(example, Prediction("e0", loglikelihoods=(-1.0, -1.0)))
    assert (answer.predicted, answer.tied) == ("a", True)


@pytest.mark.parametrize(("likely", "tied"), [((-1.0, -1.0), True), ((-2.0, -1.0), False)])
def test_a_stated_choice_may_be_one_of_equally_likely_ones(
    likely: tuple[float, float], tied: bool
) -> None:
    """It stands, and the tie is counted."""
    example = Example("e0", {"input": "q", "choices": ["a", "b"], "target": 1}, "gold.jsonl:1")
    prediction = Prediction("e0", prediction="b", loglikelihoods=likely)
    answer = MultipleChoice().answer(example, prediction)
    assert (answer.predicted, answer.correct, answer.tied) == ("b", True, tied)
