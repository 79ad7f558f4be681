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
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.evidence import clusters_of, right_or_wrong
from pytest_distill.comparison.flips import example_row
from pytest_distill.errors import ComparisonError
from pytest_distill.evals.metrics import Metric
from pytest_distill.evaluation.likeness import refuse_untold_answers
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.gates import explain
from pytest_distill.gates.deciding import Decision, decide, headline
from pytest_distill.gates.gate import Row
from pytest_distill.gates.subjects import MetricGate
from pytest_distill.gates.verdict import Outcome, Verdict
from pytest_distill.statistics.rates import Rate
from pytest_distill.statistics.superiority import mcnemar_p

Same = NDArray[np.bool_]


@dataclass(frozen=True)
class InheritedErrors(MetricGate):
    """The student seldom repeats the teacher's wrong answers: at most `max` of them.

    Looked at are the examples that the teacher gets wrong, and on how many of them the student
    gives the same wrong answer. The SFT student's rate on the same examples stands beside it, with
    the test of the difference. Where the teacher gets nothing wrong the verdict is INCONCLUSIVE.
    `metric` says that an answer is wrong; its scores must be 0 or 1.

    Parameters
    ----------
    max : float
        Share of the teacher's errors, in [0, 1).
    """

    name: ClassVar[str] = "inherited_errors"
    asks: ClassVar[str] = "Does {model} repeat {what} of the teacher's wrong answers?"

    max: float

    @property
    def roles(self) -> tuple[str, ...]:
        """The SFT student."""
        return ("sft",)

    def lost(self, comparison: Comparison) -> list[Row]:
        """Return the examples on which the student repeats the teacher's wrong answer."""
        wrong, same, student = self._repeated(comparison, comparison.metric(self.metric))
        examples = student.eval.gold.examples
        return [
            {**example_row(examples[place]), "answer": student.answers[place].predicted}
            for place in wrong[same]
        ]

    def judge(self, comparison: Comparison) -> Verdict:
        """Count the repeated errors; INCONCLUSIVE where the teacher makes none."""
        most = bounded(self.max, "max", least=0, below=1, what="a share of the errors")
        confidence = comparison.confidence_level(self.confidence, default=None)
        metric = comparison.metric(self.metric)
        wrong, same, student = self._repeated(comparison, metric)
        notes = _two_labels(student)
        what = f"of the errors of the teacher repeated{comparison.budget}"
        if len(wrong):
            rate = Rate.of_examples(same.astype(np.float64), False, clusters_of(comparison, wrong))
            observed = Fraction(int(same.sum()), len(wrong))
            decision = decide(rate, observed, "<=", most, confidence, comparison)
            evidence = decision.evidence
            notes += evidence.notes
            if evidence.needed is not None:  # of all examples, with the teacher's errors as here
                needed = math.ceil(evidence.needed * (comparison.n(self.slice) or 0) / len(wrong))
                decision = replace(decision, evidence=replace(evidence, needed=needed))
            first = decision.headline(self.max, what, metric.name)
        else:
            decision = Decision(math.nan, "<=", most, Outcome.INCONCLUSIVE, confidence)
            first = headline("0 of 0", "<=", self.max, what, metric.name)
            first += ": the teacher makes none to inherit"
        beside, details = self._beside_sft(comparison, wrong, same)
        repeated = int(same.sum())
        return self.verdict(
            comparison,
            decision,
            first,
            metric=metric.name,
            n=comparison.n(self.slice),
            about=explain.models(comparison, metric, self.slice, ("teacher", "student")),
            basis=[
                f"the teacher is wrong on {len(wrong):,}, and the student repeats {repeated:,}",
                *beside,
                *explain.basis(decision.evidence),
            ],
            facts=[f"repeats {repeated:,} of {len(wrong):,}"],
            notes=notes,
            details={"teacher_wrong": len(wrong), "repeated": repeated, **details},
        )

    def _repeated(
        self, comparison: Comparison, metric: Metric
    ) -> tuple[NDArray[np.intp], Same, MeasuredEvaluation]:
        """Return where the teacher is wrong, and where the student says the same there."""
        teacher, student = comparison.measured_pair("teacher", "student")
        if student.samples:
            raise ComparisonError(
                f"eval '{comparison.eval}' has repeats: which wrong answers are the teacher's can "
                "be told of one answer to each example alone; ask an eval without repeats"
            )
        refuse_untold_answers(teacher.eval)
        scores = right_or_wrong(teacher, metric)
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
        if not comparison.has("sft"):
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
