"""Whether distilling beat plain fine-tuning at the same size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pytest_distill.engines import ModelInfo
from pytest_distill.errors import ComparisonError
from pytest_distill.evals.metrics import Metric
from pytest_distill.verdicts.comparison import Comparison, lost_rows
from pytest_distill.verdicts.gates import explain
from pytest_distill.verdicts.numbers import exact, floor_text
from pytest_distill.verdicts.verdict import Verdict, as_float


@dataclass(frozen=True)
class BeatsSft:
    """The distilled student's score is above the SFT student's by more than `min_gain`.

    Parameters
    ----------
    min_gain : float
        In units of the metric; equal scores do not beat.
    metric : str or Metric, optional
        The eval's headline metric by default.
    """

    name: ClassVar[str] = "beats_sft"

    min_gain: float = 0.0
    metric: str | Metric | None = None

    def lost(self, comparison: Comparison) -> list[dict[str, object]]:
        """Return the examples that the student lost to the SFT student."""
        return lost_rows(comparison, comparison.metric(self.metric), "sft")

    def judge(self, comparison: Comparison) -> Verdict:
        """Compare the exact scores, of students that have the same size."""
        least = exact(self.min_gain, "min_gain")
        metric = comparison.metric(self.metric)
        student, sft = comparison.model("student"), comparison.model("sft")
        size_note = refuse_other_size(student.info, sft.info, comparison.sft_size_tolerance)
        gain = comparison.exact_score("student", metric) - comparison.exact_score("sft", metric)
        gain = gain if metric.higher_is_better else -gain
        headline = (
            f"assert {floor_text(gain)} > {self.min_gain or 0} gained over SFT ({metric.name})"
        )
        return Verdict(
            gate=self.name,
            eval=comparison.eval,
            metric=metric.name,
            model=student.name,
            observed=as_float(gain, ">"),
            required=float(self.min_gain),
            relation=">",
            passed=gain > least,
            n=comparison.n(),
            slice=None,
            notes=(*size_note, *explain.notes(comparison, metric, ("student", "sft"))),
            message="\n".join(
                [
                    headline,
                    *explain.models(comparison, metric, None, (sft.name, student.name)),
                    *(f"  note: {note}" for note in size_note),
                ]
            ),
        )


def refuse_other_size(student: ModelInfo, sft: ModelInfo, tolerance: float) -> tuple[str, ...]:
    """Raise ComparisonError where the two differ in size; return a note where it is not known."""
    unknown = [info.name for info in (student, sft) if info.parameters is None]
    if student.parameters is None or sft.parameters is None:
        return (f"the size of {' and '.join(unknown)} is not known",)
    difference = abs(sft.parameters - student.parameters) / student.parameters
    if difference > tolerance:
        raise ComparisonError(
            f"'{sft.name}' has {sft.parameters:,} parameters and '{student.name}' "
            f"{student.parameters:,}: they differ by {difference:.1%}, more than "
            f"sft_size_tolerance: {tolerance:g} allows; take an SFT student of the same size"
        )
    return ()
