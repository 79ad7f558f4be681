"""What a metric gave, before anyone rests on it: in range, and as exact fractions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_distill.errors import EvaluationError
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.metrics import Answer, Metric
from pytest_distill.evals.metrics.base import as_number
from pytest_distill.evals.metrics.samples import OfSamples
from pytest_distill.statistics.exact import exact_sum, meant, widened


@dataclass(frozen=True)
class MetricValues:
    """What metrics gave for a model's answers: numbers, as many as there must be, and in range.

    Parameters
    ----------
    eval : Eval
        What was asked.
    source : str
        Where the answers come from, for messages.
    """

    eval: Eval
    source: str

    @property
    def asked(self) -> int:
        """Number of texts: of each example one a repeat."""
        return len(self.eval.gold) * self.eval.task.repeats

    def numbers(self, given: Any, metric: Metric) -> NDArray[np.float64]:
        """Return what a metric gave, so that nothing can change it any more.

        A metric of the user's may give the same array for every model, with other numbers in it:
        what it gave is copied.

        Raises
        ------
        EvaluationError
            Where that is no number.
        """
        try:
            found = np.asarray(given)
        except ValueError:
            raise EvaluationError(
                f"{self.source}: metric '{metric.name}' gave rows of different lengths"
            ) from None
        if found.dtype.kind in "fiub":
            own = BUILT_IN.get(metric.name) is not metric
            if found.dtype.kind == "f" and found.dtype.itemsize < 8:
                return read_only(widened(found))
            return read_only(found.astype(np.float64, copy=own))
        examples = [example for example in self.eval.gold for _ in range(self.eval.task.repeats)]
        rows = zip(examples, given, strict=False)  # what is too short is refused by its shape
        for example, row in rows:
            cells = row if isinstance(row, np.ndarray | list | tuple) else [row]
            for cell in cells:
                as_number(cell, metric.name, example)
        return read_only(found.astype(np.float64))

    def exact_score(self, totals: NDArray[np.float64], metric: Metric) -> Fraction:
        """Return a metric of summed statistics; EvaluationError where it is not in range."""
        value = np.asarray(metric.aggregate(totals))
        if value.shape != () or value.dtype.kind not in "fiub":
            raise EvaluationError(
                f"{self.source}: metric '{metric.name}' gave {value!r:.60} as the score of all "
                "examples, not a number"
            )
        found, (low, high) = float(value), metric.range
        if _outside(value, low, high):
            raise EvaluationError(
                f"{self.source}: {metric.name} is {found}, not a number in [{low:g}, {high:g}]"
            )
        return exact_corpus_score(metric, totals, found)

    def statistics(self, answers: Sequence[Answer[Any]], metric: Metric) -> NDArray[np.float64]:
        """Return a metric's statistics of each example: over samples sums, so that counts stay."""
        rows, repeats = self.numbers(metric.statistics(answers), metric), self.eval.task.repeats
        if repeats == 1:
            return rows
        return read_only(rows.reshape(len(rows) // repeats, repeats, rows.shape[1]).sum(axis=1))

    def scores(self, answers: Sequence[Answer[Any]], metric: Metric) -> NDArray[np.float64]:
        """Return what a metric gives for all answers; an error says whose answers these are."""
        try:
            given = metric.scores(answers)
        except EvaluationError as error:
            raise EvaluationError(f"{self.source}: {error}") from error.__cause__
        return self.checked(given, metric)

    def checked(self, given: Any, metric: Metric) -> NDArray[np.float64]:
        """Return the score of every sample; EvaluationError where one is not in range."""
        scores = self.numbers(given, metric)
        low, high = metric.range
        if scores.shape != (self.asked,):
            raise EvaluationError(
                f"metric '{metric.name}' gives scores of shape {scores.shape}, not ({self.asked},)"
            )
        bad = _outside(scores, low, high)
        if bad.any():
            first = int(np.flatnonzero(bad)[0])
            units = "samples" if self.eval.task.repeats > 1 else "examples"
            raise EvaluationError(
                f"{self.source}: {metric.name} of {self._sample_named(first)} is {scores[first]}, "
                f"not a number in [{low:g}, {high:g}]"
                + (f" ({int(bad.sum())} {units} like it)" if bad.sum() > 1 else "")
            )
        return scores

    def right_or_wrong(self, scores: NDArray[np.float64], metric: OfSamples) -> NDArray[np.bool_]:
        """Return which samples are right by the scores of the metric that `metric` is of."""
        odd = ~np.isin(scores, (0.0, 1.0))
        if odd.any():
            place = int(np.flatnonzero(odd.ravel())[0])
            raise EvaluationError(
                f"{self.source}: {metric.name} counts which samples are right, and "
                f"{metric.of.name} of {self._sample_named(place)} is {scores.ravel()[place]:g}, "
                "not 0 or 1; name a metric that says right or wrong, such as exact_match"
            )
        return np.asarray(scores == 1, np.bool_)

    def _sample_named(self, place: int) -> str:
        """Return what messages call one of all samples."""
        at, number = divmod(place, self.eval.task.repeats)
        several = self.eval.task.repeats > 1
        id = self.eval.gold.examples[at].id
        return f"example '{id}'" + (f" (sample {number})" if several else "")


def read_only(numbers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the numbers, which nothing can change any more."""
    numbers.flags.writeable = False
    return numbers


def _outside(scores: NDArray[np.float64], low: float, high: float) -> NDArray[np.bool_]:
    """Return which scores are not finite, or out of a range by more than rounding."""
    slack = 1e-9 * np.maximum(1.0, np.abs(scores))
    return np.asarray(~np.isfinite(scores) | (scores < low - slack) | (scores > high + slack))


def means(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the float next to the mean of the exact numbers of each row."""
    if (rows == np.floor(rows)).all():
        return np.asarray(rows.sum(axis=1) / rows.shape[1])
    return np.array([float(exact_mean(row)) for row in rows])


def exact_mean(scores: NDArray[np.float64]) -> Fraction:
    """Return the mean of the numbers that the scores stand for, as an exact fraction."""
    if not len(scores):
        raise EvaluationError("no example to take a mean over")
    return exact_sum(scores) / len(scores)


def exact_corpus_score(metric: Metric, totals: NDArray[Any], value: float) -> Fraction:
    """Return a corpus metric of summed statistics, of which `value` is the float.

    Exactly where it is a fraction of counts; else, and for metrics of the user's, as what the
    float stands for.
    """
    exact = metric.exact(totals)
    return meant(value) if exact is None else exact
