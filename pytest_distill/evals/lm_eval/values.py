"""What a task's own code gave for one document."""

from __future__ import annotations

import math
from typing import Any

from pytest_distill.evals.metrics.base import Answer, as_number

_ROUNDING = 1e-9


def value_of(answer: Answer[Any], key: str) -> Any:
    """Return a document's value of a metric, by the key that lm-evaluation-harness prints.

    Raises
    ------
    EvaluationError
        Naming the document, where the task gave none: lm-evaluation-harness leaves it out of that
        number, which then is over other documents than the rest.
    """
    if key not in answer.values:
        given = ", ".join(answer.values) or "nothing"
        raise answer.example.answer_error(
            f"the task's own code gives no '{key}' for it, but {given}: a number over some of the "
            "documents is not judged; name others by 'metrics: [...]'"
        )
    return answer.values[key]


def number_of(
    answer: Answer[Any],
    key: str,
    *,
    ends: tuple[float, float] = (-math.inf, math.inf),
    **given: Any,
) -> float:
    """Return a document's value where it is a number; within `ends`, but for rounding.

    Parameters
    ----------
    answer : Answer
        The document's.
    key : str
        Which number.
    ends : tuple of float
        The least and the greatest one.
    value : object, optional
        What stands in the value's place: a part of it.

    Raises
    ------
    EvaluationError
        Naming the document, where it is none, or not a finite one.
    """
    value = given["value"] if "value" in given else value_of(answer, key)
    number = as_number(value, key, answer.example)
    if math.isnan(number):
        raise answer.example.answer_error(
            f"'{key}' is NaN: the task could not score it, and an unscored document is neither "
            "right nor left out"
        )
    if not math.isfinite(number):
        raise answer.example.answer_error(f"'{key}' is {number}, not a finite number")
    nearest = min(max(number, ends[0]), ends[1])
    return nearest if abs(number - nearest) <= _ROUNDING else number
