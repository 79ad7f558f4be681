from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sacrebleu
from rouge_score.rouge_scorer import RougeScorer

from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.metrics import Answer

MakeAnswer = Callable[..., Answer]

OUTPUTS = [
    "The cat sat on the mat.",
    "A dog, barking loudly at night",
    "hello",
    "",
    "It isn't what it was (at all), is it?",
    "Grüße aus Köln!",
]
ANSWERS = [
    ("The cat sat on the mat.",),
    ("The dog was barking loudly at night.", "A dog barked loudly all night"),
    ("hello there my friend",),
    ("something", "anything else"),
    ("It is not what it was, is it?",),
    ("Viele Grüße aus Köln!",),
]


def padded_references() -> list[list[str | None]]:
    """Return ANSWERS as sacrebleu wants them: one list of the first answers, one of the second."""
    return [[a[i] if i < len(a) else None for a in ANSWERS] for i in range(2)]


@pytest.fixture
def answers(text_answer: MakeAnswer) -> list[Answer]:
    """Return OUTPUTS beside ANSWERS."""
    return [text_answer(o, *a) for o, a in zip(OUTPUTS, ANSWERS, strict=True)]


CORPUS: dict[str, Callable[..., Any]] = {
    "bleu": sacrebleu.corpus_bleu,
    "chrf": sacrebleu.corpus_chrf,
}
SENTENCE: dict[str, Callable[..., Any]] = {
    "bleu": sacrebleu.sentence_bleu,
    "chrf": sacrebleu.sentence_chrf,
}


@pytest.mark.parametrize("name", ["bleu", "chrf"])
def test_corpus_score_equals_sacrebleu(answers: list[Answer], name: str) -> None:
    """BLEU and chrF of summed statistics equal sacrebleu's, several answers an example included."""
    metric = BUILT_IN[name]
    value = float(metric.aggregate(metric.statistics(answers).sum(axis=0)))
    expected = CORPUS[name](OUTPUTS, padded_references()).score
    assert 0 < value < 100
    assert value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["bleu", "chrf"])
def test_leaving_one_out_equals_sacrebleu_on_the_rest(answers: list[Answer], name: str) -> None:
    """Totals minus each row, aggregated at once, equal sacrebleu on the other examples."""
    rows = BUILT_IN[name].statistics(answers)
    values = BUILT_IN[name].aggregate(rows.sum(axis=0) - rows)
    for i, value in enumerate(values):
        references = [column[:i] + column[i + 1 :] for column in padded_references()]
        expected = CORPUS[name](OUTPUTS[:i] + OUTPUTS[i + 1 :], references).score
        assert value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["bleu", "chrf"])
def test_sentence_scores_equal_sacrebleu(answers: list[Answer], name: str) -> None:
    """An example's own score is sacrebleu's sentence score, 0.0 for an empty output."""
    expected = [SENTENCE[name](o, list(a)).score for o, a in zip(OUTPUTS, ANSWERS, strict=True)]
    scores = BUILT_IN[name].scores(answers)
    assert scores.tolist() == pytest.approx(np.minimum(expected, 100.0).tolist(), rel=1e-12)
    assert scores[3] == 0.0


@pytest.mark.parametrize("name", ["bleu", "chrf"])
def test_perfect_output_scores_exactly_100(text_answer: MakeAnswer, name: str) -> None:
    """A perfect output does not leave the range, as sacrebleu's 100.00000000000004 does."""
    metric = BUILT_IN[name]
    perfect = [text_answer("The cat sat on the mat.", "The cat sat on the mat.")]
    assert float(metric.aggregate(metric.statistics(perfect).sum(axis=0))) == 100.0
    assert metric.scores(perfect).tolist() == [100.0]
    assert metric.range == (0.0, 100.0)


@pytest.mark.parametrize("output", ["", "one two three", "zzz yyy xxx www vvv"])
def test_bleu_of_short_and_unlike_outputs_equals_sacrebleu(
    text_answer: MakeAnswer, output: str
) -> None:
    """No match, or no 4-gram at all, gives the value that sacrebleu gives."""
    metric = BUILT_IN["bleu"]
    rows = metric.statistics([text_answer(output, "one two three four five")])
    expected = sacrebleu.corpus_bleu([output], [["one two three four five"]]).score
    assert float(metric.aggregate(rows.sum(axis=0))) == pytest.approx(expected, abs=1e-12)


def test_bleu_of_random_texts_equals_sacrebleu(text_answer: MakeAnswer) -> None:
    """Smoothing and brevity penalty equal sacrebleu's on many small corpora."""
    rng = np.random.default_rng(0)
    metric = BUILT_IN["bleu"]
    for _ in range(100):
        outputs, references = (
            [" ".join(rng.choice(list("abcd"), rng.integers(1, 9))) for _ in range(3)]
            for _ in range(2)
        )
        rows = metric.statistics(
            [text_answer(o, r) for o, r in zip(outputs, references, strict=True)]
        )
        expected = sacrebleu.corpus_bleu(outputs, [references]).score
        assert float(metric.aggregate(rows.sum(axis=0))) == pytest.approx(expected, rel=1e-12)


def test_rouge_l_equals_rouge_score(answers: list[Answer]) -> None:
    """rouge_l is the package's F-measure, the best over the accepted answers."""
    scorer = RougeScorer(["rougeL"])
    expected = [
        max(scorer.score(target, a.predicted)["rougeL"].fmeasure for target in a.targets)
        for a in answers
    ]
    found = BUILT_IN["rouge_l"].scores(answers).tolist()
    assert found == pytest.approx(expected, abs=1e-15)


def test_rouge_l_is_the_float_next_to_its_fraction(text_answer: MakeAnswer) -> None:
    """2 matches / (words + words): the package's own value is often a last digit beside it."""
    lengths = [(output, target) for output in range(1, 15) for target in range(output, 15)]
    answers = [text_answer("w " * output, "w " * target) for output, target in lengths]
    expected = [2 * output / (output + target) for output, target in lengths]
    assert BUILT_IN["rouge_l"].scores(answers).tolist() == expected
    assert BUILT_IN["rouge_l"].scores([text_answer("other", "w")]).tolist() == [0.0]


@pytest.mark.parametrize(
    ("predicted", "targets", "expected"),
    [
        ("Paris", ("Paris",), Fraction(1)),
        ("The  paris!", ("Paris",), Fraction(1)),
        ("London", ("Paris",), Fraction(0)),
        ("in the city of Paris", ("Paris", "city of lights"), Fraction(4, 7)),
        ("a b b b", ("b b c",), Fraction(2, 3)),
        ("anthem", ("them",), Fraction(0)),
        ("the", ("",), Fraction(1)),
        ("Paris", ("",), Fraction(0)),
        ("", ("Paris",), Fraction(0)),
    ],
)
def test_token_f1_is_squads(
    text_answer: MakeAnswer, predicted: str, targets: tuple[str, ...], expected: Fraction
) -> None:
    """token_f1 follows SQuAD's script: no case, punctuation or articles; the best answer counts.

    By hand: "in city of Paris" (4 words) against "city of lights" (3) shares 2, so precision 2/4,
    recall 2/3, F1 = 4/7; against "Paris" only 2/5. "b b b" ("a" is an article) against "b b c"
    shares 2 of 3 either way: 2/3. Inside a word "an" is no article.
    """
    score = BUILT_IN["token_f1"].scores([text_answer(predicted, *targets)])[0]
    assert score == pytest.approx(float(expected), rel=1e-15)


@pytest.mark.parametrize(
    ("predicted", "targets", "expected"),
    [
        (" 42\n", ("42",), 1.0),
        ("42", ("41", "42"), 1.0),
        ("42.", ("42",), 0.0),
        ("paris", ("Paris",), 0.0),
        ("", ("42",), 0.0),
    ],
)
def test_exact_match_is_strict(
    text_answer: MakeAnswer, predicted: str, targets: tuple[str, ...], expected: float
) -> None:
    """exact_match passes over whitespace around the answer, and nothing else."""
    assert BUILT_IN["exact_match"].scores([text_answer(predicted, *targets)]).tolist() == [expected]


@pytest.mark.parametrize("name", ["exact_match", "token_f1", "rouge_l"])
def test_corpus_value_is_the_mean(answers: list[Answer], name: str) -> None:
    """The corpus value is the mean of the examples' scores."""
    metric = BUILT_IN[name]
    value = metric.aggregate(metric.statistics(answers).sum(axis=0))
    assert float(value) == pytest.approx(
        math.fsum(metric.scores(answers)) / len(answers), rel=1e-14
    )
