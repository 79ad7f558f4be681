"""How many of the teacher's right answers the student may lose, and which it may not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import ClassVar

from pytest_distill._util.numbers import bounded
from pytest_distill.comparison.comparison import Comparison, Confidence, Slice
from pytest_distill.comparison.evidence import lost_rate, zero_or_one
from pytest_distill.comparison.flips import lost_rows
from pytest_distill.errors import ComparisonError, ConfigError
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.metrics import Metric
from pytest_distill.evaluation.evaluation import MeasuredEvaluation
from pytest_distill.gates import explain
from pytest_distill.gates.deciding import decide, deciding_number
from pytest_distill.gates.verdict import Evidence, Verdict, as_float, decided

MOST_IDS = 10


@dataclass(frozen=True)
class Flips:
    """At most `max_lost` of the examples are lost, and none of the eval's ``must_keep``.

    Parameters
    ----------
    max_lost : float, optional
        Share of all examples that the teacher gets right and the student wrong, in [0, 1). None:
        only ``must_keep`` is looked at.
    metric : str or Metric, optional
        The eval's headline metric by default. Where scores are not 0 or 1, an example is lost when
        the student's score is worse than the teacher's.
    slice : str or mapping, optional
        Look only at these examples; ``must_keep`` counts all the same.
    confidence : float, optional
        How sure the verdict on the share must be, e.g. 0.95. None lets the observed share decide.
        ``must_keep`` names examples, so that nothing has to be inferred: one that is broken fails.
    """

    name: ClassVar[str] = "flips"

    max_lost: float | None = None
    metric: str | Metric | None = None
    slice: Slice | None = None
    confidence: Confidence = "default"

    def lost(self, comparison: Comparison) -> list[dict[str, object]]:
        """Return the examples that the student lost to the teacher."""
        return lost_rows(comparison, comparison.metric(self.metric), "teacher", self.slice)

    def judge(self, comparison: Comparison) -> Verdict:
        """Count what was lost."""
        must_keep = comparison.on.must_keep if isinstance(comparison.on, Eval) else ()
        if self.max_lost is None and not must_keep:
            raise ConfigError(f"give max_lost=, or must_keep: in eval '{comparison.eval}'")
        most = Fraction(1)  # only must_keep is looked at
        if self.max_lost is not None:
            most = bounded(
                self.max_lost, "max_lost", least=0, below=1, what="a share of the examples"
            )
        confidence = comparison.confidence_level(self.confidence, default=None)
        metric = comparison.metric(self.metric)
        flips = comparison.flips_by(metric, self.slice)
        n = comparison.n(self.slice) or 0
        share = Fraction(len(flips.lost), n)
        broken = broken_ids(comparison, metric, must_keep)
        kept_note = (
            (f"must_keep: {len(broken)} of {len(must_keep)} broken: {_listed(broken)}",)
            if broken
            else ()
        )
        evidence, outcome = Evidence(), decided(not broken)
        observed, required = share, most
        if broken:  # graver than any share, so that no waiver of the share covers it
            observed, required = Fraction(len(broken)), Fraction(0)
            confidence = None  # whatever the share is
            headline = f"assert {len(broken)} <= 0 must_keep examples wrong ({metric.name})"
        else:
            if self.max_lost is None:
                confidence = None
            else:
                rate = lost_rate(comparison, flips.lost, self.slice)
                outcome, evidence = decide(
                    rate, most, confidence, holds=share <= most, comparison=comparison
                )
            number, rests_on = deciding_number(share, "<=", outcome, evidence, confidence)
            headline = (
                f"assert {number} <= {float(most):g} of the examples lost ({metric.name}"
                f"{f', {rests_on}' if rests_on else ''})"
            )
        notes = (*kept_note, *(evidence.interval.notes if evidence.interval else ()))
        evidence = replace(evidence, lost=len(flips.lost), won=len(flips.won))
        pair = ("teacher", "student")
        return Verdict(
            gate=self.name,
            eval=comparison.eval,
            metric=metric.name,
            model=comparison.model("student").name,
            observed=as_float(observed, "<="),
            required=float(required),
            relation="<=",
            outcome=outcome,
            confidence=confidence,
            n=n,
            slice=explain.slice_name(self.slice),
            notes=notes,
            message="\n".join(
                [
                    headline,
                    *explain.models(comparison, metric, self.slice, pair),
                    f"  {len(flips.lost):,} lost: {_listed(flips.lost)}",
                    f"  {len(flips.won):,} won",
                    *explain.basis_lines(replace(evidence, lost=None, won=None)),
                    *explain.note_lines(notes),
                ]
            ),
            evidence=evidence,
            basis="; ".join(explain.basis(evidence)),
            details={"must_keep_broken": list(broken)} if must_keep else {},
        )


def broken_ids(
    comparison: Comparison, metric: Metric, must_keep: tuple[str, ...]
) -> tuple[str, ...]:
    """Return those of the must-keep examples that the student gets wrong.

    Wrong is a score of 0 where all scores are 0 or 1, else one that is worse than the teacher's.
    """
    if not must_keep:
        return ()
    teacher, student = comparison.pair("teacher", "student")
    if not isinstance(teacher, MeasuredEvaluation) or not isinstance(student, MeasuredEvaluation):
        raise ComparisonError(f"eval '{comparison.eval}' has reported scores: no flips are known")
    s = student.scores(metric)
    t = teacher.scores(metric)
    if zero_or_one(s):
        right = s == (1.0 if metric.higher_is_better else 0.0)
    else:
        right = s >= t if metric.higher_is_better else s <= t
    ids = {e.id: bool(ok) for e, ok in zip(student.eval.gold, right, strict=True)}
    return tuple(i for i in must_keep if not ids[i])


def _listed(ids: tuple[str, ...]) -> str:
    more = [f"and {len(ids) - MOST_IDS} more"] if len(ids) > MOST_IDS else []
    return ", ".join([*ids[:MOST_IDS], *more]) or "none"
