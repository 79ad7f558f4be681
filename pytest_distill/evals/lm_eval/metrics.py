"""The numbers that a task of lm-evaluation-harness gives: what our statistics judge."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pytest_distill.errors import ConfigError
from pytest_distill.evals.lm_eval.declared import DeclaredTask, HarnessMetric
from pytest_distill.evals.lm_eval.overall import OverAll
from pytest_distill.evals.lm_eval.translations import TRANSLATIONS
from pytest_distill.evals.lm_eval.values import number_of, value_of
from pytest_distill.evals.metrics.base import Answer, MeanMetric, Metric
from pytest_distill.evals.metrics.labels import Matthews, label_counts
from pytest_distill.evals.metrics.perplexities import Likelihood

_RIGHT_OR_WRONG = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info", "exact_match")
_SHARES = (*_RIGHT_OR_WRONG, "f1", "em")
_UNBOUNDED = (-math.inf, math.inf)


@dataclass(frozen=True)
class Refused(Metric):
    """A number of a task that is not judged here, and why."""

    name: str
    reason: str

    def _refuse(self, *_: Any, **__: Any) -> Any:
        raise ConfigError(self.reason)

    require = scores = statistics = aggregate = _refuse


def metric_of(task: DeclaredTask, declared: HarnessMetric) -> Metric:
    """Return a number of a task as a metric: one that is `Refused` where it cannot be judged."""
    if declared.refused:
        return Refused(declared.name, f"task '{task.name}': {declared.refused}")
    if declared.aggregation in ("mean", "nanmean"):
        return _mean(task, declared)
    name, key, higher = declared.name, declared.key, declared.higher_is_better
    if make := _AGGREGATIONS.get(declared.aggregation):
        return make(name=name, key=key, higher_is_better=higher)
    return OverAll(name, key, partial(task.aggregation, declared.own), higher)


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


def _brier(name: str, key: str, higher_is_better: bool) -> Metric:
    """Return the Brier score, which is the mean of the documents' own."""

    def score(answer: Answer[Any]) -> float:
        right, probabilities = value_of(answer, key)
        expected = np.eye(len(probabilities))[right]
        return min(float(np.sum((np.asarray(probabilities) - expected) ** 2)), 2.0)

    return MeanMetric(name, score, higher_is_better, (0.0, 2.0))


def _likelihood(name: str, key: str, higher_is_better: bool, **said: Any) -> Metric:
    """Return a negative log-likelihood over all documents by their units, or exp of it."""
    return Likelihood(name, partial(_counted, key=key), higher_is_better, **said)


def _counted(answer: Answer, key: str) -> tuple[float, float]:
    """Return the negative log-likelihood of a document, and its units where the value has some."""
    value = value_of(answer, key)
    total, units = value if isinstance(value, tuple | list) and len(value) == 2 else (value, 1)
    total, units = (number_of(answer, key, value=each) for each in (total, units))
    if units <= 0:
        raise answer.example.answer_error(
            f"'{key}' is per word or byte, and the text has {units:g} of them"
        )
    return -total, units


def labels_of(answer: Answer[Any], key: str) -> tuple[Any, Any]:
    """Return the expected and the predicted label of a document.

    Raises
    ------
    EvaluationError
        Naming the document, where its value is something else.
    """
    value = value_of(answer, key)
    if isinstance(value, list | tuple | np.ndarray) and len(value) == 2:
        gold, predicted = (x.item() if isinstance(x, np.generic) else x for x in value)
        if all(isinstance(label, str | int | float) for label in (gold, predicted)):
            return gold, predicted
    raise answer.example.answer_error(
        f"'{key}' is of an expected and a predicted label, and the task gave {value!r:.60}"
    )


@dataclass(frozen=True)
class TaskF1(Metric):
    """F1 of label 1, as scikit-learn's ``f1_score``; columns: right, predicted and gold ones."""

    name: str
    key: str
    higher_is_better: bool = True
    same_columns: ClassVar[bool] = True

    def scores(self, answers: Sequence[Answer]) -> NDArray[np.float64]:
        """Return 1.0 for each right label, else 0.0, shape (n,)."""
        return np.array([float(gold == said) for gold, said in self._pairs(answers)])

    def statistics(self, answers: Sequence[Answer]) -> NDArray[Any]:
        """Return whether the labels are 1, shape (n, 3)."""
        pairs = np.array(self._pairs(answers), np.float64).reshape(-1, 2)
        return np.column_stack([pairs.prod(axis=1), pairs[:, 1], pairs[:, 0]])

    def aggregate(self, totals: NDArray[Any]) -> NDArray[np.float64]:
        """Return the score, shape (..., 3) -> (...); 0 where no label is 1."""
        right, predicted, gold = np.moveaxis(np.asarray(totals, np.float64), -1, 0)
        ones = predicted + gold
        shares = np.divide(2 * right, ones, out=np.zeros_like(right), where=ones > 0)
        return np.asarray(shares)

    def extremes(
        self,
        rows: NDArray[Any],  # noqa: ARG002 (any document can be of either label)
        longest: int | None,  # noqa: ARG002
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return a document of each label with the wrong one, and with the right one."""
        return np.array([[0.0, 0, 1], [0, 1, 0]]), np.array([[1.0, 1, 1], [0, 0, 0]])

    def _pairs(self, answers: Sequence[Answer]) -> list[tuple[Any, Any]]:
        pairs = [labels_of(answer, self.key) for answer in answers]
        for answer, pair in zip(answers, pairs, strict=True):
            if not set(pair) <= {0, 1}:
                raise answer.example.answer_error(
                    f"'{self.key}' is the F1 of label 1 of 0 and 1, and the labels are {pair!r:.60}"
                )
        return pairs


@dataclass(frozen=True)
class TaskMatthews(Matthews):
    """Matthews correlation of the labels, as scikit-learn's ``matthews_corrcoef``."""

    range: tuple[float, float] = (-1.0, 1.0)
    key: str = ""
    higher_is_better: bool = True
    by_label: ClassVar[bool] = False

    def scores(self, answers: Sequence[Answer]) -> NDArray[np.float64]:
        """Return 1.0 for each right label, else 0.0, shape (n,)."""
        pairs = (labels_of(answer, self.key) for answer in answers)
        return np.array([float(gold == said) for gold, said in pairs])

    def statistics(self, answers: Sequence[Answer]) -> NDArray[Any]:
        """Return right, predicted and gold as indicators of each label, shape (n, 3 * labels)."""
        return label_counts([labels_of(answer, self.key) for answer in answers])


_AGGREGATIONS: Mapping[str, Callable[..., Metric]] = {
    "brier_score": _brier,
    "f1": TaskF1,
    "matthews_corrcoef": TaskMatthews,
    "perplexity": _likelihood,
    "weighted_perplexity": _likelihood,
    "bits_per_byte": partial(_likelihood, range=(0.0, math.inf), per_unit="mean", nats=math.log(2)),
    **TRANSLATIONS,
}
"""Name of the aggregation -> what makes its metric of name, key and direction."""
