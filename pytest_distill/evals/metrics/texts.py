"""Metrics of a generated text: against its accepted answers, the best of which counts; its end."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any

from pytest_distill.evals.metrics.base import Answer, MeanMetric
from pytest_distill.evals.normalisation import bare, composed, spaced, words

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_MOST_WORDS = 10**6


def exact_match(answer: Answer) -> float:
    """Return 1.0 where the text equals an accepted answer but for whitespace around, else 0.0.

    Strict: case and punctuation count; how an accent is encoded does not. Use ``extract:`` to cut
    an answer out of a longer text, and ``token_f1`` for SQuAD's lenient comparison.
    """
    predicted = composed(answer.predicted).strip()
    return float(predicted in {composed(target).strip() for target in answer.targets})


def token_f1(answer: Answer) -> float:
    """Return SQuAD's F1 over words, the best over the accepted answers.

    Words are compared without case, punctuation and articles. Where one side has no word left, F1
    is 1.0 if neither has, else 0.0 (the official script of SQuAD 2.0, ``compute_f1``). Beyond
    ASCII as in MLQA's: all punctuation of Unicode goes, and in scripts without blanks between
    words each character is one. Articles are the English ones alone.

    References
    ----------
    Rajpurkar et al. (2016). SQuAD: 100,000+ Questions for Machine Comprehension of Text,
    section 6.1. Rajpurkar, Jia and Liang (2018). Know What You Don't Know. Lewis et al. (2020).
    MLQA: Evaluating Cross-lingual Extractive Question Answering, section 4.
    """
    predicted = _squad_words(answer.predicted)
    return max(_f1(predicted, _squad_words(target)) for target in answer.targets)


def _squad_words(text: str) -> list[str]:
    return _ARTICLES.sub(" ", bare(spaced(composed(text)))).split()


def _f1(predicted: list[str], target: list[str]) -> float:
    if not predicted or not target:
        return float(predicted == target)
    common = (Counter(predicted) & Counter(target)).total()
    return 2 * common / (len(predicted) + len(target))


def rouge_l(answer: Answer) -> float:
    """Return the F-measure of ROUGE-L (longest common subsequence), the best over the answers.

    As computed by the package rouge-score, without stemming, but for its rounding; and words that
    it drops, for they have no letter of a-z, are kept (`words`).

    References
    ----------
    Lin (2004). ROUGE: A Package for Automatic Evaluation of Summaries, section 3.1.
    """
    best = _rouge_scorer()(answer.targets, answer.predicted)["rougeL"]
    # The package's F-measure is a last digit beside the float next to it in every third case.
    precision, recall = (
        Fraction(share).limit_denominator(_MOST_WORDS) for share in (best.precision, best.recall)
    )
    return float(2 * precision * recall / (precision + recall)) if precision else 0.0


@cache
def _rouge_scorer() -> Callable[..., Any]:
    from rouge_score.rouge_scorer import RougeScorer  # two seconds: it imports nltk

    score: Callable[..., Any] = RougeScorer(["rougeL"], tokenizer=_Words()).score_multi
    return score


class _Words:
    """What rouge-score cuts a text into words with."""

    def tokenize(self, text: str) -> list[str]:
        return words(text)


def finished(answer: Answer) -> float:
    """Return 1.0 where the text ended by itself, 0.0 where it was cut at the greatest length.

    By itself is at an end token, at a stop string, or with a call of a tool.

    Raises
    ------
    EvaluationError
        Where it is not known why the text ended.
    """
    finish = answer.prediction.finish
    if finish is None:
        raise answer.example.answer_error(
            "why its text ended is not known: a recorded row, or an engine of your own, must say "
            "'finish' (end, stop, length or tool_call); an answer that an earlier version stored "
            "is made anew with --distill-refresh"
        )
    return float(finish != "length")


EXACT_MATCH = MeanMetric("exact_match", exact_match, binary=True)
TOKEN_F1 = MeanMetric("token_f1", token_f1)
ROUGE_L = MeanMetric("rouge_l", rouge_l)
FINISHED = MeanMetric("finished", finished, binary=True)
