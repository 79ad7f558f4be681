"""How many of the teacher's right answers the student may lose, and which it may not."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import ClassVar

from pytest_distill._util.format import ceil_text
from pytest_distill._util.numbers import bounded, exact
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.evidence import lost_rate
from pytest_distill.comparison.itself import Itself
from pytest_distill.errors import ConfigError
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.metrics import Metric
from pytest_distill.gates import explain
from pytest_distill.gates.deciding import decide, observed
from pytest_distill.gates.gate import listed
from pytest_distill.gates.subjects import MetricGate
from pytest_distill.gates.verdict import Verdict
from pytest_distill.statistics.scoring import zero_or_one


@dataclass(frozen=True)
class Flips(MetricGate):
    """At most `max_lost` of the examples are lost, and none of the eval's ``must_keep``.

    An example is lost where the teacher is right and the student wrong; where scores are not 0 or
    1, where the student's score is worse than the teacher's. `slice` and `confidence` are about the
    share alone: ``must_keep`` names examples, and one that is wrong fails whatever the share is.

    Parameters
    ----------
    max_lost : float, optional
        Share of the examples, in [0, 1). None: only ``must_keep`` is looked at.
    """

    name: ClassVar[str] = "flips"
    asks: ClassVar[str] = "Does {model} lose {what} of the examples to the teacher?"

    max_lost: float | None = None

    def beyond_noise(self, itself: Itself) -> str | None:
        """Return a note where fewer examples may be lost than a model loses to itself."""
        flips = max(itself.lost, itself.won)
        share = Fraction(flips, itself.n)
        if self.max_lost is None or share <= exact(self.max_lost, "max_lost"):
            return None
        return (
            f"the limit {float(self.max_lost):g} lies below the share that {itself.model} loses to "
            f"itself, {ceil_text(share)} ({flips:,} of {itself.n:,} examples): by noise alone it "
            "would break that limit itself"
        )

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
        notes: tuple[str, ...] = ()
        if broken:  # graver than any share, so that no waiver of the share covers it
            decision = observed(Fraction(len(broken)), "<=", Fraction(0))
            first = decision.headline(
                0, f"must_keep examples wrong{comparison.budget}", metric.name, text=str
            )
            notes = (f"must_keep: {len(broken)} of {len(must_keep)} broken: {listed(broken)}",)
        else:
            decision = observed(share, "<=", most)
            if self.max_lost is not None:
                rate = lost_rate(comparison, flips.lost, self.slice)
                decision = decide(rate, share, "<=", most, confidence, comparison)
            limit = f"{float(most):g}"
            first = decision.headline(
                limit, f"of the examples lost{comparison.budget}", metric.name
            )
        notes += decision.evidence.notes
        evidence = replace(decision.evidence, lost=len(flips.lost), won=len(flips.won))
        return self.verdict(
            comparison,
            replace(decision, evidence=evidence),
            first,
            metric=metric.name,
            n=n,
            notes=notes,
            lines=[
                *explain.models(comparison, metric, self.slice, ("teacher", "student")),
                f"  {len(flips.lost):,} lost: {listed(flips.lost)}",
                f"  {len(flips.won):,} won",
                *(f"  {part}" for part in explain.basis(decision.evidence)),
                *explain.note_lines(notes),
            ],
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
    teacher, student = comparison.measured_pair("teacher", "student", "flips")
    s = student.scores(metric)
    t = teacher.scores(metric)
    if zero_or_one(s):
        right = s == (1.0 if metric.higher_is_better else 0.0)
    else:
        right = s >= t if metric.higher_is_better else s <= t
    ids = {e.id: bool(ok) for e, ok in zip(student.eval.gold, right, strict=True)}
    return tuple(i for i in must_keep if not ids[i])
