from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from sklearn.metrics import f1_score, matthews_corrcoef

from pytest_distill.errors import EvaluationError
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.metrics import Answer

MakeAnswers = Callable[[Sequence[str], Sequence[str]], list[Answer]]


def drawn(seed: int, n: int, gold: str, predicted: str) -> tuple[list[str], list[str]]:
    """Return n gold and n predicted labels; half of the predictions are right where they can be."""
    rng = np.random.default_rng(seed)
    truth = rng.choice(list(gold), n).tolist()
    guess = rng.choice(list(predicted), n).tolist()
    copied = rng.random(n) < 0.5
    return truth, [
        t if c and t in predicted else g for t, g, c in zip(truth, guess, copied, strict=True)
    ]


SETS = {
    "two labels": ("ab", "ab"),
    "five labels": ("abcde", "abcde"),
    "labels only in the gold set": ("abcd", "ab"),
    "labels only predicted": ("ab", "abcd"),
    "nothing in common": ("ab", "cd"),
    "one gold label": ("a", "ab"),
    "one predicted label": ("ab", "a"),
    "one label": ("a", "a"),
}


def sklearn_scores(gold: Sequence[str], predicted: Sequence[str]) -> dict[str, float]:
    """Return scikit-learn's macro-F1 and MCC."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of single labels
        return {
            "macro_f1": f1_score(gold, predicted, average="macro", zero_division=0.0),
            "matthews": matthews_corrcoef(gold, predicted),
        }


@pytest.mark.parametrize("name", ["macro_f1", "matthews"])
@pytest.mark.parametrize(("gold", "predicted"), SETS.values(), ids=SETS.keys())
@pytest.mark.parametrize("n", [1, 7, 300])
def test_equals_scikit_learn(
    label_answers: MakeAnswers, name: str, gold: str, predicted: str, n: int
) -> None:
    """Macro-F1 and MCC equal scikit-learn's, whichever labels occur on either side."""
    for seed in range(5):
        truth, guess = drawn(seed, n, gold, predicted)
        metric = BUILT_IN[name]
        value = metric.aggregate(metric.statistics(label_answers(truth, guess)).sum(axis=0))
        assert float(value) == pytest.approx(sklearn_scores(truth, guess)[name], abs=1e-12)


@pytest.mark.parametrize("name", ["macro_f1", "matthews"])
def test_leaving_one_out_equals_scikit_learn_on_the_rest(
    label_answers: MakeAnswers, name: str
) -> None:
    """Totals minus each row, aggregated at once, equal scikit-learn on the other examples."""
    truth, guess = drawn(3, 20, "abcdef", "abcdg")  # rare labels vanish when their example does
    metric = BUILT_IN[name]
    rows = metric.statistics(label_answers(truth, guess))
    values = metric.aggregate(rows.sum(axis=0) - rows)
    assert values.shape == (20,)
    for i, value in enumerate(values):
        rest = sklearn_scores(truth[:i] + truth[i + 1 :], guess[:i] + guess[i + 1 :])
        assert value == pytest.approx(rest[name], abs=1e-12)


def test_two_models_rows_share_columns_when_asked_together(label_answers: MakeAnswers) -> None:
    """Rows of two models from one call can be mixed, though they predicted different labels."""
    gold = ["a", "b", "a", "b"]
    first, second = ["a", "b", "c", "b"], ["a", "a", "a", "d"]
    metric = BUILT_IN["macro_f1"]
    rows = metric.statistics(label_answers(gold * 2, first + second))
    swapped = metric.aggregate(rows[[0, 5, 2, 7]].sum(axis=0))
    mixed = [first[0], second[1], first[2], second[3]]
    assert float(swapped) == pytest.approx(sklearn_scores(gold, mixed)["macro_f1"], abs=1e-12)


def test_mcc_of_a_million_examples_does_not_overflow() -> None:
    """The products of large counts stay exact enough: counts times 10**6 leave MCC as it is."""
    metric = BUILT_IN["matthews"]
    counts = np.array([40, 45, 55, 52, 48, 50], dtype=np.int64)
    assert float(metric.aggregate(counts * 1_000_000)) == pytest.approx(
        float(metric.aggregate(counts)), rel=1e-12
    )


@pytest.mark.parametrize("name", ["macro_f1", "matthews"])
def test_perfect_predictions_score_exactly_one(label_answers: MakeAnswers, name: str) -> None:
    """No rounding carries a perfect score off 1."""
    metric = BUILT_IN[name]
    for n in range(3, 60):
        labels = [str(i % 3) for i in range(n)]
        rows = metric.statistics(label_answers(labels, labels))
        assert float(metric.aggregate(rows.sum(axis=0))) == 1.0


@pytest.mark.parametrize("name", ["accuracy", "macro_f1", "matthews"])
def test_scores_are_right_or_wrong(label_answers: MakeAnswers, name: str) -> None:
    """An example's own score is exactly 1.0 for the right label and 0.0 for another."""
    scores = BUILT_IN[name].scores(label_answers(["a", "b"], ["a", "a"]))
    assert scores.tolist() == [1.0, 0.0]


def test_accuracy_is_the_share_of_right_answers(label_answers: MakeAnswers) -> None:
    """Accuracy is right answers over all answers."""
    metric = BUILT_IN["accuracy"]
    rows = metric.statistics(label_answers(["a", "b", "b"], ["a", "a", "b"]))
    assert float(metric.aggregate(rows.sum(axis=0))) == 2 / 3


@pytest.mark.parametrize("name", ["accuracy", "macro_f1", "matthews"])
def test_nothing_counted_is_no_score(label_answers: MakeAnswers, name: str) -> None:
    """Of no example at all the metric is NaN, which is never taken for a score, and no warning."""
    rows = BUILT_IN[name].statistics(label_answers(["a"], ["a"]))
    assert np.isnan(BUILT_IN[name].aggregate(rows.sum(axis=0) - rows)).all()


def test_accuracy_of_generated_text(text_answer: Callable[..., Answer]) -> None:
    """A task without right and wrong has no accuracy."""
    with pytest.raises(EvaluationError, match="only classification and multiple_choice"):
        BUILT_IN["accuracy"].scores([text_answer("x", "x")])
