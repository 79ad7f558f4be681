"""How many times the teacher's errors the student makes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pytest_distill._util.numbers import Ratio, positive
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.evidence import clusters_of, right_or_wrong
from pytest_distill.comparison.itself import Itself
from pytest_distill.comparison.side_by_side import Selection
from pytest_distill.errors import ComparisonError
from pytest_distill.evals.metrics import Metric
from pytest_distill.gates import explain
from pytest_distill.gates.deciding import decide, unless_observed
from pytest_distill.gates.noise import errors_beyond
from pytest_distill.gates.subjects import MetricGate
from pytest_distill.gates.verdict import Verdict
from pytest_distill.statistics.proportions import ProportionRetention
from pytest_distill.statistics.results import FloorTest, NoRatioError, Retention, RetentionInterval
from pytest_distill.statistics.scoring import Scoring

Floats = NDArray[np.float64]


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
        return errors_beyond(positive(self.max_ratio, "max_ratio"), itself)

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
