"""How much of the teacher's quality the student kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pytest_distill.evals.metrics import Metric
from pytest_distill.verdicts.comparison import Comparison, Slice, lost_rows
from pytest_distill.verdicts.gates import explain
from pytest_distill.verdicts.numbers import floor_text, positive
from pytest_distill.verdicts.verdict import Verdict, as_float


@dataclass(frozen=True)
class QualityRetained:
    """student score / teacher score >= `min`, on this gold set, unrounded.

    Parameters
    ----------
    min : float
        The floor, any number above 0: 0.95 asks for 95 % of the teacher's quality.
    metric : str or Metric, optional
        The eval's headline metric by default.
    slice : str or mapping, optional
        Look only at these examples, e.g. ``lang=de``.
    """

    name: ClassVar[str] = "quality_retained"

    min: float
    metric: str | Metric | None = None
    slice: Slice | None = None

    def lost(self, comparison: Comparison) -> list[dict[str, object]]:
        """Return the examples that the student lost to the teacher."""
        return lost_rows(comparison, comparison.metric(self.metric), "teacher", self.slice)

    def judge(self, comparison: Comparison) -> Verdict:
        """Compare the exact ratio with the floor."""
        floor = positive(self.min, "min")
        metric = comparison.metric(self.metric)
        retained = comparison.exact_retained(metric, slice=self.slice)
        passed = retained >= floor
        teacher, student = (comparison.model(role).name for role in ("teacher", "student"))
        headline = f"assert {floor_text(retained)} >= {self.min} quality retained ({metric.name})"
        return Verdict(
            gate=self.name,
            eval=comparison.eval,
            metric=metric.name,
            model=student,
            observed=as_float(retained, ">="),
            required=float(self.min),
            relation=">=",
            passed=passed,
            n=comparison.n(self.slice),
            slice=explain.slice_name(self.slice),
            notes=explain.notes(comparison, metric, ("teacher", "student")),
            message="\n".join(
                [
                    headline,
                    *explain.models(comparison, metric, self.slice, (teacher, student)),
                    *explain.flips(comparison, metric, self.slice),
                    *(explain.slices(comparison, metric) if self.slice is None else []),
                ]
            ),
        )
