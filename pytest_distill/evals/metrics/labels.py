"""Metrics of a chosen label or choice."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pytest_distill.evals.metrics.base import Answer, MeanMetric, Metric, ratio

_MOST_BITS = 4096


def is_correct(answer: Answer) -> float:
    """Return 1.0 for the right label or choice, else 0.0."""
    if answer.correct is None:
        raise answer.example.answer_error(
            "only classification and multiple_choice have a right answer to count"
        )
    return float(answer.correct)


def is_correct_by_length(answer: Answer) -> float:
    """Return whether the right choice has the greatest log-likelihood per character, as 1.0 or 0.0.

    Characters, not bytes or tokens; the first of equal ones: ``acc_norm`` of lm-evaluation-harness
    0.4.13 (``lm_eval/api/task.py``, ``ConfigurableTask.process_results``).
    """
    loglikelihoods = answer.prediction.loglikelihoods
    if loglikelihoods is None or not answer.choices:
        raise answer.example.answer_error("accuracy_norm needs the log-likelihood of every choice")
    lengths = np.array([len(choice) for choice in answer.choices], np.float64)
    return float(np.argmax(np.asarray(loglikelihoods) / lengths) == answer.target_index)


@dataclass(frozen=True)
class _LabelCounts(Metric):
    """A metric of the confusion matrix's margins and diagonal.

    Columns: for each label that occurs, how often it was right, predicted, and in the gold set.
    """

    name: str
    range: tuple[float, float] = (0.0, 1.0)
    by_label: ClassVar[bool] = True

    def scores(self, answers: Sequence[Answer]) -> NDArray[np.float64]:
        """Return 1.0 for each right label, else 0.0, shape (n,)."""
        return np.fromiter(map(is_correct, answers), np.float64, count=len(answers))

    def statistics(self, answers: Sequence[Answer]) -> NDArray[Any]:
        """Return right, predicted and gold as indicators of each label, shape (n, 3 * labels)."""
        return label_counts([(answer.targets[0], answer.predicted) for answer in answers])

    def extremes(
        self,
        rows: NDArray[Any],
        longest: int | None,  # noqa: ARG002 (of texts)
    ) -> tuple[NDArray[Any], NDArray[Any]] | None:
        """Return an example of every gold label with every wrong one, and with the right one.

        Of more than 60 labels with just the two wrong ones that cost most beside the most common
        label: what it costs to predict a label depends little on the gold label. No row where all
        gold labels are the same: such a gold set says nothing of the others.
        """
        totals = np.asarray(rows, np.float64).sum(axis=0)
        k = len(totals) // 3
        labels = np.flatnonzero(totals[2 * k :]).tolist()
        if len(labels) < 2:
            return np.empty((0, 3 * k)), np.empty((0, 3 * k))
        wrong = labels
        if len(labels) > _MOST_LABELS:
            common = int(np.argmax(totals[2 * k :]))
            others = [label for label in labels if label != common]
            costs = self.aggregate(totals + _label_rows([(common, p) for p in others], k))
            wrong = [*(others[i] for i in np.argsort(costs, kind="stable")[:2]), common]
        pairs = [(g, p) for g in labels for p in wrong if p != g]
        return _label_rows(pairs, k), _label_rows([(g, g) for g, _ in pairs], k)


_MOST_LABELS = 60


def label_counts(pairs: Sequence[tuple[Any, Any]]) -> NDArray[np.float64]:
    """Return right, predicted and gold as indicators of each label, shape (n, 3 * labels).

    Parameters
    ----------
    pairs : sequence of tuple
        The expected and the predicted label of each example.
    """
    labels = {label for pair in pairs for label in pair}
    ordered = sorted(labels, key=lambda label: (str(type(label)), label))
    columns = {label: i for i, label in enumerate(ordered)}
    return _label_rows([(columns[gold], columns[said]) for gold, said in pairs], len(columns))


def _label_rows(pairs: Sequence[tuple[int, int]], labels: int) -> NDArray[np.float64]:
    """Return the statistics of examples from their gold and predicted labels."""
    gold, predicted = np.array(pairs, np.intp).reshape(-1, 2).T
    counts = np.zeros((len(pairs), 3, labels))
    rows = np.arange(len(pairs))
    counts[rows, 0, gold] = gold == predicted
    counts[rows, 1, predicted] = 1
    counts[rows, 2, gold] = 1
    return counts.reshape(len(pairs), -1)


def _right_predicted_gold(totals: NDArray[Any]) -> tuple[NDArray[np.float64], ...]:
    # Floats: the products of MCC pass 2**63 from some ten thousand examples on.
    counts = np.asarray(totals, np.float64).reshape(*totals.shape[:-1], 3, totals.shape[-1] // 3)
    return counts[..., 0, :], counts[..., 1, :], counts[..., 2, :]


class MacroF1(_LabelCounts):
    """Unweighted mean of the F1 of every label that occurs in the gold set or the predictions.

    A label that is only predicted, or never predicted, has F1 0, as in scikit-learn's
    ``f1_score(average="macro")``.
    """

    def aggregate(self, totals: NDArray[Any]) -> NDArray[np.float64]:
        """Return macro-F1, shape (..., 3 * labels) -> (...)."""
        right, predicted, gold = _right_predicted_gold(totals)
        occurrences = predicted + gold
        f1 = np.divide(2 * right, occurrences, out=np.zeros_like(right), where=occurrences > 0)
        return ratio(f1.sum(axis=-1), (occurrences > 0).sum(axis=-1))

    def exact(self, totals: NDArray[Any]) -> Fraction | None:
        """Return macro-F1 as a fraction, shape (3 * labels,).

        None for no example, or so many labels that their common denominator is a number of pages.
        """
        right, predicted, gold = _right_predicted_gold(totals)
        present = predicted + gold > 0
        # Labels that occur as often share a denominator: so these are few, however many labels.
        often, which = np.unique((predicted + gold)[present], return_inverse=True)
        common = math.lcm(*(int(n) for n in often))
        if not len(often) or common.bit_length() > _MOST_BITS:
            return None
        doubled = np.bincount(which, weights=2 * right[present])
        f1 = sum(int(d) * (common // int(n)) for d, n in zip(doubled, often, strict=True))
        return Fraction(f1, common * int(present.sum()))


class Matthews(_LabelCounts):
    """Matthews correlation coefficient, for two or more labels (the R_K statistic).

    0 where gold labels or predictions are all the same label, as in scikit-learn's
    ``matthews_corrcoef``.

    References
    ----------
    Gorodkin, J. (2004). Comparing two K-category assignments by a K-category correlation
    coefficient. Computational Biology and Chemistry 28:367-374, equation 8.
    """

    def aggregate(self, totals: NDArray[Any]) -> NDArray[np.float64]:
        """Return the coefficient, shape (..., 3 * labels) -> (...)."""
        right, predicted, gold = _right_predicted_gold(totals)
        n = gold.sum(axis=-1)
        covariance = right.sum(axis=-1) * n - (predicted * gold).sum(axis=-1)
        spread = (n**2 - (predicted**2).sum(axis=-1)) * (n**2 - (gold**2).sum(axis=-1))
        mcc = np.divide(
            covariance, np.sqrt(spread), out=np.zeros_like(covariance), where=spread > 0
        )
        # The root's last digit may carry a perfect 1 beyond the range.
        return np.asarray(np.where(n > 0, np.clip(mcc, -1.0, 1.0), np.nan))

    def exact(self, totals: NDArray[Any]) -> Fraction | None:
        """Return the coefficient as a fraction where its root is a whole number; else None."""
        right, predicted, gold = (
            [int(count) for count in counts] for counts in _right_predicted_gold(totals)
        )
        n = sum(gold)
        covariance = sum(right) * n - sum(map(operator.mul, predicted, gold))
        spread = (n**2 - sum(p**2 for p in predicted)) * (n**2 - sum(g**2 for g in gold))
        root = math.isqrt(spread)
        return Fraction(covariance, root) if root and root**2 == spread else None


ACCURACY = MeanMetric("accuracy", is_correct, binary=True)
ACCURACY_NORM = MeanMetric("accuracy_norm", is_correct_by_length, binary=True)
MACRO_F1 = MacroF1("macro_f1")
MATTHEWS = Matthews("matthews", range=(-1.0, 1.0))
