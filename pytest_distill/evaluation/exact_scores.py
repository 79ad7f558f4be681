"""Scores as exact fractions."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_distill.errors import EvaluationError
from pytest_distill.evals.metrics import Metric
from pytest_distill.statistics.exact import exact_sum, meant


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
