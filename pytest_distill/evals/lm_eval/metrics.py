"""The numbers that a task of lm-evaluation-harness gives: what our statistics judge."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from pytest_distill.errors import ConfigError
from pytest_distill.evals.lm_eval.declared import DeclaredMetric
from pytest_distill.evals.metrics.base import Answer, MeanMetric, Metric, ratio

_RIGHT_OR_WRONG = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match")
_SHARES = (*_RIGHT_OR_WRONG, "f1", "em")


def metric_of(declared: DeclaredMetric) -> Metric:
    """Return a task's number as a metric; ConfigError where its aggregation is not known."""
    make = _AGGREGATIONS.get(declared.aggregation)
    if make is None:
        raise ConfigError(f"task: {declared.name} is aggregated by {declared.aggregation}")
    return make(declared)


def _value(key: str) -> Callable[[Answer[Any]], Any]:
    return lambda answer: answer.values[key]


def _mean(declared: DeclaredMetric) -> Metric:
    own = declared.key.partition(",")[0]
    return MeanMetric(
        declared.name,
        _value(declared.key),
        declared.higher_is_better,
        (0.0, 1.0) if own in _SHARES else (-math.inf, math.inf),
        binary=own in _RIGHT_OR_WRONG,
    )


@dataclass(frozen=True)
class PerUnit(Metric):
    """A negative log-likelihood over all documents by the units that they have, or exp of it.

    Columns: its total, units. The value of a document is its log-likelihood, or that and its units.
    """

    name: str
    key: str
    higher_is_better: bool = False
    range: tuple[float, float] = (1.0, math.inf)
    per_unit: Literal["mean", "exp"] = "exp"
    nats: float = 1.0
    same_columns: ClassVar[bool] = True

    def scores(self, answers: Sequence[Answer]) -> NDArray[np.float64]:
        """Return each document's own value, shape (n,)."""
        return self.aggregate(self.statistics(answers))

    def statistics(self, answers: Sequence[Answer]) -> NDArray[Any]:
        """Return the negative log-likelihood and the number of units, shape (n, 2)."""
        values = (answer.values[self.key] for answer in answers)
        pairs = [value if isinstance(value, tuple) else (value, 1) for value in values]
        rows = [(-total / self.nats, units) for total, units in pairs]
        return np.array(rows, np.float64).reshape(-1, 2)

    def aggregate(self, totals: NDArray[Any]) -> NDArray[np.float64]:
        """Return the mean per unit or exp of it, shape (..., 2) -> (...)."""
        mean = ratio(totals[..., 0], totals[..., 1])
        if self.per_unit == "mean":
            return mean
        with np.errstate(over="ignore"):
            return np.asarray(np.exp(mean))


def _perplexity(declared: DeclaredMetric) -> Metric:
    return PerUnit(declared.name, declared.key, declared.higher_is_better)


def _bits(declared: DeclaredMetric) -> Metric:
    return PerUnit(
        declared.name,
        declared.key,
        declared.higher_is_better,
        (0.0, math.inf),
        "mean",
        math.log(2),
    )


_AGGREGATIONS: dict[str, Callable[[DeclaredMetric], Metric]] = {
    "mean": _mean,
    "perplexity": _perplexity,
    "weighted_perplexity": _perplexity,
    "bits_per_byte": _bits,
}
