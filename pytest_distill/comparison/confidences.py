"""The confidence of a model in each of its answers, by which examples are routed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from pytest_distill.errors import ConfigError, EvaluationError, did_you_mean
from pytest_distill.evals.distributions import softmax
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks import TASKS
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.sources.recorded import FieldError, recorded_field

FIELD = "field:"


def confidence_name(by: str | None, on: Eval) -> str:
    """Return what the confidence is: as asked, else by the eval's task.

    Raises
    ------
    ConfigError
        Where the eval's task asks for no answers.
    """
    if on.task.confidence is None:
        routed = [name for name, task in TASKS.items() if task.confidence is not None]
        raise ConfigError(
            f"eval '{on.name}' has the task {on.task.name}, where nobody is asked to answer; "
            f"routing is for {', '.join(routed)}"
        )
    if by is None:
        return on.task.confidence
    if not isinstance(by, str) or not by.removeprefix(FIELD):
        raise ConfigError(
            f"by={by!r}: must be {', '.join(KINDS)}, or 'field:NAME' for a field of the recorded "
            "predictions"
        )
    return by


def confidences(evaluation: MeasuredEvaluation, by: str) -> NDArray[np.float64]:
    """Return the confidence of a model in each answer, shape (n,), finite.

    Of several samples of an answer the mean.

    Parameters
    ----------
    evaluation : MeasuredEvaluation
        The model's.
    by : str
        ``max_probability``: of the most probable output or choice; ``margin``: how far the second
        most probable one is below it; ``mean_log_probability``: of the tokens of a generated text;
        else the name of a field with numbers in the file of recorded predictions, with or without
        ``field:`` before it.

    Raises
    ------
    ConfigError
        Where `by` names nothing.
    EvaluationError
        Naming the example, where an answer has no such number.
    """
    if by not in KINDS:
        return _field(evaluation, by)
    (kind, needs), found = KINDS[by], []
    every = evaluation.by_example
    for prediction in (sample for samples in every for sample in samples):
        value = kind(prediction)
        if value is None or not np.isfinite(value):
            raise EvaluationError(
                f"{evaluation.source}: example '{prediction.id}' of model "
                f"'{evaluation.info.name}' has no {by}: it needs {needs}; another confidence "
                "is asked for by by="
            )
        found.append(value)
    if not found:
        raise EvaluationError(
            f"{evaluation.source}: has ready scores and no predictions, and so no {by}; record the "
            "confidence in a field of its own, and name it by by='field:NAME'"
        )
    return np.asarray(np.reshape(found, (len(every), -1)).mean(axis=1), np.float64)


def probabilities(evaluation: MeasuredEvaluation) -> NDArray[np.float64] | None:
    """Return the probability of each answer, shape (n,); None where a model gave none.

    Raises
    ------
    EvaluationError
        Naming the example, where one is none: beside a label that is stated, nobody looked before.
    """
    found = []
    for prediction in evaluation.predictions:
        value = _max_probability(prediction)
        if value is None:
            return None
        if not 0 <= value <= 1:
            raise EvaluationError(
                f"{evaluation.source}: example '{prediction.id}': the probability {value:g} is not "
                "between 0 and 1"
            )
        found.append(value)
    return np.array(found) if found else None


def _field(evaluation: MeasuredEvaluation, by: str) -> NDArray[np.float64]:
    name = by.removeprefix(FIELD)
    try:
        return recorded_field(evaluation, name)
    except FieldError as error:
        known = [*KINDS, *error.fields]
        raise ConfigError(f"by='{by}': {error}; {did_you_mean(name, known)}") from None


def _max_probability(prediction: Prediction) -> float | None:
    found = _distribution(prediction)
    return None if found is None else float(found[-1])


def _margin(prediction: Prediction) -> float | None:
    found = _distribution(prediction)
    return None if found is None else float(found[-1] - found[-2])


def _mean_log_probability(prediction: Prediction) -> float | None:
    """Return it where the log-likelihood of one text is known, and over how many tokens."""
    likely, tokens = prediction.loglikelihoods, prediction.tokens
    if likely is None or len(likely) != 1 or not tokens:
        return None
    return likely[0] / tokens


def _distribution(prediction: Prediction) -> NDArray[np.float64] | None:
    """Return the probabilities of all outputs, rising: for choices, of their likelihoods alone."""
    if prediction.probabilities is not None:
        found = np.asarray(prediction.probabilities, np.float64)
    elif prediction.loglikelihoods is not None:
        found = softmax(prediction.loglikelihoods)
    else:
        return None
    return np.sort(found) if len(found) > 1 else None


_OF_CHOICES = "'probabilities', or 'loglikelihoods' of its choices"
_OF_A_TEXT = "one of 'loglikelihoods', for the whole text, and its 'tokens'"

KINDS: Mapping[str, tuple[Callable[[Prediction], float | None], str]] = {
    "max_probability": (_max_probability, _OF_CHOICES),
    "margin": (_margin, _OF_CHOICES),
    "mean_log_probability": (_mean_log_probability, _OF_A_TEXT),
}
"""What `by` may be beside a recorded field, and what a prediction must have for it."""
