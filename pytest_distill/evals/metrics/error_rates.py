"""Word and character error rate: edits that turn an answer into the accepted one, over its length.

Both are ratios of sums over the whole corpus. Lower is better, and more than 1 is possible.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pytest_distill._util.packages import Package
from pytest_distill.evals.metrics.base import Answer, CorpusMetric, ratio
from pytest_distill.evals.metrics.corpus import typical
from pytest_distill.evals.normalisation import bare, composed, spaced

_JIWER = Package("jiwer", "jiwer", "speech")


@dataclass(frozen=True)
class ErrorRate(CorpusMetric):
    """Substitutions, deletions and insertions / length of the accepted answers, by jiwer.

    Of several accepted answers the one with the lowest rate of its own counts. Columns: errors,
    length of that answer.
    """

    name: str
    higher_is_better: bool = False
    range: tuple[float, float] = (0.0, math.inf)
    package: Package = _JIWER

    a_token: ClassVar[int] = 1
    """How many words, or characters, a token may be."""
    process: ClassVar[str]
    """jiwer's function that counts the edits between two texts."""

    @abstractmethod
    def normalised(self, text: str) -> str:
        """Return a text as it is compared."""

    def statistics(self, answers: Sequence[Answer]) -> NDArray[Any]:
        """Return the errors and the length of the accepted answer, shape (n, 2).

        Raises
        ------
        GoldSetError
            Where nothing is left of an accepted answer to compare with.
        """
        return np.array([self._counts(answer) for answer in answers], np.float64).reshape(-1, 2)

    def aggregate(self, totals: NDArray[Any]) -> NDArray[np.float64]:
        """Return errors / length, shape (..., 2) -> (...)."""
        return ratio(totals[..., 0], totals[..., 1])

    def exact(self, totals: NDArray[Any]) -> Fraction | None:
        """Return the rate as a fraction, shape (2,)."""
        errors, length = (int(total) for total in totals)
        return Fraction(errors, length) if length else None

    def extremes(
        self, rows: NDArray[Any], longest: int | None
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return no output, and one that goes on to the end without a match; beside a perfect one.

        As those of BLEU; at worst with as many errors as any that was seen.
        """
        errors, lengths = np.asarray(rows, np.float64).T
        length = typical(lengths)
        most = max(float(errors.max()), length, float(self.a_token * (longest or 0)))
        return np.array([[length, length], [most, length]]), np.array([[0.0, length]] * 2)

    def _counts(self, answer: Answer) -> tuple[int, int]:
        predicted, counted = self.normalised(answer.predicted), []
        compared = getattr(_JIWER.load(f"metric '{self.name}'"), self.process)
        for target in answer.targets:
            accepted = self.normalised(target)
            if not accepted:
                raise answer.example.gold_error(
                    f"nothing is left of the accepted answer {target!r:.60} without its "
                    f"punctuation, so that it has no {self.name}; leave the example out"
                )
            found = compared(accepted, predicted)
            errors = found.substitutions + found.deletions + found.insertions
            counted.append((errors, found.hits + found.substitutions + found.deletions))
        return min(counted, key=lambda counts: Fraction(*counts))


class WordErrorRate(ErrorRate):
    """Word error rate: ``jiwer.wer`` of texts in lower case without punctuation.

    Both texts are normalised alike: NFC, lower case, without punctuation of any script and ASCII's
    symbols, one blank between words (`bare`). In scripts without blanks between words each
    character is a word (`spaced`).
    """

    process: ClassVar[str] = "process_words"

    def normalised(self, text: str) -> str:
        """Return the words of a text, with blanks between."""
        return _collapsed(bare(spaced(composed(text))))


class CharacterErrorRate(ErrorRate):
    """Character error rate: ``jiwer.cer`` of texts in lower case without punctuation.

    Normalised as for the word error rate, but that no blank is added. Counted are the characters of
    NFC, with one blank between words.
    """

    process: ClassVar[str] = "process_characters"
    a_token: ClassVar[int] = 4  # of English text

    def normalised(self, text: str) -> str:
        """Return a text with one blank between words."""
        return _collapsed(bare(text))


def _collapsed(text: str) -> str:
    return " ".join(text.split())


WORD_ERROR_RATE = WordErrorRate("word_error_rate")
CHAR_ERROR_RATE = CharacterErrorRate("char_error_rate")
