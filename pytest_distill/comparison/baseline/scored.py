"""What a metric gives for the examples of an evaluation: as an accepted run keeps it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pytest_distill.comparison.baseline.file import AcceptedEval, AcceptedScores
from pytest_distill.comparison.baseline.packing import Floats, pack, pack_digests
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.metrics import MeanMetric, Metric, ScoredElsewhere
from pytest_distill.evals.request_keys import canonical_sha256
from pytest_distill.evaluation.measured import MeasuredEvaluation


@dataclass(frozen=True, eq=False, slots=True)
class Rows:
    """What a metric gives for the examples of one model.

    Parameters
    ----------
    values : ndarray
        Scores, shape (n,), where the metric is their mean; else statistics, shape (n, k).
    labels : sequence of str, optional
        Of a metric that counts labels, a digest of each label that it has columns for.
    """

    values: Floats
    labels: Sequence[str] | None = None

    def beside(self, other: Rows) -> tuple[Floats, Floats]:
        """Return the values of both with the same columns, where labels are known to tell them."""
        if self.labels is None or other.labels is None:
            return self.values, other.values
        every = sorted({*self.labels, *other.labels})
        return self._over(every), other._over(every)

    def _over(self, labels: Sequence[str]) -> Floats:
        own = self.labels or ()
        counts = self.values.reshape(len(self.values), -1, len(own))
        wide = np.zeros((*counts.shape[:2], len(labels)))
        wide[..., [labels.index(label) for label in own]] = counts
        return wide.reshape(len(self.values), -1)


def rows_by(metric: Metric, *evaluations: MeasuredEvaluation) -> list[Rows]:
    """Return what a metric gives for models, with the same columns; an error where it is nothing.

    Where it counts labels, of two calls the columns may be of other labels.
    """
    if isinstance(metric, MeanMetric):
        return [Rows(evaluation.scores(metric)) for evaluation in evaluations]
    first, *others = evaluations
    found = first.statistics_beside(metric, *others)
    labels = None
    if metric.by_label:
        answers = (answer for evaluation in evaluations for answer in evaluation.answers)
        named = {label for answer in answers for label in (answer.targets[0], answer.predicted)}
        labels = [canonical_sha256(label).hexdigest()[:16] for label in sorted(named)]
    return [Rows(values, labels) for values in found]


def metric_of(name: str, scores: AcceptedScores) -> Metric | None:
    """Return the metric of kept scores; None for one of the user's that is no mean of scores."""
    if scores.columns is None:
        low, high = scores.range
        range = (-math.inf if low is None else low, math.inf if high is None else high)
        return ScoredElsewhere(name, higher_is_better=scores.higher_is_better, range=range)
    metric = BUILT_IN.get(name)
    return None if isinstance(metric, MeanMetric) else metric


def accepted_eval(
    on: Eval, evaluations: Mapping[str, MeasuredEvaluation], metrics: Sequence[Metric]
) -> AcceptedEval:
    """Return what is kept of an eval.

    Parameters
    ----------
    on : Eval
        The eval.
    evaluations : mapping
        Model -> its evaluation.
    metrics : sequence of Metric
        The headline metric first.
    """
    asked, expected = on.example_digests
    clusters = None
    if on.clusters is not None:
        numbers: dict[str, int] = {}
        codes = [numbers.setdefault(name, len(numbers)) for name in on.clusters]
        clusters = pack(np.array(codes, np.intp))
    return AcceptedEval(
        gold=on.digest,
        settings=on.settings_digest,
        asked=pack_digests(asked),
        expected=pack_digests(expected),
        clusters=clusters,
        metrics={m.name: _accepted_scores(m, evaluations) for m in metrics if m.kept},
    )


def _accepted_scores(
    metric: Metric, evaluations: Mapping[str, MeasuredEvaluation]
) -> AcceptedScores:
    rows = rows_by(metric, *evaluations.values())
    low, high = (end if math.isfinite(end) else None for end in metric.range)
    labels, shape = rows[0].labels, rows[0].values.shape
    return AcceptedScores(
        higher_is_better=metric.higher_is_better,
        range=(low, high),
        columns=None if len(shape) == 1 else shape[1],
        labels=None if labels is None else list(labels),
        rows={name: pack(each.values) for name, each in zip(evaluations, rows, strict=True)},
    )
