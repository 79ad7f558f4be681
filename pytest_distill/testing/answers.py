"""Answers of an engine: taken as a run takes them, looked at, and held against each other."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from itertools import islice
from typing import Any

from pytest_distill.engines import Engine, plain
from pytest_distill.errors import DistillError, EvaluationError, some_of
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evals.tasks.decoding import GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest
from pytest_distill.evals.tasks.predictions import check_loglikelihoods, check_outputs
from pytest_distill.evaluation.plain_predictions import plain_prediction
from pytest_distill.testing.results import NotKeptError, calling

NUMBERS = ("loglikelihoods", "probabilities")
"""Fields of which two answers may differ within a tolerance."""
_ANSWER = tuple(
    f.name for f in fields(Prediction) if f.name not in ("id", "fingerprint", "answered_as")
)
"""Fields that are the answer: the others say who gave it."""
_MORE = 10
"""By how many more answers than requests are taken before the engine is stopped."""

Answers = dict[str, Prediction]


def named(requests: Sequence[Request]) -> str:
    """Return what was asked, for a message."""
    if not requests:
        return "no requests"
    return f"{requests[0].task} of {quoted(request.id for request in requests)}"


def quoted(ids: Iterable[str]) -> str:
    """Return some ids, each once."""
    return some_of([f"'{id}'" for id in dict.fromkeys(ids)])


def taken(engine: Engine, requests: Sequence[Request]) -> list[Any]:
    """Return whatever an engine yields; what it raises is raised, and it is stopped some time."""
    most = len(requests) + _MORE
    came = list(islice(engine.predict(list(requests)), most))
    if len(came) == most:
        raise NotKeptError(named(requests), f"{most} answers, and more to come")
    return came


def answered(engine: Engine, requests: Sequence[Request]) -> Answers:
    """Return by id the sound answers of an engine; NotKeptError where one is not, or lacks."""
    asked = named(requests)
    with calling(asked):
        came = taken(engine, requests)
    predictions = sound(came, requests)
    once_each(predictions, requests)
    return {prediction.id: prediction for prediction in predictions}


def sound(came: Sequence[Any], requests: Sequence[Request]) -> list[Prediction]:
    """Return answers of built-in types; NotKeptError where one is none, or lacks what is needed."""
    asked = named(requests)
    of = {request.id: request for request in requests}
    found = []
    for each in came:
        if not isinstance(each, Prediction):
            raise NotKeptError(asked, f"{plain.shown(each)}, which is no Prediction")
        try:
            prediction = plain_prediction(each, "a prediction")
            if prediction.id in of:
                _check(of[prediction.id], prediction)
        except EvaluationError as error:
            raise NotKeptError(asked, str(error)) from None
        found.append(prediction)
    return found


def once_each(predictions: Sequence[Prediction], requests: Sequence[Request]) -> None:
    """Raise NotKeptError unless every request has one answer, and nothing else has."""
    wanted = [request.id for request in requests]
    came = [prediction.id for prediction in predictions]
    problems = {
        "no answer to": [id for id in wanted if id not in came],
        "two answers to": [id for id in wanted if came.count(id) > 1],
        "an answer that nobody asked for, to": [id for id in came if id not in wanted],
    }
    told = [f"{what} {quoted(ids)}" for what, ids in problems.items() if ids]
    if told:
        raise NotKeptError(named(requests), "; ".join(told))


def _check(request: Request, found: Prediction) -> None:
    """Raise EvaluationError where a prediction lacks what its task needs."""
    example = Example(request.id, {}, "a prediction")
    if isinstance(request, ChoiceRequest):
        if found.loglikelihoods is None:
            _need(example, "loglikelihoods, or prediction", found.prediction)
        elif len(found.loglikelihoods) != len(request.continuations):
            raise example.answer_error(
                f"{len(found.loglikelihoods)} log-likelihoods for {len(request.continuations)} "
                "choices"
            )
        check_loglikelihoods(example, found.loglikelihoods or ())
    elif isinstance(request, PerplexityRequest):
        _need(example, "loglikelihoods", found.loglikelihoods)
        values = found.loglikelihoods or ()
        if len(values) != 1:
            raise example.answer_error(f"{len(values)} log-likelihoods for one text")
        check_loglikelihoods(example, values)
        if found.tokens == 0:
            raise example.answer_error("'tokens' must be at least 1, not 0")
    elif isinstance(request, ClassificationRequest):
        _need(example, "probabilities, or prediction", found.probabilities, found.prediction)
        if found.probabilities is not None:
            outputs = len(found.probabilities if found.labels is None else found.labels)
            check_outputs(example, found.probabilities, outputs)
    elif isinstance(request, GenerationRequest):
        said = (found.text, found.prediction, found.tool_calls)
        _need(example, "text, or prediction", *said)
        check_loglikelihoods(example, found.loglikelihoods or ())


def _need(example: Example, wanted: str, *values: Any) -> None:
    if all(value is None for value in values):
        raise example.answer_error(f"has no answer; the task needs {wanted}")


def difference(one: Prediction, other: Prediction, tolerance: float) -> str | None:
    """Return in which field two answers differ; None where they are the same but for the id."""
    for name in _ANSWER:
        a, b = getattr(one, name), getattr(other, name)
        if name in NUMBERS and a is not None and b is not None:
            if not close(a, b, tolerance):
                return f"{name} {shown(a)}, before {shown(b)}"
        elif a != b:
            return f"{name} {plain.shown(a)}, before {plain.shown(b)}"
    return None


def close(a: Sequence[float], b: Sequence[float], tolerance: float) -> bool:
    """Return whether numbers are the same within a tolerance, relative where they are above 1."""
    return len(a) == len(b) and all(
        math.isclose(x, y, rel_tol=tolerance, abs_tol=tolerance) for x, y in zip(a, b, strict=True)
    )


def shown(values: Sequence[float]) -> str:
    """Return numbers for a message."""
    return f"({some_of([f'{value:.6g}' for value in values])})"


def refuse_other(
    asked: str, now: Mapping[str, Prediction], before: Mapping[str, Prediction], tolerance: float
) -> None:
    """Raise NotKeptError where an answer is not what it was before."""
    for id, prediction in now.items():
        differs = difference(prediction, before[id], tolerance)
        if differs is not None:
            raise NotKeptError(asked, f"for '{id}': {differs}")


def refusal(engine: Engine, requests: Sequence[Request]) -> DistillError | None:
    """Return how an engine refuses; None where it answers. What else it raises is raised."""
    try:
        answered(engine, requests)
    except NotKeptError as error:
        if isinstance(error.__cause__, DistillError):
            return error.__cause__
        raise
    return None
