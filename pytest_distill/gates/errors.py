"""How many of the teacher's errors the student makes, and how often it repeats them."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pytest_distill._util.format import ceil_text, p_equals
from pytest_distill._util.numbers import Ratio, bounded, positive
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.evidence import clusters_of, right_or_wrong
from pytest_distill.comparison.itself import Itself
from pytest_distill.comparison.shown import example_row
from pytest_distill.comparison.side_by_side import Selection
from pytest_distill.errors import ComparisonError
from pytest_distill.evals.metrics import Metric
from pytest_distill.evaluation.likeness import refuse_untold_answers
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.gates import explain
from pytest_distill.gates.deciding import Decision, decide, headline, unless_observed
from pytest_distill.gates.gate import Row
from pytest_distill.gates.subjects import MetricGate
from pytest_distill.gates.verdict import Outcome, Verdict
from pytest_distill.statistics.proportions import ProportionRetention
from pytest_distill.statistics.rates import Rate
from pytest_distill.statistics.results import FloorTest, NoRatioError, Retention, RetentionInterval
from pytest_distill.statistics.scoring import Scoring
from pytest_distill.statistics.superiority import mcnemar_p

Floats = NDArray[np.float64]
Same = NDArray[np.bool_]


@dataclass(frozen=True)
class Errors(MetricGate):
    """The student makes at most `max_ratio` times as many errors as the teacher.

    A student at .985 keeps 99 % of the quality of a teacher at .995, and makes three times its
    errors. An error is a score of 0; the metric's scores must be 0 or 1, with 1 for right. With a
    confidence the exact bound of the paired ratio decides. Beside a teacher without errors a
    student passes only where it has none either.

    Parameters
    ----------
    max_ratio : float
        The ceiling for the student's errors / the teacher's errors, above 0. Compared exactly.
    """

    name: ClassVar[str] = "errors"
    asks: ClassVar[str] = "Does {model} make {what} times as many errors as the teacher?"

    max_ratio: float

    def beyond_noise(self, itself: Itself) -> str | None:
        """Return a note where a model makes more errors than are allowed of its own."""
        most = positive(self.max_ratio, "max_ratio")
        few, many = sorted((1 - itself.first, 1 - itself.second))
        if few <= 0 or many <= few * max(most, Fraction(1)):
            return None
        return (
            f"max_ratio {float(most):g} lies below what {itself.model} makes of its own errors, "
            f"{ceil_text(many / few)} times as many on {itself.n:,} examples: by noise alone it "
            "would break that limit itself"
        )

    def judge(self, comparison: Comparison) -> Verdict:
        """Count the errors of both on the same examples."""
        most = positive(self.max_ratio, "max_ratio")
        confidence = comparison.confidence_level(self.confidence, default=None)
        metric = comparison.metric(self.metric)
        student, teacher = self._wrong(comparison, metric)
        counts = [int(wrong.sum()) for wrong in (student, teacher)]
        found, unknown = unless_observed(
            confidence, lambda: _evidence(comparison, student, teacher, self.slice)
        )
        decision = decide(found, _ratio(*counts), "<=", most, confidence, comparison)
        errors = f"errors: {counts[0]:,} of the student, {counts[1]:,} of the teacher"
        return self.verdict(
            comparison,
            decision,
            decision.headline(
                self.max_ratio, f"times the teacher's errors{comparison.budget}", metric.name
            ),
            metric=metric.name,
            n=comparison.n(self.slice),
            about=explain.models(comparison, metric, self.slice, ("teacher", "student")),
            basis=[errors, *explain.basis(decision.evidence)],
            facts=[errors],
            notes=(*unknown, *decision.evidence.notes),
            details={"student_errors": counts[0], "teacher_errors": counts[1]},
        )

    def _wrong(self, comparison: Comparison, metric: Metric) -> tuple[Floats, Floats]:
        """Return 1 for each chosen example that the student gets wrong, else 0; and the teacher."""
        chosen = comparison.positions(self.slice)
        student, teacher = (
            1.0 - right_or_wrong(evaluation, metric)[chosen]
            for evaluation in comparison.measured_pair("student", "teacher", "errors")
        )
        return student, teacher


def _ratio(student: int, teacher: int) -> Ratio:
    """Return the exact ratio; beside a teacher without errors 0 for none, infinite for any."""
    if teacher:
        return Fraction(student, teacher)
    return math.inf if student else Fraction(0)


def _evidence(
    comparison: Comparison, student: Floats, teacher: Floats, selection: Selection
) -> _ErrorRatio:
    """Return what the examples say: exact from four counts, a jackknife where they are clustered.

    Raises
    ------
    ComparisonError
        Where the teacher makes too few errors for a ratio over clusters.
    """
    clusters = clusters_of(comparison, comparison.positions(selection))
    if clusters is None:
        return _ErrorRatio(ProportionRetention.counted(student == 1, teacher == 1))
    try:
        return _ErrorRatio(Scoring(clusters=clusters).t_retention(student, teacher))
    except NoRatioError:
        raise ComparisonError(
            f"eval '{comparison.eval}': the teacher makes too few errors for a ratio over clusters"
        ) from None


@dataclass(frozen=True, slots=True)
class _ErrorRatio:
    """What the examples say of student's errors / teacher's errors, where fewer are better."""

    ratio: Retention

    def interval(self, confidence: float = 0.95) -> RetentionInterval:
        """Return the ratio's bounds."""
        return self.ratio.interval(confidence)

    def test(self, limit: float) -> FloorTest:
        """Return the p-values at a ceiling: of a ratio above it, and of one that keeps it."""
        at_floor = self.ratio.test(limit)
        return FloorTest(p_retained=at_floor.p_below, p_below=at_floor.p_retained)

    def needed(self, limit: float, confidence: float = 0.95) -> int | None:
        """Return about how many examples would settle it; None where no number would."""
        return self.ratio.needed(limit, confidence)


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
