"""Whether the student kept the teacher's quality in every slice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass
from fractions import Fraction
from typing import ClassVar

from pytest_distill._util.format import floor_text, interval_text
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.evidence import retention_evidence
from pytest_distill.comparison.side_by_side import Confidence
from pytest_distill.comparison.slices import SliceScores, slice_scores
from pytest_distill.errors import ComparisonError, ConfigError
from pytest_distill.evals.metrics import Metric
from pytest_distill.gates import explain
from pytest_distill.gates.arguments import check_flag, checked_count
from pytest_distill.gates.deciding import Decision, headline, within
from pytest_distill.gates.subjects import BudgetGate, KeepsAShare, ScoresGate
from pytest_distill.gates.verdict import Outcome, Verdict, finite, json_ratio
from pytest_distill.statistics.multiple import intervals, slices_below
from pytest_distill.statistics.results import FloorTest, RetentionInterval, shown

MIN_EXAMPLES = 30
MOST_ROWS = 10


@dataclass(frozen=True, slots=True)
class SliceOutcome:
    """One slice with its outcome."""

    scores: SliceScores
    interval: RetentionInterval | None
    outcome: Outcome

    def cells(self) -> list[str]:
        """Return what a table shows: n, both scores, retained, interval, outcome."""
        scores, interval = self.scores, self.interval
        bounds = "-" if interval is None else interval_text(interval.lower, interval.upper)
        return [
            scores.name,
            f"{scores.n:,}",
            floor_text(scores.teacher),
            floor_text(scores.student),
            "-" if scores.retained is None else floor_text(scores.retained),
            bounds,
            str(self.outcome),
        ]


@dataclass(frozen=True)
class SlicesRetained(KeepsAShare, ScoresGate, BudgetGate):
    """In every slice the student kept at least `min` of the teacher's quality.

    By default a slice fails on evidence against it: its p-value, adjusted for the number of slices
    (Holm), shows that it is under the floor. A floor under the observed ratio of every small slice
    would fail a student that is as good as its teacher. With ``confidence=None`` the observed ratio
    decides. A slice of fewer than `min_examples`, or one that does not tell, is INCONCLUSIVE, which
    fails the gate only where it is `strict`, or where no slice could be told.

    Parameters
    ----------
    min : float
        The floor in each slice, above 0 and at most 2.
    by : str
        A field of the gold set; ``"length:quartiles"`` bins a field with numbers (also halves,
        thirds, quintiles, deciles).
    min_examples : int
        Slices with fewer examples are too small to tell.
    strict : bool
        Whether slices that are too small to tell fail the gate.
    confidence : float, optional
        By default as the marker or ``distill.yaml`` says, else 0.95. None: observed ratios decide.
    """

    name: ClassVar[str] = "slices_retained"
    asks: ClassVar[str] = "Did {model} keep {what} of the teacher's quality in every slice {slice}?"
    decides: ClassVar[str] = (
        "A slice fails where its examples show with a confidence of {confidence} that it is below, "
        "with an adjustment for the number of slices"
    )

    min: float
    _: KW_ONLY
    by: str
    min_examples: int = MIN_EXAMPLES
    strict: bool = False
    confidence: Confidence = "default"

    def judge(self, comparison: Comparison) -> Verdict:
        """Judge every slice, and all of them together."""
        floor = self.floor
        if not isinstance(self.by, str):
            raise ConfigError(f"by={self.by!r}: must be the name of a field, such as 'lang'")
        checked_count(self.min_examples, "min_examples")
        check_flag(self.strict, "strict")
        confidence = comparison.confidence_level(self.confidence, default=0.95)
        metric = comparison.metric(self.metric)
        rows = self._rows(comparison, metric, floor, confidence)
        outcome = self._outcome(rows)
        worst = next((r.scores.retained for r in rows if r.scores.retained is not None), None)
        if worst is None:
            raise ComparisonError(
                f"'{comparison.eval}' by {self.by}: the teacher scores nothing in any slice"
            )
        counts = ", ".join(
            f"{count} {kind}" for kind in Outcome if (count := sum(r.outcome is kind for r in rows))
        )
        if outcome is Outcome.INCONCLUSIVE and worst >= floor:  # the ratios are not what it lacks
            number = str(sum(r.outcome is Outcome.PASSED for r in rows))
            limit: float = len(rows) if self.strict else 1
            what = f"slices told to keep {self.min}"
        else:
            number, limit, what = floor_text(worst), self.min, "quality retained in every slice"
        below = outcome is Outcome.PASSED and worst < floor
        return self.verdict(
            comparison,
            Decision(worst, ">=", floor, outcome, confidence),
            headline(
                number,
                ">=",
                limit,
                f"{what} by {self.by}{comparison.budget}",
                f"{metric.name}; {counts}",
            ),
            metric=metric.name,
            n=comparison.n(),
            notes=["the worst is below the floor, on too little evidence to fail"] if below else [],
            basis=[f"worst slice {rows[0].scores.name}", f"slices: {counts}"],
            facts=[f"worst {rows[0].scores.name}", *self._counted(rows)],
            lines=[
                *explain.models(comparison, metric, None, ("teacher", "student")),
                *table(rows),
            ],
            details={"slices": [_told(row) for row in rows]},
            slice=f"by {self.by}",
        )

    def _rows(
        self, comparison: Comparison, metric: Metric, floor: Fraction, confidence: float | None
    ) -> list[SliceOutcome]:
        slices = slice_scores(comparison, metric, self.by)
        ratios = [
            None if s.retained is None else retention_evidence(comparison, metric, s.positions)
            for s in slices
        ]
        bounds = intervals(ratios, confidence or 0.95)
        if confidence is None:
            outcomes = [self._observed(scores, floor) for scores in slices]
        else:
            # No score decides how large a slice is: a small one is no part of the adjustment.
            tests = [
                None if ratio is None or s.n < self.min_examples else ratio.test(float(floor))
                for s, ratio in zip(slices, ratios, strict=True)
            ]
            below = slices_below(tests, confidence)
            outcomes = [_sure(*each, confidence) for each in zip(tests, below, strict=True)]
        return [*map(SliceOutcome, slices, bounds, outcomes)]

    def _observed(self, scores: SliceScores, floor: Fraction) -> Outcome:
        if scores.retained is None or scores.n < self.min_examples:
            return Outcome.INCONCLUSIVE
        return within(scores.retained, scores.retained, ">=", floor)

    def _counted(self, rows: Sequence[SliceOutcome]) -> list[str]:
        """Return how many slices passed, and what became of the others."""
        counts = Counter(row.outcome for row in rows)
        told = [f"{counts.pop(Outcome.PASSED, 0)} of {len(rows)} passed"]
        for outcome, n in counts.items():
            lenient = outcome is Outcome.INCONCLUSIVE and not self.strict
            told.append(f"{n} {outcome}{' (strict=True would fail)' if lenient else ''}")
        return told

    def _outcome(self, rows: Sequence[SliceOutcome]) -> Outcome:
        outcomes = {row.outcome for row in rows}
        if Outcome.FAILED in outcomes:
            return Outcome.FAILED
        if outcomes == {Outcome.INCONCLUSIVE} or (self.strict and Outcome.INCONCLUSIVE in outcomes):
            return Outcome.INCONCLUSIVE
        return Outcome.PASSED


def _sure(test: FloorTest | None, below: bool, confidence: float) -> Outcome:
    if below:
        return Outcome.FAILED
    retained = test is not None and shown(test.p_retained, confidence)
    return Outcome.PASSED if retained else Outcome.INCONCLUSIVE


def table(rows: Sequence[SliceOutcome]) -> list[str]:
    """Return the slices as lines of a message, failed ones first, then the worst."""
    order = (Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.PASSED)
    sorted_rows = sorted(rows, key=lambda row: order.index(row.outcome))
    cells = [row.cells() for row in sorted_rows[:MOST_ROWS]]
    header = ["slice", "n", "teacher", "student", "retained", "95 % interval", "outcome"]
    rest = len(rows) - len(cells)
    return [*explain.columns(header, cells), *([f"  and {rest} more slices"] if rest else [])]


def _told(row: SliceOutcome) -> dict[str, object]:
    scores, interval = row.scores, row.interval
    return {
        "slice": scores.name,
        "n": scores.n,
        "teacher": float(scores.teacher),
        "student": float(scores.student),
        "retained": json_ratio(scores.retained),
        "lower": None if interval is None else finite(interval.lower),
        "upper": None if interval is None else finite(interval.upper),
        "outcome": str(row.outcome),
    }
