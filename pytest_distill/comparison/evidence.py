"""The statistical evidence behind a number: the rows of models side by side, and their tests."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.side_by_side import Selection
from pytest_distill.errors import ComparisonError
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.metrics import MeanMetric, Metric
from pytest_distill.evaluation.evaluation import ReportedEval
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.statistics.jackknife import Clusters
from pytest_distill.statistics.levels import Inverse, Level
from pytest_distill.statistics.multiple import LeastRetention
from pytest_distill.statistics.rates import Rate
from pytest_distill.statistics.results import Retention
from pytest_distill.statistics.scoring import Scoring, zero_or_one
from pytest_distill.statistics.suite import Combined, SuiteRetention, suite_retention
from pytest_distill.statistics.t_retention import TRetention, ratio_test

Floats = NDArray[np.float64]


def retention_evidence(
    comparison: Comparison, metric: Metric, selection: Selection = None, model: str = "student"
) -> Retention | None:
    """Return the evidence on a model's retention; None where only scores are known.

    Raises
    ------
    ComparisonError
        Where no ratio exists, or the teacher is not significantly above zero.
    """
    with _refusing(comparison, metric):
        aligned = align(comparison, (model, "teacher"), metric, selection)
        return None if aligned is None else aligned.scoring.retention(*aligned.rows)


@contextmanager
def _refusing(comparison: Comparison, metric: Metric) -> Iterator[None]:
    """Let what the examples cannot tell be the error of the gate that asks: no ratio, no number."""
    try:
        yield
    except ValueError as error:
        raise ComparisonError(f"{metric.name} on '{comparison.eval}': {error}") from None


class Aligned(NamedTuple):
    """What a metric gives for the same examples of several models, and how that is scored.

    Parameters
    ----------
    scoring : Scoring
        Has the clusters of the examples.
    rows : tuple of ndarray
        Of each model: its scores of the examples, shape (n,), where the metric is their mean; else
        their sufficient statistics, shape (n, k).
    evaluations : tuple of MeasuredEvaluation
        Of the models.
    """

    scoring: Scoring
    rows: tuple[Floats, ...]
    evaluations: tuple[MeasuredEvaluation, ...]


def scoring_of(
    metric: Metric, on: Eval | ReportedEval, rows: Sequence[Floats], clusters: Clusters | None
) -> Scoring:
    """Return what is known of a metric, and of one more example beside the rows of some models.

    Where each example was asked several times its row is the sum over the samples. A metric knows
    what one answer can be at worst, so it is shown the mean answer; all samples of one more example
    may be as bad.
    """
    scoring = Scoring(metric.range, metric.higher_is_better, clusters=clusters)
    if isinstance(metric, MeanMetric):
        return scoring
    longest = on.task.longest if isinstance(on, Eval) else None
    extremes = None
    if metric.knows_extremes:
        repeats = on.task.repeats if isinstance(on, Eval) else 1
        extremes = metric.extremes(np.concatenate(rows) / repeats, longest)
        if extremes is not None:
            extremes = (extremes[0] * repeats, extremes[1] * repeats)
    return replace(scoring, aggregate=metric.aggregate, extremes=extremes, per_unit=metric.per_unit)


def align(
    comparison: Comparison,
    models: Sequence[str],
    metric: Metric,
    selection: Selection = None,
    *,
    same_columns: bool = False,
) -> Aligned | None:
    """Return what a metric gives for some models; None where one of them has only scores.

    Parameters
    ----------
    same_columns : bool
        Ask for statistics with the same columns, also where no extremes are known.
    """
    evaluations = [comparison.evaluation(model) for model in models]
    measured = [each for each in evaluations if isinstance(each, MeasuredEvaluation)]
    if len(measured) < len(evaluations):
        return None
    if isinstance(metric, MeanMetric):
        rows = [each.scores(metric) for each in measured]
    elif same_columns or metric.knows_extremes:
        rows = measured[0].statistics_beside(metric, *measured[1:])
    else:
        rows = [each.statistics(metric) for each in measured]
    chosen = comparison.positions(selection)
    rows, on = [each[chosen] for each in rows], comparison.on
    scoring = scoring_of(metric, on, rows, clusters_of(comparison, chosen))
    return Aligned(scoring, tuple(rows), tuple(measured))


def score_evidence(
    comparison: Comparison, model: str, metric: Metric, selection: Selection = None
) -> Rate | Level | None:
    """Return the evidence on one model's score; None where only scores are known.

    Raises
    ------
    ComparisonError
        Where the metric is no number without one of the examples.
    """
    with _refusing(comparison, metric):
        aligned = align(comparison, [model], metric, selection)
        return None if aligned is None else aligned.scoring.level(*aligned.rows)


def length_evidence(
    comparison: Comparison,
    student: Sequence[Fraction],
    teacher: Sequence[Fraction],
    selection: Selection = None,
) -> Inverse:
    """Return the evidence on student's tokens / teacher's tokens, by their numbers an example.

    None is longer than the task allows, so that one that was not seen has at most so many; where
    some are, as in a file of other settings, nothing bounds them.
    """
    longest = comparison.on.task.longest if isinstance(comparison.on, Eval) else None
    bounded = longest is not None and max(*student, *teacher) <= longest
    most = float(longest) if longest is not None and bounded else math.inf
    clusters = clusters_of(comparison, comparison.positions(selection))
    scoring = Scoring((0.0, most), higher_is_better=False, clusters=clusters)
    mine, theirs = (np.array([float(x) for x in tokens]) for tokens in (student, teacher))
    return Inverse(scoring.t_retention(mine, theirs))


def lost_rate(comparison: Comparison, lost: Collection[str], selection: Selection = None) -> Rate:
    """Return the evidence on the share of examples that are lost, by their ids."""
    chosen = comparison.positions(selection)
    examples = comparison.on.gold.examples if isinstance(comparison.on, Eval) else ()
    ids = set(lost)
    hits = np.array([float(examples[place].id in ids) for place in chosen])
    return Rate.of_examples(hits, False, clusters_of(comparison, chosen))


def suite_evidence(
    comparisons: Sequence[Comparison], aggregate: Combined | Literal["minimum"]
) -> SuiteRetention | LeastRetention | None:
    """Return the evidence on an aggregate of retention over evals; None for reported scores.

    Of one eval all aggregates are its own retention.

    Raises
    ------
    ComparisonError
        Where no ratio exists, or a teacher is not significantly above zero.
    """
    if not all(comparison.measured() for comparison in comparisons):
        return None
    if aggregate == "minimum" or len(comparisons) == 1:
        least = [retention_evidence(each, each.metric()) for each in comparisons]
        return LeastRetention(tuple(ratio for ratio in least if ratio is not None))
    ratios = [_t_evidence(each, own_ratio=aggregate != "ratio_of_averages") for each in comparisons]
    return suite_retention([r for r in ratios if r is not None], aggregate)


def _t_evidence(comparison: Comparison, *, own_ratio: bool) -> TRetention | None:
    """Return the t test of an eval's retention, of 0/1 scores too: a sum needs means.

    Without its `own_ratio` student's beside teacher's score, whether their ratio says something or
    not.
    """
    metric = comparison.metric()
    with _refusing(comparison, metric):
        aligned = align(comparison, ("student", "teacher"), metric)
        if aligned is None:
            return None
        scoring = aligned.scoring
        if own_ratio:
            return scoring.t_retention(*aligned.rows)
        student, teacher = map(scoring.values, aligned.rows)
        return ratio_test(student, teacher, -math.inf, "t")


def above_chance(
    comparison: Comparison, metric: Metric, selection: Selection = None
) -> Fraction | None:
    """Return the retention of what is above guessing, where the eval says what guessing gets.

    On a task with 4 choices, 0.30 of a teacher's 0.40 is 1/3 of the skill, not 3/4. None also where
    the teacher is not above chance. It is arithmetic alone: no interval comes with it.
    """
    guessing = comparison.on.chance if isinstance(comparison.on, Eval) else None
    if guessing is None or metric is not comparison.on.metrics[0]:
        return None
    student, teacher = (
        comparison.exact_score(role, metric, selection) for role in ("student", "teacher")
    )
    return (student - guessing) / (teacher - guessing) if teacher > guessing else None


def clusters_of(comparison: Comparison, chosen: NDArray[np.intp]) -> list[str] | None:
    """Return the cluster of each chosen example; None where the examples are independent."""
    clusters = comparison.on.clusters if isinstance(comparison.on, Eval) else None
    return None if clusters is None else [clusters[i] for i in chosen]


def right_or_wrong(evaluation: MeasuredEvaluation, metric: Metric) -> Floats:
    """Return the scores of a metric that calls each answer right (1) or wrong (0).

    Raises
    ------
    ComparisonError
        Where it does not.
    """
    scores = evaluation.scores(metric)
    if metric.higher_is_better and zero_or_one(scores):
        return scores
    repeats = evaluation.eval.task.repeats
    if repeats > 1:
        raise ComparisonError(
            f"{metric.name} on '{evaluation.eval.name}': an example of {repeats:,} samples has a "
            "share of 1 as its score, so that it is neither right nor wrong; ask an eval without "
            "repeats"
        )
    raise ComparisonError(
        f"{metric.name} on '{evaluation.eval.name}': its scores are not 0 or 1, so that no answer "
        "is right or wrong by it; name a metric such as accuracy or exact_match"
    )
