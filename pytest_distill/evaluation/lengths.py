"""How long a model's texts are, and whether they ended by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from pytest_distill.errors import EvaluationError
from pytest_distill.evals.metrics import Answer
from pytest_distill.evaluation.evaluation import Indices, MeasuredEvaluation


@dataclass(frozen=True, slots=True)
class Lengths:
    """How long the texts of a model are, over some examples of an eval.

    Parameters
    ----------
    tokens : tuple of Fraction
        Number of tokens of each example's text, in the order of the gold set; of several samples
        the mean.
    thinking : Fraction, optional
        How many of them stand before the answer, the mean over examples; None where the model is
        not asked to think, or that is not known of some text.
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


def lengths(evaluation: MeasuredEvaluation, indices: Indices | None = None) -> Lengths:
    """Return how long the texts of an evaluation are.

    Raises
    ------
    EvaluationError
        Naming the first example of whose text the number of tokens is not known.
    """
    every = evaluation.answers
    chosen = every if indices is None else [every[place] for place in indices]
    most = evaluation.eval.task.longest
    examples = [_samples(answer) for answer in chosen]
    texts = [answer for samples in examples for answer in samples]
    counted = [[_tokens(answer, evaluation.source) for answer in samples] for samples in examples]
    thinking = [[answer.prediction.thinking_tokens for answer in samples] for samples in examples]
    total = sum(map(sum, counted))
    characters = sum(len(answer.prediction.text or "") for answer in texts)
    return Lengths(
        tuple(map(_mean, counted)),
        _mean_of_known(thinking),
        len(texts),
        sum(_is_cut(answer, most) for answer in texts),
        Fraction(characters, total) if total else None,
    )


def _samples(answer: Answer[Any]) -> Sequence[Answer[Any]]:
    return (answer,)


def _tokens(answer: Answer[Any], source: str) -> int:
    tokens = answer.prediction.tokens
    if tokens is None or tokens < 0:
        problem = answer.example.answer_error(
            "the number of tokens of its text is not known: a recorded row, or an engine of your "
            f"own, must say 'tokens', {'at least 0' if tokens else 'a count'}"
        )
        raise EvaluationError(f"{source}: {problem}")
    return tokens


def _is_cut(answer: Answer[Any], most: int | None) -> bool:
    """Return whether a text was cut, also where nothing but its length says so."""
    finish = answer.prediction.finish
    return finish == "length" or (finish is None and answer.prediction.tokens == most)


def _mean(values: Sequence[int | Fraction]) -> Fraction:
    return Fraction(sum(values)) / len(values)


def _mean_of_known(values: Sequence[Sequence[int | None]]) -> Fraction | None:
    """Return the mean over examples of the mean over samples; None where one is not known."""
    known = [[value for value in samples if value is not None] for samples in values]
    if any(len(some) < len(all_) for some, all_ in zip(known, values, strict=True)):
        return None
    return _mean([_mean(samples) for samples in known])
