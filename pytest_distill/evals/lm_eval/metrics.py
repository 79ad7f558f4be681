"""The numbers that a task of lm-evaluation-harness gives: what our statistics judge."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pytest_distill.errors import ConfigError
from pytest_distill.evals.lm_eval.declared import DeclaredTask, HarnessMetric
from pytest_distill.evals.lm_eval.labels import TaskF1, TaskMatthews
from pytest_distill.evals.lm_eval.overall import OverAll
from pytest_distill.evals.lm_eval.translations import TRANSLATIONS
from pytest_distill.evals.lm_eval.values import number_of, value_of
from pytest_distill.evals.metrics.base import Answer, MeanMetric, Metric
from pytest_distill.evals.metrics.perplexities import PerUnit

_RIGHT_OR_WRONG = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match")
_SHARES = (*_RIGHT_OR_WRONG, "f1", "em")
_UNBOUNDED = (-math.inf, math.inf)


@dataclass(frozen=True)
class Refused(Metric):
    """A number of a task that is not judged here, and why."""

    name: str
    reason: str

    def require(self) -> None:
        """Raise ConfigError with the reason."""
        raise ConfigError(self.reason)

    def scores(self, answers: Sequence[Answer[Any]]) -> NDArray[np.float64]:  # noqa: ARG002
        """Raise ConfigError with the reason."""
        raise ConfigError(self.reason)

    def statistics(self, answers: Sequence[Answer[Any]]) -> NDArray[Any]:  # noqa: ARG002
        """Raise ConfigError with the reason."""
        raise ConfigError(self.reason)

    def aggregate(self, totals: NDArray[Any]) -> NDArray[np.float64]:  # noqa: ARG002
        """Raise ConfigError with the reason."""
        raise ConfigError(self.reason)


def metric_of(task: DeclaredTask, declared: HarnessMetric) -> Metric:
    """Return a number of a task as a metric: one that is `Refused` where it cannot be judged."""
    if declared.refused:
        return Refused(declared.name, f"task '{task.name}': {declared.refused}")
    make = _AGGREGATIONS.get(declared.aggregation, _over_all)
    return make(task, declared)


def judged(metrics: Iterable[Metric]) -> tuple[Metric, ...]:
    """Return those that are not `Refused`; ConfigError with a reason where all are."""
    every = tuple(metrics)
    found = tuple(metric for metric in every if not isinstance(metric, Refused))
    for metric in () if found else every:
        metric.require()
    return found


def _mean(task: DeclaredTask, declared: HarnessMetric) -> Metric:
    """Return the mean of the documents' values.

    What a document's value is where the task's own code makes it is not known: ``acc`` may be a
    share of the probability there.
    """
    ends = (0.0, 1.0) if declared.own in _SHARES else _UNBOUNDED
    return MeanMetric(
        declared.name,
        partial(number_of, key=declared.key, ends=ends),
        declared.higher_is_better,
        ends,
        binary=declared.own in _RIGHT_OR_WRONG and not task.scores_itself,
    )


def _brier(_: DeclaredTask, declared: HarnessMetric) -> Metric:
    """Return the Brier score, which is the mean of the documents' own."""

    def score(answer: Answer[Any]) -> float:
        right, probabilities = value_of(answer, declared.key)
        expected = np.eye(len(probabilities))[right]
        return min(float(np.sum((np.asarray(probabilities) - expected) ** 2)), 2.0)

    return MeanMetric(declared.name, score, declared.higher_is_better, (0.0, 2.0))


def _over_all(task: DeclaredTask, declared: HarnessMetric) -> Metric:
    """Return what lm-evaluation-harness's own function, or the task's, makes of all values."""
    return OverAll(
        declared.name,
        declared.key,
        partial(task.aggregation, declared.own),
        declared.higher_is_better,
    )


def _f1(_: DeclaredTask, declared: HarnessMetric) -> Metric:
    return TaskF1(declared.name, declared.key, declared.higher_is_better)


def _matthews(_: DeclaredTask, declared: HarnessMetric) -> Metric:
    key, higher = declared.key, declared.higher_is_better
    return TaskMatthews(declared.name, key=key, higher_is_better=higher)


@dataclass(frozen=True)
class TaskLikelihood(PerUnit):
    """A negative log-likelihood over all documents by the units that they have, or exp of it.

    Columns: its total, units. The value of a document is its log-likelihood, or that and its units.
    """

    name: str
    key: str
    higher_is_better: bool = False
    range: tuple[float, float] = (1.0, math.inf)
    per_unit: Literal["mean", "exp"] = "exp"
    nats: float = 1.0

    def statistics(self, answers: Sequence[Answer]) -> NDArray[Any]:
        """Return the negative log-likelihood and the number of units, shape (n, 2)."""
        return np.array([self._row(answer) for answer in answers], np.float64).reshape(-1, 2)

    def _row(self, answer: Answer) -> tuple[float, float]:
        value = value_of(answer, self.key)
        total, units = value if isinstance(value, tuple | list) and len(value) == 2 else (value, 1)
        total, units = (number_of(answer, self.key, value=each) for each in (total, units))
        if units <= 0:
            raise answer.example.answer_error(
                f"'{self.key}' is per word or byte, and the text has {units:g} of them"
            )
        return -total / self.nats, units


def _perplexity(_: DeclaredTask, declared: HarnessMetric) -> Metric:
    return TaskLikelihood(declared.name, declared.key, declared.higher_is_better)


def _bits(_: DeclaredTask, declared: HarnessMetric) -> Metric:
    bits, ends = math.log(2), (0.0, math.inf)
    return TaskLikelihood(
        declared.name, declared.key, declared.higher_is_better, ends, "mean", bits
    )


def _translation(_: DeclaredTask, declared: HarnessMetric) -> Metric:
    make = TRANSLATIONS[declared.aggregation]
    return make(declared.name, declared.key, declared.higher_is_better)


_AGGREGATIONS: dict[str, Callable[[DeclaredTask, HarnessMetric], Metric]] = {
    "mean": _mean,
    "nanmean": _mean,
    "brier_score": _brier,
    "f1": _f1,
    "matthews_corrcoef": _matthews,
    "perplexity": _perplexity,
    "weighted_perplexity": _perplexity,
    "bits_per_byte": _bits,
    **dict.fromkeys(TRANSLATIONS, _translation),
}
