"""Which values of lm-evaluation-harness's samples are scores, and whether they make its totals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from pytest_distill.errors import EvaluationError, few
from pytest_distill.evaluation.sources.formats.format import ForeignMetric
from pytest_distill.evaluation.sources.formats.lm_eval.results import (
    AGGREGATIONS,
    CLOSE,
    MEANS,
    HarnessResults,
)
from pytest_distill.evaluation.sources.formats.lm_eval.samples import Sample
from pytest_distill.evaluation.sources.formats.totals import Scored, refuse_other_total


class Valued(Protocol):
    """A document with the values of its metrics."""

    first: Sample
    scores: dict[str, Any]


def scored(source: str, documents: Sequence[Valued], results: HarnessResults) -> Scored:
    """Return the metrics whose values are scores of a document.

    Raises
    ------
    EvaluationError
        Where a value is not of the kind that the others are, or the number that was printed of all
        documents is not that of the values.
    """
    metrics, odd = [], []
    for name in dict.fromkeys(name for document in documents for name in document.scores):
        values = _values(name, documents)
        is_mean = _checked(source, name, values, results)
        if is_mean and all(isinstance(value, int | float) for value in values):
            metrics.append(_metric(name, values, results))
        else:
            odd.append(name)
    notes = []
    if results.shown is None:
        notes.append(
            f"{source}: no file of results beside it (results_DATE.json, of the same date), so "
            "that its totals could not be checked"
        )
    else:
        bare = [metric.name for metric in metrics if results.total(metric.name) is None]
        if bare:
            notes.append(
                f"{source}: {results.shown} has no number of {few(bare)} for {results.task}, so "
                "that its totals could not be checked"
            )
    return Scored(tuple(metrics), tuple(odd), tuple(notes))


def _values(name: str, documents: Sequence[Valued]) -> list[Any]:
    """Return the values of a metric: all of them numbers, or none."""
    holders = [document for document in documents if name in document.scores]
    values = [document.scores[name] for document in holders]
    numbers = [isinstance(value, int | float) for value in values]
    if any(numbers) and not all(numbers):
        place = numbers.index(False)
        raise EvaluationError(
            f"{holders[place].first.place}: {name} is {values[place]!r:.60}, and a number for "
            "other documents"
        )
    return values


def _checked(source: str, name: str, values: Sequence[Any], results: HarnessResults) -> bool:
    """Return whether a metric is the mean of its values; EvaluationError where a total differs."""
    aggregation = results.aggregation(name.partition(",")[0])
    total = results.total(name)
    found = _aggregated(AGGREGATIONS.get(aggregation or "mean"), values)
    if total is None or found is None:
        return aggregation in (None, *MEANS)
    if aggregation is None:  # nothing says that it is the mean: where it is not, it is no score
        return math.isclose(found, total, rel_tol=CLOSE, abs_tol=CLOSE)
    printed = f"{results.shown}, {name} of {results.task} ({aggregation})"
    refuse_other_total(source, printed, total, found, "evaluate again")
    return aggregation in MEANS


def _aggregated(aggregate: Any, values: Sequence[Any]) -> float | None:
    """Return the number of all documents; None where it cannot be computed of these values."""
    if aggregate is None:
        return None
    try:
        return float(aggregate(values))
    except (TypeError, ValueError, IndexError, OverflowError, ZeroDivisionError):
        return None


def _metric(name: str, values: Sequence[float], results: HarnessResults) -> ForeignMetric:
    low, high = min(0.0, *values), max(1.0, *values)
    span: Mapping[bool, float] = {True: 0.0, False: -math.inf}
    return ForeignMetric(
        name,
        higher_is_better=results.higher_is_better(name.partition(",")[0]),
        range=(span[low >= 0], 1.0 if high <= 1 else math.inf),
    )
