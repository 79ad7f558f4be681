"""F1 and Matthews correlation of the labels that a task of lm-evaluation-harness gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pytest_distill.evals.lm_eval.values import value_of
from pytest_distill.evals.metrics.base import Answer, Metric
from pytest_distill.evals.metrics.labels import Matthews, label_counts


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
