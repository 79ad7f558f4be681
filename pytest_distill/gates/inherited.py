"""How often the student repeats the teacher's wrong answers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pytest_distill._util.format import ceil_text, p_equals
from pytest_distill._util.numbers import bounded
from pytest_distill.comparison.comparison import Comparison, Confidence, Slice
from pytest_distill.comparison.evidence import clusters_of, zero_or_one
from pytest_distill.errors import ComparisonError
from pytest_distill.evals.metrics import Metric
from pytest_distill.evaluation.evaluation import MeasuredEvaluation
from pytest_distill.gates import explain
from pytest_distill.gates.deciding import decide, deciding_number
from pytest_distill.gates.verdict import Evidence, Outcome, Verdict, as_float
from pytest_distill.statistics import Rate, mcnemar_p

Same = NDArray[np.bool_]


@dataclass(frozen=True)
class InheritedErrors:
    """Of the examples that the teacher gets wrong, the student gives its answer in at most `max`.

    Parameters
    ----------
    max : float
        Share of those examples, in [0, 1).
    metric : str or Metric, optional
        What says that an answer is wrong: a score of 0 where all are 0 or 1. The eval's headline
        metric by default.
    slice : str or mapping, optional
        Look only at these examples.
    confidence : float, optional
        How sure the verdict must be. None lets the observed share decide.
    """

    name: ClassVar[str] = "inherited_errors"
    looks_at: ClassVar[tuple[str, ...]] = ("sft",)

    max: float
    metric: str | Metric | None = None
    slice: Slice | None = None
    confidence: Confidence = "default"

    def lost(self, comparison: Comparison) -> list[dict[str, object]]:
        """Return the examples on which the student repeats the teacher's wrong answer."""
        wrong, same, student = self._repeated(comparison, comparison.metric(self.metric))
        examples = student.eval.gold.examples
        return [
            {
                "id": examples[place].id,
                "fields": dict(examples[place].fields),
                "answer": student.answers[place].predicted,
            }
            for place in wrong[same]
        ]

    def judge(self, comparison: Comparison) -> Verdict:
        """Count the repeated errors; INCONCLUSIVE where the teacher makes none."""
        most = bounded(self.max, "max", least=0, below=1, what="a share of the errors")
        confidence = comparison.confidence_level(self.confidence, default=None)
        metric = comparison.metric(self.metric)
        wrong, same, student = self._repeated(comparison, metric)
        observed = Fraction(int(same.sum()), len(wrong)) if len(wrong) else None
        evidence, outcome = Evidence(), Outcome.INCONCLUSIVE
        notes = _two_labels(student)
        if observed is not None:
            rate = _rate(comparison, wrong, same)
            outcome, evidence = decide(
                rate, most, confidence, holds=observed <= most, comparison=comparison
            )
            notes += evidence.interval.notes if evidence.interval else ()
            needed = evidence.needed
            if needed is not None:  # of the teacher's errors; of all examples as they are here
                needed = math.ceil(needed * (comparison.n(self.slice) or 0) / len(wrong))
                evidence = replace(evidence, needed=needed)
        beside, details = self._beside_sft(comparison, wrong, same)
        counted = (
            f"the teacher is wrong on {len(wrong):,}, and the student repeats {int(same.sum()):,}"
        )
        basis = [counted, *beside, *explain.basis(evidence)]
        pair = [comparison.model(role).name for role in ("teacher", "student")]
        return Verdict(
            gate=self.name,
            eval=comparison.eval,
            metric=metric.name,
            model=pair[1],
            observed=math.nan if observed is None else as_float(observed, "<="),
            required=float(self.max),
            relation="<=",
            outcome=outcome,
            confidence=confidence,
            n=comparison.n(self.slice),
            slice=explain.slice_name(self.slice),
            notes=notes,
            message="\n".join(
                [
                    self._headline(observed, evidence, outcome, confidence, metric),
                    *explain.models(comparison, metric, self.slice, pair),
                    *(f"  {part}" for part in basis),
                    *explain.note_lines(notes),
                ]
            ),
            evidence=evidence,
            basis="; ".join(basis),
            details={"teacher_wrong": len(wrong), "repeated": int(same.sum()), **details},
        )

    def _repeated(
        self, comparison: Comparison, metric: Metric
    ) -> tuple[NDArray[np.intp], Same, MeasuredEvaluation]:
        """Return where the teacher is wrong, and where the student says the same there."""
        teacher, student = comparison.pair("teacher", "student")
        if not isinstance(teacher, MeasuredEvaluation) or not isinstance(
            student, MeasuredEvaluation
        ):
            raise ComparisonError(
                f"eval '{comparison.eval}' has reported scores: no answers are known"
            )
        scores = teacher.scores(metric)
        if not zero_or_one(scores) or not metric.higher_is_better:
            raise ComparisonError(
                f"{metric.name} on '{comparison.eval}': its scores are not 0 or 1, so that no "
                "answer is right or wrong by it; name a metric such as accuracy or exact_match"
            )
        for answer, score in zip(teacher.answers, scores, strict=True):
            if answer.correct is not None and answer.correct != bool(score):
                raise ComparisonError(
                    f"{metric.name} on '{comparison.eval}': it scores another answer than the one "
                    f"that is given (example '{answer.example.id}'); use accuracy"
                )
        chosen = comparison.positions(self.slice)
        wrong = chosen[scores[chosen] == 0]
        return wrong, _same(teacher, student, wrong), student

    def _beside_sft(
        self, comparison: Comparison, wrong: NDArray[np.intp], same: Same
    ) -> tuple[list[str], dict[str, Any]]:
        """Return the SFT student's rate on the same examples, and the test of the difference."""
        known = {"sft_rate": None, "student_only": None, "sft_only": None, "p_value": None}
        if "sft" not in {model.role for model in comparison.models.values()}:
            return [], known
        teacher, sft = comparison.evaluation("teacher"), comparison.evaluation("sft")
        if (
            not isinstance(teacher, MeasuredEvaluation)
            or not isinstance(sft, MeasuredEvaluation)
            or not len(wrong)
        ):
            return [], known
        theirs = _same(teacher, sft, wrong)
        more, fewer = int((same & ~theirs).sum()), int((theirs & ~same).sum())
        p = mcnemar_p(more, fewer)
        rate = Fraction(int(theirs.sum()), len(wrong))
        return [
            f"the SFT student repeats {ceil_text(rate)} of the same: {more:,} are repeated by the "
            f"student alone, {fewer:,} by the SFT student alone (exact McNemar, p "
            f"{p_equals(p)})"
        ], {"sft_rate": float(rate), "student_only": more, "sft_only": fewer, "p_value": p}

    def _headline(
        self,
        observed: Fraction | None,
        evidence: Evidence,
        outcome: Outcome,
        confidence: float | None,
        metric: Metric,
    ) -> str:
        what = f"of the errors of the teacher repeated ({metric.name}"
        if observed is None or evidence.interval is None:
            return f"assert 0 of 0 <= {self.max} {what}): the teacher makes none to inherit"
        number, rests_on = deciding_number(observed, "<=", outcome, evidence, confidence)
        said = f", {rests_on}" if rests_on else ""
        return f"assert {number} <= {self.max} {what}{said})"


def _rate(comparison: Comparison, wrong: NDArray[np.intp], same: Same) -> Rate:
    repeated = same.astype(np.float64)
    return Rate(
        repeated,
        repeated,
        np.ones(len(wrong)),
        higher_is_better=False,
        worst=1.0,
        clusters=clusters_of(comparison, wrong),
    )


def _same(one: MeasuredEvaluation, other: MeasuredEvaluation, places: NDArray[np.intp]) -> Same:
    """Return where two models give the same answer, but for whitespace around it."""
    pairs = ((one.answers[i].predicted, other.answers[i].predicted) for i in places)
    return np.array([_bare(a) == _bare(b) for a, b in pairs], dtype=np.bool_)


def _bare(answer: object) -> object:
    return answer.strip() if isinstance(answer, str) else answer


def _two_labels(student: MeasuredEvaluation) -> tuple[str, ...]:
    labels = {label for answer in student.answers for label in (answer.predicted, *answer.targets)}
    if student.eval.task.guess != "label" or len(labels) > 2:
        return ()
    return ("two labels: whatever both get wrong is the same error",)
