"""BLEU, chrF and TER as lm-evaluation-harness has sacrebleu compute them: of texts as they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_distill.evals.lm_eval.values import value_of
from pytest_distill.evals.metrics.base import Answer, CorpusMetric, Metric
from pytest_distill.evals.metrics.corpus import Bleu, sacrebleu_metric

_CHRF = partial(sacrebleu_metric, "CHRF")


@dataclass(frozen=True)
class Translation(CorpusMetric):
    """A score of sacrebleu; columns: what it sums over a corpus.

    The value of a document is its reference, or several, and the text. Where documents have unlike
    numbers of references the first of each count, as many as the one with the fewest has.
    """

    name: str
    key: str
    higher_is_better: bool = True
    range: tuple[float, float] = (0.0, 100.0)
    of: Callable[[], Any] = _CHRF
    """Gives the metric of sacrebleu."""

    def statistics(self, answers: Sequence[Answer]) -> NDArray[Any]:
        """Return what sacrebleu counts of each text, shape (n, k)."""
        return counted(self.of(), answers, self.key)

    def aggregate(self, totals: NDArray[Any]) -> NDArray[np.float64]:
        """Return the score of summed counts, shape (..., k) -> (...)."""
        score = self.of()._compute_score_from_stats
        rows = np.asarray(totals, np.float64).reshape(-1, totals.shape[-1])
        found = np.array([score(row.tolist()).score for row in rows], np.float64)
        return np.clip(found, *self.range).reshape(totals.shape[:-1])


@dataclass(frozen=True)
class TaskBleu(Bleu):
    """BLEU of the values of a task's documents, which may be in any script: none is parted."""

    name: str
    key: str = ""
    higher_is_better: bool = True

    def statistics(self, answers: Sequence[Answer]) -> NDArray[Any]:
        """Return the counts of each text, shape (n, 10)."""
        return counted(sacrebleu_metric("BLEU"), answers, self.key)


def counted(metric: Any, answers: Sequence[Answer], key: str) -> NDArray[Any]:
    """Return what a metric of sacrebleu counts of each document's text, shape (n, k)."""
    pairs = [_pair(answer, key) for answer in answers]
    fewest = min((len(references) for references, _ in pairs), default=0)
    rows = [
        # Private, and the only door to these counts: sacrebleu's own significance tests use it.
        metric._extract_corpus_statistics([text], [[each] for each in references[:fewest]])[0]
        for references, text in pairs
    ]
    return np.array(rows, np.float64).reshape(len(answers), -1)


def _pair(answer: Answer, key: str) -> tuple[list[str], str]:
    """Return the references of a document and its text."""
    value = value_of(answer, key)
    if isinstance(value, list | tuple) and len(value) == 2:
        references, text = value
        references = [references] if isinstance(references, str) else list(references)
        if isinstance(text, list | tuple) and len(text) == 1:
            (text,) = text
        if references and all(isinstance(part, str) for part in (*references, text)):
            return references, text
    raise answer.example.answer_error(
        f"'{key}' is of a reference and a text, and the task gave {value!r:.60}"
    )


TRANSLATIONS: Mapping[str, Callable[..., Metric]] = {
    "bleu": TaskBleu,
    "chrf": Translation,
    "chrf++": partial(Translation, of=partial(sacrebleu_metric, "CHRF", word_order=2)),
    "ter": partial(Translation, of=partial(sacrebleu_metric, "TER"), range=(0.0, math.inf)),
}
"""Name of the aggregation -> what makes its metric of name, key and direction."""
