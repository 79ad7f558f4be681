"""How long a model's texts are, and whether they ended by themselves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from pytest_distill.errors import EvaluationError
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks.predictions import with_ending
from pytest_distill.evaluation.evaluation import Indices
from pytest_distill.evaluation.measured import MeasuredEvaluation

Samples = Sequence[Prediction]
"""The texts that a model wrote for one example, one without repeats."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long the texts of a model are, over some examples of an eval.

    Parameters
    ----------
    tokens : tuple of Fraction
        Number of tokens of each example's text, in the order of the gold set; of several samples
        the mean.
    thinking : Fraction, optional
        How many of them stand before the answer, the mean over examples; None where that is not
        known of every text.
    texts, cut : int
        How many texts there are, and how many of them were cut at the greatest length.
    per_token : Fraction, optional
        How many characters of its texts a token stands for; None where there are no tokens.
    """

    tokens: tuple[Fraction, ...]
    thinking: Fraction | None
    texts: int
    cut: int
    per_token: Fraction | None

    @property
    def mean(self) -> Fraction:
        """Mean number of tokens of an example's text."""
        return _mean(self.tokens)


@dataclass(frozen=True, slots=True)
class KnownLengths:
    """Means over examples for a report; None for what is not known of every text.

    Parameters
    ----------
    tokens, thinking_tokens : Fraction, optional
        Number of tokens of a text, and how many of these stand before the answer.
    finished : Fraction, optional
        The share of texts that ended by themselves.
    """

    tokens: Fraction | None = None
    thinking_tokens: Fraction | None = None
    finished: Fraction | None = None


def lengths(evaluation: MeasuredEvaluation, indices: Indices | None = None) -> Lengths:
    """Return how long the texts of an evaluation are.

    Raises
    ------
    EvaluationError
        Naming the first example of whose text the number of tokens is not known.
    """
    if not evaluation.predictions:
        _ = evaluation.answers  # says that there are ready scores alone
    every, examples = _texts(evaluation), evaluation.eval.gold.examples
    places = range(len(every)) if indices is None else indices
    counted = [
        [_tokens(text, examples[place], evaluation.source) for text in every[place]]
        for place in places
    ]
    texts = [text for place in places for text in every[place]]
    most, total = evaluation.eval.task.longest, sum(map(sum, counted))
    return Lengths(
        tuple(map(_mean, counted)),
        _known_mean([every[place] for place in places], lambda text: text.thinking_tokens),
        len(texts),
        sum(_is_cut(text, most) for text in texts),
        Fraction(sum(len(text.text or "") for text in texts), total) if total else None,
    )


def known_lengths(evaluation: MeasuredEvaluation) -> KnownLengths:
    """Return what is known of the lengths and endings of a model's texts."""
    texts = _texts(evaluation)
    return KnownLengths(
        _known_mean(texts, lambda text: text.tokens),
        _known_mean(texts, lambda text: text.thinking_tokens),
        _known_mean(texts, _ended),
    )


def _texts(evaluation: MeasuredEvaluation) -> list[Samples]:
    """Return the texts of each example, with their endings; none where the task has no texts."""
    most = evaluation.eval.task.longest
    if most is None:
        return []
    return [[with_ending(text, most) for text in texts] for texts in evaluation.by_example]


def _tokens(text: Prediction, example: Example, source: str) -> int:
    if text.tokens is None or text.tokens < 0:
        problem = example.answer_error(
            "the number of tokens of its text is not known: a recorded row, or an engine of your "
            f"own, must say 'tokens', a count, not {text.tokens}"
        )
        raise EvaluationError(f"{source}: {problem}")
    return text.tokens


def _is_cut(text: Prediction, most: int | None) -> bool:
    """Return whether a text was cut, also where nothing but its length says so."""
    return text.finish == "length" or (text.finish is None and text.tokens == most)


def _ended(text: Prediction) -> int | None:
    return None if text.finish is None else int(text.finish != "length")


def _known_mean(
    texts: Sequence[Samples], what: Callable[[Prediction], int | None]
) -> Fraction | None:
    """Return the mean over examples of the mean over samples; None where one is not known."""
    values = [what(text) for samples in texts for text in samples]
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return None
    return _mean(known)  # each example has as many samples


def _mean(values: Sequence[int | Fraction]) -> Fraction:
    return Fraction(sum(values)) / len(values)
