"""The examples that a student lost, to read."""

from __future__ import annotations

from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.side_by_side import Selection
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.metrics import Metric
from pytest_distill.evals.metrics.samples import OfSamples
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.statistics.scoring import zero_or_one


def lost_rows(
    comparison: Comparison, metric: Metric, to: str, selection: Selection = None
) -> list[dict[str, object]]:
    """Return what can be read of every example that the student lost to another model.

    Parameters
    ----------
    to : str
        Name or role of the model that did better on these examples.

    Returns
    -------
    list of dict
        JSON-able rows: id, the example's fields, and score and answer of both models, where they
        have tools also their calls, with the arguments as the text that they were. Of several
        samples the first answer, how many there are, and how many are right where the metric says
        right or wrong.
    """
    better, student = comparison.evaluation(to), comparison.evaluation("student")
    if not isinstance(better, MeasuredEvaluation) or not isinstance(student, MeasuredEvaluation):
        return []
    lost = set(comparison.flips_by(metric, selection, to).lost)
    return [
        {
            **example_row(example),
            **{e.info.name: _said(e, metric, position) for e in (better, student)},
        }
        for position, example in enumerate(better.eval.gold)
        if example.id in lost
    ]


def example_row(example: Example) -> dict[str, object]:
    """Return what can be read of an example, JSON-able."""
    return {"id": example.id, "fields": dict(example.fields)}


def _said(evaluation: MeasuredEvaluation, metric: Metric, position: int) -> dict[str, object]:
    said: dict[str, object] = {"score": float(evaluation.scores(metric)[position])}
    if evaluation.predictions:
        answer = evaluation.answers[position]
        said["answer"] = answer.predicted
        if answer.calls is not None:
            said["calls"] = [
                {"name": call.name, "arguments": call.arguments} for call in answer.calls
            ]
        if answer.samples:
            said["samples"] = len(answer.samples)
            scores = evaluation.sample_scores(
                metric.of if isinstance(metric, OfSamples) else metric
            )
            if zero_or_one(scores[position]):
                said["right"] = int((scores[position] == metric.higher_is_better).sum())
    return said
