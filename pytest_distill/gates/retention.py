"""How much of the teacher's quality the student kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from pytest_distill._util.numbers import retained_floor
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.evidence import above_chance, retention_evidence
from pytest_distill.evals.metrics import Metric
from pytest_distill.gates import explain
from pytest_distill.gates.deciding import Decision, decide
from pytest_distill.gates.gate import MetricGate
from pytest_distill.gates.verdict import Outcome, Verdict, as_float


@dataclass(frozen=True)
class QualityRetained(MetricGate):
    """The student kept at least `min` of the teacher's quality.

    Student score / teacher score, or teacher / student where lower is better, is compared exactly.

    Parameters
    ----------
    min : float
        The floor, above 0 and at most 2: 0.95 asks for 95 % of the teacher's quality.
    """

    name: ClassVar[str] = "quality_retained"
    retention_floor: ClassVar[bool] = True

    min: float

    def judge(self, comparison: Comparison) -> Verdict:
        """Compare the exact ratio with the floor, or its bounds where a confidence is asked for."""
        floor = retained_floor(self.min, "min")
        confidence = comparison.confidence_level(self.confidence, default=None)
        metric = comparison.metric(self.metric)
        retained = comparison.exact_retained(metric, slice=self.slice)
        ratio = retention_evidence(comparison, metric, self.slice)
        decision = decide(ratio, retained, ">=", floor, confidence, comparison)
        decision = self._with_flips(comparison, metric, decision)
        notes = (
            *explain.notes(comparison, metric, ("teacher", "student")),
            *explain.ratio_note(metric),
            *decision.evidence.notes,
            *(
                explain.power_notes(comparison, metric, ratio, floor, confidence, self.slice)
                if decision.outcome is not Outcome.FAILED  # there they explain nothing
                else ()
            ),
        )
        return self.verdict(
            comparison,
            decision,
            decision.headline(self.min, "quality retained", metric.name),
            metric=metric.name,
            n=comparison.n(self.slice),
            about=explain.models(comparison, metric, self.slice, ("teacher", "student")),
            notes=notes,
            below=explain.slices(comparison, metric) if self.slice is None else (),
        )

    def _with_flips(self, comparison: Comparison, metric: Metric, decision: Decision) -> Decision:
        """Return the decision with flips and what was retained above chance in its evidence."""
        skill = above_chance(comparison, metric, self.slice)
        evidence = replace(
            decision.evidence, above_chance=None if skill is None else as_float(skill, ">=")
        )
        if evidence.interval is not None:
            flips = comparison.flips_by(metric, self.slice)
            evidence = replace(evidence, lost=len(flips.lost), won=len(flips.won))
        return replace(decision, evidence=evidence)
