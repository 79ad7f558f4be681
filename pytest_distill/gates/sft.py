"""Whether the distilled student beats one of plain fine-tuning, of the same size."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from typing import ClassVar

from pytest_distill._util.format import ceil_text, floor_text, p_equals, p_text, plain_text
from pytest_distill._util.numbers import bounded
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.evidence import retention_evidence
from pytest_distill.comparison.sft_evidence import gap_recovered, needed_to_beat, paired_test
from pytest_distill.engines import ModelInfo
from pytest_distill.errors import ComparisonError
from pytest_distill.evals.metrics import Metric
from pytest_distill.evaluation.model import Model
from pytest_distill.gates import explain
from pytest_distill.gates.arguments import check_flag
from pytest_distill.gates.deciding import Decision, headline, no_examples
from pytest_distill.gates.subjects import MetricGate
from pytest_distill.gates.verdict import Evidence, Outcome, Verdict
from pytest_distill.statistics.results import shown


@dataclass(frozen=True)
class BeatsSft(MetricGate):
    """The student is better than one of its size from plain supervised fine-tuning (SFT).

    Parameters
    ----------
    min_gain : float
        By more than how much, in units of the metric, at least 0. Equal scores do not beat.
    confidence : float, optional
        How sure the verdict must be; by default as the marker or ``distill.yaml`` says, else 0.95.
        None: the observed scores decide.
    mid_p : bool
        For 0/1 scores, the mid-p value in place of the exact one: less conservative.
    """

    name: ClassVar[str] = "beats_sft"
    asks: ClassVar[str] = (
        "Is {model} better than a student of its size from plain supervised fine-tuning (SFT), "
        "by {what} in {metric}?"
    )
    lost_to: ClassVar[str] = "sft"

    _: KW_ONLY
    min_gain: float = 0.0
    mid_p: bool = False

    @property
    def roles(self) -> tuple[str, ...]:
        """The SFT student."""
        return ("sft",)

    def judge(self, comparison: Comparison) -> Verdict:
        """Compare the scores of two students of the same size, on the same examples."""
        metric = comparison.metric(self.metric)
        width = metric.range[1] - metric.range[0]
        what = f"a gain in {metric.name} over SFT"
        least = bounded(self.min_gain, "min_gain", least=0, below=width, what=what)
        check_flag(self.mid_p, "mid_p")
        confidence = comparison.confidence_level(self.confidence, default=0.95)
        student, sft = comparison.model("student"), comparison.model("sft")
        comparison.pair("student", "sft")
        size_note = refuse_other_size(student.info, sft.info, comparison.sft_size_tolerance)
        gain = self._gain(comparison, metric)
        level = confidence or 0.95
        evidence = self._evidence(comparison, metric, level, above=gain > least)
        outcome = self._outcome(gain > least, evidence, confidence, comparison)
        what = f"gained over SFT{comparison.budget}"
        first = headline(floor_text(gain), ">", self.min_gain or 0, what, metric.name)
        if confidence is not None and evidence.paired is not None and gain > least:
            alpha = 1 - confidence
            first = headline(
                f"p {p_text(evidence.paired.p_value, alpha)}",
                "<=",
                plain_text(alpha),
                f"that the student beats SFT by chance{comparison.budget}",
                metric.name,
                f"gain {floor_text(gain)}",
            )
        return self.verdict(
            comparison,
            Decision(gain, ">", least, outcome, confidence, evidence),
            first,
            metric=metric.name,
            n=comparison.n(self.slice),
            about=explain.models(comparison, metric, self.slice, ("sft", "student")),
            notes=(
                *size_note,
                *explain.notes(comparison, metric, ("student", "sft")),
                *evidence.notes,
                *undertrained_notes(student, sft),
                *self._teacher_notes(comparison, metric),
            ),
            details={
                "in_words": _in_words(gain, evidence, outcome, metric),
                "sft_retained": self._sft_retained(comparison, metric, level),
            },
        )

    def _sft_retained(
        self, comparison: Comparison, metric: Metric, confidence: float
    ) -> dict[str, float] | None:
        """Return down to what the SFT student is shown to retain the teacher's quality by itself.

        None where no ratio exists, or there is no teacher: then the report says nothing of it.
        """
        if not comparison.has("teacher"):
            return None
        try:
            ratio = retention_evidence(comparison, metric, self.slice, model="sft")
        except ComparisonError:
            return None
        if ratio is None:
            return None
        lower = ratio.interval(confidence).one_sided_lower
        return {"confidence": confidence, "lower": lower} if math.isfinite(lower) else None

    def _gain(self, comparison: Comparison, metric: Metric, model: str = "student") -> Fraction:
        """Return by how much a model is better than the SFT student."""
        ours, theirs = (comparison.exact_score(m, metric, self.slice) for m in (model, "sft"))
        return ours - theirs if metric.higher_is_better else theirs - ours

    def _evidence(
        self, comparison: Comparison, metric: Metric, confidence: float, *, above: bool
    ) -> Evidence:
        least = float(self.min_gain)
        test = paired_test(comparison, metric, least, mid_p=self.mid_p, selection=self.slice)
        if test is None:
            return Evidence()
        significant = shown(test.p_value, confidence)
        unclear = above and not significant
        return Evidence(
            firm=significant if above else None,
            needed=needed_to_beat(comparison, metric, least, confidence, self.slice)
            if unclear
            else None,
            paired=test,
            gap=gap_recovered(comparison, metric, self.slice),
        )

    def _outcome(
        self, above: bool, evidence: Evidence, confidence: float | None, comparison: Comparison
    ) -> Outcome:
        if confidence is None or not above:
            return Outcome.PASSED if above else Outcome.FAILED
        if evidence.paired is None:
            raise no_examples(comparison)
        return Outcome.PASSED if evidence.firm else Outcome.INCONCLUSIVE

    def _teacher_notes(self, comparison: Comparison, metric: Metric) -> tuple[str, ...]:
        if not comparison.has("teacher") or self._gain(comparison, metric, "teacher") > 0:
            return ()
        return ("the teacher is no better than SFT: the ratio says nothing",)


def _in_words(gain: Fraction, evidence: Evidence, outcome: Outcome, metric: Metric) -> str:
    """Return whether this student beats this SFT student, as one sentence without a full stop.

    Not whether distilling pays off: that is a claim about a recipe, and needs several runs of it.
    """
    in_points = tuple(metric.range) == (0, 1)
    value = floor_text(100 * gain, 1) if in_points else floor_text(gain)
    signed = (
        f"{'' if value.startswith('-') else '+'}{value} {'points' if in_points else metric.name}"
    )
    test = evidence.paired
    p = "" if test is None else f" (p {p_equals(test.p_value)})"
    if outcome is Outcome.FAILED:
        return f"this student does not beat this SFT student: {signed}"
    if test is None:
        return f"this student beats this SFT student: {signed}, by the reported scores alone"
    # Where the observed scores decide, the gate may pass on what chance alone would give.
    if not evidence.firm:
        return f"this student is not shown to beat this SFT student: {signed}{p}"
    return f"this student beats this SFT student: {signed}{p}"


def refuse_other_size(student: ModelInfo, sft: ModelInfo, tolerance: float) -> tuple[str, ...]:
    """Raise ComparisonError where the two differ in size; return a note where it is not known."""
    unknown = [info.name for info in (student, sft) if info.parameters is None]
    if student.parameters is None or sft.parameters is None:
        return (f"the size of {' and '.join(unknown)} is not known",)
    difference = abs(sft.parameters - student.parameters) / student.parameters
    if difference > tolerance:
        raise ComparisonError(
            f"'{sft.name}' has {sft.parameters:,} parameters and '{student.name}' "
            f"{student.parameters:,}: they differ by {ceil_text(100 * difference, 1)}%, more than "
            f"sft_size_tolerance: {tolerance:g} allows; take an SFT student of the same size"
        )
    return ()


def undertrained_notes(student: Model, sft: Model) -> tuple[str, ...]:
    """Return a note where the SFT student had less labelled data or fewer optimiser steps.

    An undertrained baseline is the usual way to fool oneself.
    """
    found = []
    for what, name in (("steps", "optimiser steps"), ("labels", "labels")):
        ours, theirs = student.trained.get(what), sft.trained.get(what)
        if isinstance(ours, int) and isinstance(theirs, int) and theirs < ours:
            found.append(f"{theirs:,} {name}, not {ours:,}")
    if not found:
        return ()
    return (f"undertrained baseline: {sft.name} had {' and '.join(found)} as {student.name}",)
