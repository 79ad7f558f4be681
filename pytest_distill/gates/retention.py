"""How much of the teacher's quality the student kept."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from pytest_distill._util.numbers import Ratio, retained_floor
from pytest_distill.comparison.comparison import Comparison, Confidence, Slice
from pytest_distill.comparison.evidence import above_chance, retention_evidence
from pytest_distill.comparison.flips import lost_rows
from pytest_distill.evals.metrics import Metric
from pytest_distill.gates import explain
from pytest_distill.gates.deciding import decide, deciding_number
from pytest_distill.gates.verdict import Evidence, Outcome, Verdict, as_float


@dataclass(frozen=True)
class QualityRetained:
    """student score / teacher score >= `min`.

    Parameters
    ----------
    min : float
        The floor, above 0 and at most 2: 0.95 asks for 95 % of the teacher's quality.
    metric : str or Metric, optional
        The eval's headline metric by default.
    slice : str or mapping, optional
        Look only at these examples, e.g. ``lang=de``.
    confidence : float, optional
        How sure the verdict must be, e.g. 0.95. None lets the observed ratio decide.
    """

    name: ClassVar[str] = "quality_retained"

    min: float
    metric: str | Metric | None = None
    slice: Slice | None = None
    confidence: Confidence = "default"

    def lost(self, comparison: Comparison) -> list[dict[str, object]]:
        """Return the examples that the student lost to the teacher."""
        return lost_rows(comparison, comparison.metric(self.metric), "teacher", self.slice)

    def judge(self, comparison: Comparison) -> Verdict:
        """Compare the exact ratio with the floor, or its bounds where a confidence is asked for."""
        floor = retained_floor(self.min, "min")
        confidence = comparison.confidence_level(self.confidence, default=None)
        metric = comparison.metric(self.metric)
        retained = comparison.exact_retained(metric, slice=self.slice)
        ratio = retention_evidence(comparison, metric, self.slice)
        outcome, evidence = decide(
            ratio, floor, confidence, holds=retained >= floor, comparison=comparison
        )
        evidence = self._beside(comparison, metric, evidence)
        teacher, student = (comparison.model(role).name for role in ("teacher", "student"))
        notes = (
            *explain.notes(comparison, metric, ("teacher", "student")),
            *explain.ratio_note(metric),
            *(evidence.interval.notes if evidence.interval else ()),
            *(
                explain.power_notes(comparison, metric, ratio, floor, confidence, self.slice)
                if outcome is not Outcome.FAILED  # there they explain nothing
                else ()
            ),
        )
        lines = [
            self._headline(retained, outcome, evidence, confidence, metric),
            *explain.models(comparison, metric, self.slice, (teacher, student)),
            *explain.basis_lines(evidence),
            *explain.note_lines(notes),
            *(explain.slices(comparison, metric) if self.slice is None else []),
        ]
        return Verdict(
            gate=self.name,
            eval=comparison.eval,
            metric=metric.name,
            model=student,
            observed=as_float(retained, ">="),
            required=float(self.min),
            relation=">=",
            outcome=outcome,
            confidence=confidence,
            n=comparison.n(self.slice),
            slice=explain.slice_name(self.slice),
            notes=notes,
            message="\n".join(lines),
            evidence=evidence,
            basis="; ".join(explain.basis(evidence)),
        )

    def _beside(self, comparison: Comparison, metric: Metric, evidence: Evidence) -> Evidence:
        """Return the evidence with flips and what was retained above chance."""
        skill = above_chance(comparison, metric, self.slice)
        evidence = replace(evidence, above_chance=None if skill is None else as_float(skill, ">="))
        if evidence.interval is None:
            return evidence
        flips = comparison.flips_by(metric, self.slice)
        return replace(evidence, lost=len(flips.lost), won=len(flips.won))

    def _headline(
        self,
        retained: Ratio,
        outcome: Outcome,
        evidence: Evidence,
        confidence: float | None,
        metric: Metric,
    ) -> str:
        number, bound = deciding_number(retained, ">=", outcome, evidence, confidence)
        told = f", {bound}" if bound else ""
        return f"assert {number} >= {self.min} quality retained ({metric.name}{told})"
