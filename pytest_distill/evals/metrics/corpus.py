"""BLEU and chrF: counts from sacrebleu, summed over the corpus before they become a score.

Both run from 0 to 100, as sacrebleu prints them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pytest_distill.evals.metrics.base import Answer, CorpusMetric
from pytest_distill.evals.normalisation import composed, spaced

_BLEU_ORDER = 4
_CHRF_ORDER = 6
_CHRF_BETA = 2


class _NGrams(CorpusMetric):
    """A metric of n-grams; the first two columns: size of the output, and of the nearest answer."""

    a_token: ClassVar[int] = 1
    """The size of a token: words, or characters."""

    @abstractmethod
    def row(self, output: float, reference: float, *, matches: bool) -> NDArray[np.float64]:
        """Return the statistics of an example of which all n-grams match, or none."""

    def extremes(
        self, rows: NDArray[Any], longest: int | None
    ) -> tuple[NDArray[Any], NDArray[Any]] | None:
        """Return no output, and one that goes on to the end without a match; beside a perfect one.

        A word, or four characters, a token, or as many as the longest output that was seen has;
        answers of the length that a word is in on average.
        """
        seen = np.asarray(rows, np.float64)
        most = max(float(seen[:, 0].max()), self.a_token * (longest or 0))
        reference = typical(seen[:, 1])
        wrong = [self.row(length, reference, matches=False) for length in (0.0, most)]
        right = self.row(reference, reference, matches=True)
        return np.array(wrong), np.array([right, right])


@dataclass(frozen=True)
class Bleu(_NGrams):
    """Corpus BLEU with sacrebleu's defaults: tokenizer 13a, 4-grams, exponential smoothing.

    In scripts without blanks between words each character is a word, as with sacrebleu's tokenizer
    ``zh``: to 13a a sentence of them is one.

    Columns: words of the output, words of the nearest answer, then for n = 1..4 the matching
    n-grams, then the output's n-grams.

    References
    ----------
    Papineni et al. (2002). BLEU: a Method for Automatic Evaluation of Machine Translation.
    Post (2018). A Call for Clarity in Reporting BLEU Scores.
    """

    name: str = "bleu"
    range: tuple[float, float] = (0.0, 100.0)

    def scores(self, answers: Sequence[Answer]) -> NDArray[np.float64]:
        """Return sentence BLEU with effective order, as ``sacrebleu.sentence_bleu``, shape (n,)."""
        return _bleu(self.statistics(answers), effective_order=True)

    def statistics(self, answers: Sequence[Answer]) -> NDArray[Any]:
        """Return the counts of each example, shape (n, 10)."""
        # effective_order keeps sentence_score from warning; the counts don't depend on it.
        sentence = sacrebleu_metric("BLEU", effective_order=True).sentence_score
        scored = [sentence(_cut(a.predicted), [*map(_cut, a.targets)]) for a in answers]
        return np.array(
            [[s.sys_len, s.ref_len, *s.counts, *s.totals] for s in scored], np.float64
        ).reshape(-1, 2 + 2 * _BLEU_ORDER)

    def aggregate(self, totals: NDArray[Any]) -> NDArray[np.float64]:
        """Return corpus BLEU, shape (..., 10) -> (...)."""
        return _bleu(np.asarray(totals, np.float64), effective_order=False)

    def row(self, output: float, reference: float, *, matches: bool) -> NDArray[np.float64]:
        """Return the statistics of an example of which all n-grams match, or none."""
        ngrams = np.maximum(output - np.arange(_BLEU_ORDER), 0.0)
        return np.concatenate([[output, reference], ngrams * matches, ngrams])


def _cut(text: str) -> str:
    return spaced(composed(text))


def typical(sizes: NDArray[np.float64]) -> float:
    """Return the size of the text that a word is in on average: sum z^2 / sum z."""
    total = float(sizes.sum())
    return float((sizes**2).sum()) / total if total else 0.0


def _bleu(totals: NDArray[np.float64], *, effective_order: bool) -> NDArray[np.float64]:
    """Return ``sacrebleu.metrics.BLEU.compute_bleu(smooth_method="exp")`` for many rows at once."""
    output, reference = totals[..., 0], totals[..., 1]
    matches, ngrams = totals[..., 2 : 2 + _BLEU_ORDER], totals[..., 2 + _BLEU_ORDER :]
    # Each order without a match halves the count that stands in for it: 1/2, 1/4, ...
    smoothed = np.exp2(-np.cumsum(matches == 0, axis=-1))
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(100 * np.where(matches > 0, matches, smoothed) / ngrams)
        brevity = np.exp(np.minimum(0.0, 1 - reference / output))
    present = ngrams > 0
    orders = present.sum(axis=-1) if effective_order else np.full(output.shape, _BLEU_ORDER)
    mean_log = np.where(present, logs, 0.0).sum(axis=-1) / np.maximum(orders, 1)
    too_short = ~present.all(axis=-1) if not effective_order else np.zeros(output.shape, bool)
    nothing = ~matches.any(axis=-1) | too_short
    # A perfect output comes out as 100.00000000000004.
    return np.where(nothing, 0.0, np.minimum(brevity * np.exp(mean_log), 100.0))


@dataclass(frozen=True)
class Chrf(_NGrams):
    """Corpus chrF2 with sacrebleu's defaults: character 6-grams, no word n-grams, beta 2.

    An example's own score is ``sacrebleu.sentence_chrf``.
    Columns: for n = 1..6 the output's n-grams, the answer's n-grams, the matching ones.

    References
    ----------
    Popović (2015). chrF: character n-gram F-score for automatic MT evaluation.
    """

    name: str = "chrf"
    range: tuple[float, float] = (0.0, 100.0)
    a_token: ClassVar[int] = 4  # of English text

    def statistics(self, answers: Sequence[Answer]) -> NDArray[Any]:
        """Return the counts of each example, shape (n, 18)."""
        # Private, and the only door to these counts: sacrebleu's own significance tests use it.
        extract = sacrebleu_metric("CHRF")._extract_corpus_statistics
        rows = [
            extract([composed(a.predicted)], [[composed(target)] for target in a.targets])[0]
            for a in answers
        ]
        return np.array(rows, np.float64).reshape(-1, 3 * _CHRF_ORDER)

    def aggregate(self, totals: NDArray[Any]) -> NDArray[np.float64]:
        """Return corpus chrF, shape (..., 18) -> (...)."""
        counts = np.asarray(totals, np.float64).reshape(*totals.shape[:-1], _CHRF_ORDER, 3)
        output, reference, matches = counts[..., 0], counts[..., 1], counts[..., 2]
        present = (output > 0) & (reference > 0)
        orders = np.maximum(present.sum(axis=-1), 1)
        precision, recall = (
            np.divide(matches, n, out=np.zeros_like(matches), where=present).sum(axis=-1) / orders
            for n in (output, reference)
        )
        weighted = _CHRF_BETA**2 * precision + recall
        product = (1 + _CHRF_BETA**2) * precision * recall
        f_score = np.divide(product, weighted, out=np.zeros_like(product), where=weighted > 0)
        return np.asarray(np.minimum(100 * f_score, 100.0))

    def exact(self, totals: NDArray[Any]) -> Fraction:
        """Return corpus chrF as a fraction, shape (18,)."""
        rows = [[int(count) for count in row] for row in np.reshape(totals, (_CHRF_ORDER, 3))]
        present = [row for row in rows if row[0] and row[1]]
        precision = sum((Fraction(matches, output) for output, _, matches in present), Fraction(0))
        recall = sum((Fraction(matches, answer) for _, answer, matches in present), Fraction(0))
        if not precision or not recall:
            return Fraction(0)
        product = (1 + _CHRF_BETA**2) * precision * recall
        return 100 * product / (_CHRF_BETA**2 * precision + recall) / len(present)

    def row(self, output: float, reference: float, *, matches: bool) -> NDArray[np.float64]:
        """Return the statistics of an example of which all n-grams match, or none."""
        both = [np.maximum(n - np.arange(_CHRF_ORDER), 0.0) for n in (output, reference)]
        return np.column_stack([*both, both[1] * matches]).ravel()


@cache
def sacrebleu_metric(name: str, **options: Any) -> Any:
    """Return a metric of sacrebleu, which is made once."""
    import sacrebleu.metrics

    return getattr(sacrebleu.metrics, name)(**options)


BLEU = Bleu()
CHRF = Chrf()
