"""The statistical evidence on what distilling won over plain fine-tuning."""

from __future__ import annotations

from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.evidence import align
from pytest_distill.comparison.side_by_side import Selection
from pytest_distill.evals.metrics import Metric
from pytest_distill.statistics import gap
from pytest_distill.statistics.planning import examples_needed_to_beat
from pytest_distill.statistics.results import shown
from pytest_distill.statistics.superiority import N_RESAMPLES, PairedTest


def paired_test(
    comparison: Comparison,
    metric: Metric,
    min_gain: float,
    *,
    mid_p: bool = False,
    selection: Selection = None,
) -> PairedTest | None:
    """Test whether the student is better than the SFT student; None where only scores are known."""
    aligned = align(comparison, ("student", "sft"), metric, selection, same_columns=True)
    if aligned is None:
        return None
    gains = comparison.gains(metric, "sft")[comparison.positions(selection)]
    student, sft = aligned.rows
    return aligned.scoring.paired_test(student, sft, min_gain, mid_p=mid_p, example_gains=gains)


def gap_recovered(
    comparison: Comparison, metric: Metric, selection: Selection = None
) -> gap.GapRecovered | None:
    """Return which share of the gap between SFT student and teacher distilling closed.

    None where there is no teacher, or a model has only scores.
    """
    if not comparison.has("teacher"):
        return None
    aligned = align(comparison, ("student", "sft", "teacher"), metric, selection)
    if aligned is None:
        return None
    values, higher = map(aligned.scoring.values, aligned.rows), metric.higher_is_better
    return gap.gap_recovered(*values, higher_is_better=higher)


def needed_to_beat(
    comparison: Comparison,
    metric: Metric,
    min_gain: float,
    confidence: float,
    selection: Selection = None,
) -> int | None:
    """Return about how many examples would show the observed gain over the SFT student."""
    aligned = align(comparison, ("student", "sft"), metric, selection)
    if aligned is None:
        return None
    test = aligned.scoring.gain_test(*aligned.rows)
    flipped = examples_needed_to_beat(test.top.values, min_gain, confidence=confidence)
    if flipped is None or aligned.scoring.exact(*aligned.rows):
        return flipped
    if not shown(1 / (N_RESAMPLES + 1), confidence):
        return None  # p of the draws is never less
    on_average = test.needed(min_gain, confidence)
    return None if on_average is None else max(flipped, on_average)
