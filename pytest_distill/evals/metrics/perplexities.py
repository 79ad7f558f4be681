"""Metrics of how well a model predicts plain text. Lower is better.

`words` and `bytes` are counted as lm-evaluation-harness counts them (0.4.13,
``lm_eval/api/task.py``, ``count_words`` and ``count_bytes``), so that ``word_perplexity`` and
``bits_per_byte`` equal its metrics of the same names.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pytest_distill.evals.metrics.base import Answer, CorpusMetric, ratio


def _counted(answer: Answer, units: Callable[[Answer], int]) -> tuple[float, int]:
    """Return the negative log-likelihood of a text, and its units."""
    loglikelihoods = answer.prediction.loglikelihoods
    if loglikelihoods is None or len(loglikelihoods) != 1:
        raise answer.example.answer_error(
            "this metric needs the log-likelihood of a text; it suits the task perplexity"
        )
    return -loglikelihoods[0], units(answer)


def _tokens(answer: Answer) -> int:
    if answer.prediction.tokens is None:
        raise answer.example.answer_error(
            "perplexity is by token, and nothing says how many tokens the text has: record them in "
            "'tokens', or judge by word_perplexity or bits_per_byte"
        )
    return answer.prediction.tokens


def _words(answer: Answer) -> int:
    return len(re.split(r"\s+", answer.targets[0]))


def _bytes(answer: Answer) -> int:
    return len(answer.targets[0].encode())


@dataclass(frozen=True)
class Likelihood(CorpusMetric):
    """The negative log-likelihood of the whole corpus per unit of text, or exp of it.

    So long texts weigh more. Columns: the total, units.
    """

    name: str
    counts: Callable[[Answer], tuple[float, float]]
    """Answer -> its negative log-likelihood in nats, and its units."""
    higher_is_better: bool = False
    range: tuple[float, float] = (1.0, math.inf)
    by_token: bool = False
    per_unit: Literal["mean", "exp"] = "exp"
    nats: float = 1.0
    """How many nats the total is counted in."""

    def statistics(self, answers: Sequence[Answer]) -> NDArray[Any]:
        """Return the negative log-likelihood and the number of units, shape (n, 2)."""
        rows = [(total / self.nats, units) for total, units in map(self.counts, answers)]
        return np.array(rows, np.float64).reshape(-1, 2)

    def aggregate(self, totals: NDArray[Any]) -> NDArray[np.float64]:
        """Return the mean per unit or exp of it, shape (..., 2) -> (...)."""
        mean = ratio(totals[..., 0], totals[..., 1])
        if self.per_unit == "mean":
            return mean
        with np.errstate(over="ignore"):  # infinite, and refused as such where the score is read
            return np.asarray(np.exp(mean))


PERPLEXITY = Likelihood("perplexity", partial(_counted, units=_tokens), by_token=True)
WORD_PERPLEXITY = Likelihood("word_perplexity", partial(_counted, units=_words))
BITS_PER_BYTE = Likelihood(
    "bits_per_byte",
    partial(_counted, units=_bytes),
    range=(0.0, math.inf),
    per_unit="mean",
    nats=math.log(2),
)
"""Comparable where the tokenizers differ."""
