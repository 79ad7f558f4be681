"""Metrics of a generated text against its accepted answers: the best one counts."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any

from pytest_distill.evals.metrics.base import Answer, MeanMetric

_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_MOST_WORDS = 10**6


def exact_match(answer: Answer) -> float:
    """Return 1.0 where the text equals an accepted answer but for whitespace around, else 0.0.

    Strict: case and punctuation count. Use ``extract:`` to cut an answer out of a longer text, and
    ``token_f1`` for SQuAD's lenient comparison.
    """
    return float(answer.predicted.strip() in {target.strip() for target in answer.targets})


def token_f1(answer: Answer) -> float:
    """Return SQuAD's F1 over words, the best over the accepted answers.

    Words are compared without case, punctuation and articles. Where one side has no word left, F1
    is 1.0 if neither has, else 0.0 (the official script of SQuAD 2.0, ``compute_f1``).

    References
    ----------
    Rajpurkar et al. (2016). SQuAD: 100,000+ Questions for Machine Comprehension of Text,
    section 6.1. Rajpurkar, Jia and Liang (2018). Know What You Don't Know.
    """
    predicted = _squad_words(answer.predicted)
    return max(_f1(predicted, _squad_words(target)) for target in answer.targets)


def _squad_words(text: str) -> list[str]:
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def _f1(predicted: list[str], target: list[str]) -> float:
    if not predicted or not target:
        return float(predicted == target)
    common = (Counter(predicted) & Counter(target)).total()
    return 2 * common / (len(predicted) + len(target))


def rouge_l(answer: Answer) -> float:
    """Return the F-measure of ROUGE-L (longest common subsequence), the best over the answers.

    As computed by the package rouge-score, without stemming, but for its rounding.

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

    score: Callable[..., Any] = RougeScorer(["rougeL"]).score_multi
    return score


EXACT_MATCH = MeanMetric("exact_match", exact_match)
TOKEN_F1 = MeanMetric("token_f1", token_f1)
ROUGE_L = MeanMetric("rouge_l", rouge_l)
