"""What a model gave, before it is scored: checks, and why a text ended."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from pytest_distill.errors import EvaluationError
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.requests import Prediction

PROBABILITY_SUM_TOLERANCE = 1e-3


def check_outputs(example: Example, probabilities: Sequence[float], outputs: int) -> None:
    """Raise EvaluationError unless these are numbers between 0 and 1, one for each output."""
    if len(probabilities) != outputs or not outputs:
        raise example.answer_error(f"{len(probabilities)} probabilities for {outputs} labels")
    for probability in probabilities:
        if not 0.0 <= probability <= 1.0:  # False for NaN
            raise example.answer_error(f"the probability {probability} is not between 0 and 1")


def check_probabilities(example: Example, probabilities: Sequence[float], outputs: int) -> None:
    """Raise EvaluationError unless these are the probabilities of `outputs` exclusive labels."""
    check_outputs(example, probabilities, outputs)
    total = math.fsum(probabilities)
    if abs(total - 1.0) > PROBABILITY_SUM_TOLERANCE:
        raise example.answer_error(f"the probabilities sum to {total:.6g}, not 1")


def check_loglikelihoods(example: Example, loglikelihoods: Sequence[float]) -> None:
    """Raise EvaluationError unless each one is the logarithm of a probability above 0."""
    for value in loglikelihoods:
        if not -math.inf < value <= 0.0:  # False for NaN
            raise example.answer_error(f"the log-likelihood {value} is not a finite number up to 0")


def likeliest(values: Sequence[float]) -> list[int]:
    """Return the indices of the greatest values, several where they are equal."""
    most = max(values)
    return [index for index, value in enumerate(values) if value == most]


def no_answer(example: Example, wanted: str) -> EvaluationError:
    """Return the error about a prediction without what the task needs."""
    return example.answer_error(f"the prediction has no answer; it needs {wanted}")


def with_ending(prediction: Prediction, most: int) -> Prediction:
    """Return a prediction that says why its text ended, as far as that is known.

    One that does not say it and has fewer tokens than the greatest number, `most`, ended by
    itself: earlier versions stored no endings, and many files have none.
    """
    if prediction.finish is not None or prediction.text is None or prediction.tokens is None:
        return prediction
    return replace(prediction, finish="end") if prediction.tokens < most else prediction
