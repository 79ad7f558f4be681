"""Word and character error rate."""

from __future__ import annotations

import sys
from collections.abc import Callable
from fractions import Fraction

import jiwer
import numpy as np
import pytest

from pytest_distill.errors import ConfigError, GoldSetError
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.metrics import Answer, Metric

MakeAnswer = Callable[..., Answer]

WER, CER = BUILT_IN["word_error_rate"], BUILT_IN["char_error_rate"]
SAID = [
    # what was said, and how it is set; the same in lower case and without punctuation
    ("The cat sat on the mat.", "the cat sat on the mat"),
    ("Hello,  WORLD!\n", "hello world"),
    ("«Grüße», sagte er: „Köln“", "grüße sagte er köln"),
    ("it's 5 o'clock", "its 5 oclock"),
    ("", ""),
    ("Привет, мир!", "привет мир"),
    ("caf\u0065\u0301", "caf\u00e9"),
]


def rates(metric_answers: list[Answer]) -> list[Fraction]:
    """Return the two rates over some answers, exactly."""
    found = []
    for metric in (WER, CER):
        exact = metric.exact(metric.statistics(metric_answers).sum(axis=0))
        assert exact is not None
        found.append(exact)
    return found


def test_they_equal_jiwer_on_normalised_texts(text_answer: MakeAnswer) -> None:
    """Over all pairs of texts, sums and all, they are jiwer's of texts normalised beforehand."""
    pairs = [(said, other) for said in SAID[:4] for other in SAID]
    answers = [text_answer(other[0], said[0]) for said, other in pairs]
    references, outputs = [s[1] for s, _ in pairs], [o[1] for _, o in pairs]
    totals = WER.statistics(answers).sum(axis=0)
    assert float(WER.aggregate(totals)) == jiwer.wer(references, outputs)
    totals = CER.statistics(answers).sum(axis=0)
    assert float(CER.aggregate(totals)) == jiwer.cer(references, outputs)
    own = [
        jiwer.wer(reference, output) for reference, output in zip(references, outputs, strict=True)
    ]
    assert WER.scores(answers).tolist() == own


def test_a_rate_is_a_ratio_of_sums(text_answer: MakeAnswer) -> None:
    """Long texts weigh more: two wrong words of twelve, not the mean of 2/2 and 0/10."""
    answers = [text_answer("x y", "a b"), text_answer("c " * 10, "c " * 10)]
    assert rates(answers)[0] == Fraction(2, 12)
    assert list(WER.scores(answers)) == [1, 0]


def test_insertions_count(text_answer: MakeAnswer) -> None:
    """A model that rambles has more errors than there are words."""
    (score,) = WER.scores([text_answer("a b c d e f", "a")])
    assert score == 5
    assert (WER.range, WER.higher_is_better) == ((0, np.inf), False)


def test_the_same_but_for_its_setting(text_answer: MakeAnswer) -> None:
    """Case, punctuation, blanks and the form of an accent are no errors."""
    assert rates([text_answer(set, said) for set, said in SAID if said]) == [0, 0]


def test_scripts_without_blanks(text_answer: MakeAnswer) -> None:
    """There each character is a word, and no blank is counted as a character."""
    assert rates([text_answer("今日は晴。", "今日は雨")]) == [Fraction(1, 4), Fraction(1, 4)]
    assert rates([text_answer("我住在 Berlin", "我住在Berlin")]) == [0, Fraction(1, 9)]


def test_the_best_accepted_answer_counts(text_answer: MakeAnswer) -> None:
    """The one of the lowest rate: one of four words wrong is better than one of two."""
    answer = text_answer("a b c x", "a b c d", "c x y", "z")
    assert WER.statistics([answer]).tolist() == [[1, 4]]


def test_what_one_more_example_can_be() -> None:
    """At worst no output, or one that goes on to the greatest length; at best a perfect one."""
    rows = np.array([[2.0, 10.0], [3.0, 10.0]])
    for metric, most in ((WER, 128), (CER, 4 * 128)):
        worst, best = metric.extremes(rows, 128) or ((), ())
        assert np.asarray(worst).tolist() == [[10, 10], [most, 10]]
        assert np.asarray(best).tolist() == [[0, 10], [0, 10]]
    worst, _ = WER.extremes(np.array([[50.0, 10.0], [0.0, 0.0]]), None) or ((), ())
    assert np.asarray(worst).tolist() == [[10, 10], [50, 10]]


@pytest.mark.parametrize("target", ["", " ", "...", "?!"])
@pytest.mark.parametrize("metric", [WER, CER], ids=["words", "characters"])
def test_nothing_to_compare_with(text_answer: MakeAnswer, metric: Metric, target: str) -> None:
    """An accepted answer without a word is an error with the example's id."""
    with pytest.raises(GoldSetError, match=r"^gold.jsonl:3 \(id 'r3'\): nothing is left of"):
        metric.statistics([text_answer("a", "b", target)])


def test_a_missing_package(text_answer: MakeAnswer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without jiwer a metric says in one line what to install."""
    monkeypatch.setitem(sys.modules, "jiwer", None)
    for name in ("word_error_rate", "char_error_rate"):
        with pytest.raises(ConfigError) as caught:
            BUILT_IN[name].scores([text_answer("1", "2")])
        assert str(caught.value) == (
            f"metric '{name}' needs the package jiwer: pip install 'pytest-distill[speech]'"
        )
