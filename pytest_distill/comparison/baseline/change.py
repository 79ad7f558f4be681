"""The paired difference of a model's scores now and in an accepted run, on the same examples."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from pytest_distill.comparison.baseline.packing import Floats
from pytest_distill.comparison.baseline.scored import Rows
from pytest_distill.comparison.evidence import scoring_of
from pytest_distill.errors import ComparisonError
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.metrics import Metric
from pytest_distill.evaluation.evaluation import ReportedEval
from pytest_distill.evaluation.metric_values import exact_corpus_score, exact_mean
from pytest_distill.statistics.difference import ProportionDifference, proportion_difference
from pytest_distill.statistics.jackknife import Clusters
from pytest_distill.statistics.results import TWO_SIDED
from pytest_distill.statistics.scoring import Scoring
from pytest_distill.statistics.t_retention import TRetention


@dataclass(frozen=True, eq=False, slots=True)
class Change:
    """By how much a model does better now, on the examples that both runs have.

    Parameters
    ----------
    before, now : Fraction
        The scores on these examples, exact.
    gain : Fraction
        `now` less `before`, with its sign turned where lower is better: below 0 is worse.
    n : int
        Number of examples.
    wins, losses : int, optional
        Examples that are better, and worse, now; None where the metric scores none by itself.
    evidence : ProportionDifference or TRetention
        What the examples say of the gain on others like them.
    """

    before: Fraction
    now: Fraction
    gain: Fraction
    n: int
    wins: int | None
    losses: int | None
    evidence: ProportionDifference | TRetention


def change(
    metric: Metric,
    on: Eval | ReportedEval,
    before: Rows,
    now: Rows,
    clusters: Clusters | None,
) -> Change:
    """Return the paired difference of two runs of the same examples, in the same order.

    Raises
    ------
    ComparisonError
        Where there is no example, or the two cannot be taken together.
    EvaluationError
        What a metric of the user's raises.
    """
    then, these = before.beside(now)
    if not len(these):
        raise ComparisonError(f"{metric.name} on '{on.name}': no example is in both runs")
    if then.shape != these.shape:
        raise ComparisonError(
            f"{metric.name} on '{on.name}': the baseline has statistics of another shape, "
            f"{then.shape[1:]} and not {these.shape[1:]}: the metric has changed; save a new one"
        )
    scoring = scoring_of(metric, on, [these, then], clusters)
    try:
        told = _evidence(scoring, then, these)
    except ValueError as error:
        raise ComparisonError(f"{metric.name} on '{on.name}': {error}") from None
    score_before, score_now = (exact_score(metric, on.name, rows) for rows in (then, these))
    wins, losses = None, None
    if these.ndim == 1:
        differences = scoring.sign * (these - then)
        wins, losses = int((differences > 0).sum()), int((differences < 0).sum())
    gain = scoring.sign * (score_now - score_before)
    return Change(score_before, score_now, gain, len(these), wins, losses, told)


def bounds_of(found: Change, *, higher_is_better: bool) -> tuple[float | None, float | None]:
    """Return the 95 % interval of `now` less `before`; None for a bound that does not exist."""
    told = found.evidence
    if isinstance(told, ProportionDifference):
        ends = told.report_bounds()
    else:
        ends = told.bounds((1 + TWO_SIDED) / 2)
    low, high = ends if higher_is_better else (-ends[1], -ends[0])
    return (low if math.isfinite(low) else None), (high if math.isfinite(high) else None)


def _evidence(scoring: Scoring, then: Floats, these: Floats) -> ProportionDifference | TRetention:
    if scoring.exact(these, then):
        higher = scoring.higher_is_better
        return proportion_difference(these, then, higher_is_better=higher)
    return scoring.gain_test(these, then)


def exact_score(metric: Metric, on: str, rows: Floats) -> Fraction:
    """Return the score of some rows of a metric on an eval, exact; an error where there is none."""
    if rows.ndim == 1:
        return exact_mean(rows)
    totals = rows.sum(axis=0)
    value = float(np.asarray(metric.aggregate(totals)))
    if not math.isfinite(value):
        raise ComparisonError(f"{metric.name} on '{on}' is {value:g} on the examples of both runs")
    return exact_corpus_score(metric, totals, value)
