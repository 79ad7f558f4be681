"""How much of the teacher's quality the student kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from pytest_distill._util.numbers import retained_floor
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.evidence import above_chance, retention_evidence
from pytest_distill.comparison.side_by_side import Slice
from pytest_distill.evals.metrics import Metric
from pytest_distill.gates import explain
from pytest_distill.gates.deciding import Decision, decide
from pytest_distill.gates.subjects import AnswersGate, KeepsAShare, MetricGate
from pytest_distill.gates.verdict import Outcome, Verdict, as_float


@dataclass(frozen=True)
class QualityRetained(KeepsAShare, MetricGate):
    """The student kept at least `min` of the teacher's quality.

    Student score / teacher score, or teacher / student where lower is better, is compared exactly.

    Parameters
    ----------
    min : float
        The floor, above 0 and at most 2: 0.95 asks for 95 % of the teacher's quality.
    """

    name: ClassVar[str] = "quality_retained"
    asks: ClassVar[str] = "Did {model} keep {what} of the teacher's quality?"
    retention_floor: ClassVar[bool] = True

    min: float

    def judge(self, comparison: Comparison) -> Verdict:
        """Compare the exact ratio with the floor, or its bounds where a confidence is asked for."""
        metric = comparison.metric(self.metric)
        return judge_retained(self, comparison, metric, self.min, "quality retained", metric.name)


def judge_retained(
    gate: AnswersGate,
    comparison: Comparison,
    metric: Metric,
    least: float,
    what: str,
    *beside: str,
) -> Verdict:
    """Return the verdict on the share of the teacher's score that the student has.

    Parameters
    ----------
    gate : AnswersGate
        Says which examples are looked at, and how sure the verdict must be.
    comparison : Comparison
        What is judged.
    metric : Metric
        By what it is compared.
    least : float
        The floor, as the gate's `min` says it.
    what, *beside : str
        What the number is called, see `Decision.headline`.
    """
    floor = retained_floor(least, "min")
    confidence = comparison.confidence_level(gate.confidence, default=None)
    retained = comparison.exact_retained(metric, slice=gate.slice)
    ratio = retention_evidence(comparison, metric, gate.slice)
    decision = decide(ratio, retained, ">=", floor, confidence, comparison)
    decision = _with_flips(comparison, metric, gate.slice, decision)
    notes = (
        *explain.notes(comparison, metric, ("teacher", "student")),
        *explain.ratio_note(metric),
        *decision.evidence.notes,
        *(
            explain.power_notes(comparison, metric, ratio, floor, confidence, gate.slice)
            if decision.outcome is not Outcome.FAILED  # there they explain nothing
            else ()
        ),
    )
    return gate.verdict(
        comparison,
        decision,
        decision.headline(least, f"{what}{comparison.budget}", *beside),
        metric=metric.name,
        n=comparison.n(gate.slice),
        about=explain.models(comparison, metric, gate.slice, ("teacher", "student")),
        notes=notes,
        below=explain.slices(comparison, metric) if gate.slice is None else (),
    )


def _with_flips(
    comparison: Comparison, metric: Metric, slice: Slice | None, decision: Decision
) -> Decision:
    """Return the decision with flips and what was retained above chance in its evidence."""
    skill = above_chance(comparison, metric, slice)
    evidence = replace(
        decision.evidence, above_chance=None if skill is None else as_float(skill, ">=")
    )
    if evidence.interval is not None:
        flips = comparison.flips_by(metric, slice)
        evidence = replace(evidence, lost=len(flips.lost), won=len(flips.won))
    return replace(decision, evidence=evidence)
