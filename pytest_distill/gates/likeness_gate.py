"""What the gates on likeness have in common: a mean over labels or tokens, and its limit."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from fractions import Fraction
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pytest_distill._util.format import ceil_text, count_text, floor_text, score_text
from pytest_distill._util.numbers import bounded
from pytest_distill.comparison.comparison import Comparison, Confidence, Slice
from pytest_distill.comparison.evidence import clusters_of
from pytest_distill.errors import ComparisonError
from pytest_distill.evals.eval import Eval
from pytest_distill.evaluation.likeness import Bounds, Likeness
from pytest_distill.gates import explain
from pytest_distill.gates.deciding import CONFIDENCE, OUTCOMES, bound_words
from pytest_distill.gates.verdict import (
    Doubt,
    Evidence,
    Outcome,
    Relation,
    Verdict,
    as_float,
    decided,
    finite,
)
from pytest_distill.statistics import Rate, RetentionInterval

MOST_IDS = 3

Number = Fraction | float


class LikenessGate(ABC):
    """A gate on the mean likeness of labels or tokens."""

    name: ClassVar[str]
    measure: ClassVar[str]
    relation: ClassVar[Relation]

    slice: Slice | None
    confidence: Confidence

    @property
    @abstractmethod
    def limit(self) -> tuple[float, Fraction]:
        """The limit as it was written, and as an exact number; ConfigError where it is none."""

    @abstractmethod
    def sums(self, likeness: Likeness) -> Bounds:
        """Return bounds of what each example adds up to; ComparisonError where it is not known."""

    @property
    def worst(self) -> float | None:
        """The worst value of one label or token; None where there is none."""
        return 0.0

    def lost(self, comparison: Comparison) -> list[dict[str, object]]:
        """Return the examples that are beyond the limit by themselves, the worst first."""
        likeness = comparison.likeness()
        places, values = self._worst_first(comparison, likeness)
        limit = float(self.limit[1])
        beyond = values < limit if self.relation == ">=" else values > limit
        examples = comparison.on.gold.examples if isinstance(comparison.on, Eval) else ()
        return [
            {
                "id": examples[place].id,
                "fields": dict(examples[place].fields),
                f"{likeness.unit}s": int(likeness.units[place]),
                self.name: finite(float(value)),
            }
            for place, value, bad in zip(places, values, beyond, strict=True)
            if bad
        ]

    def judge(self, comparison: Comparison) -> Verdict:
        """Compare the mean with the limit, on the bad side of what is known of it."""
        written, limit = self.limit
        confidence = comparison.confidence_level(self.confidence, default=None)
        likeness = comparison.likeness()
        chosen = comparison.positions(self.slice)
        rate = self._rate(comparison, likeness, chosen)
        low, high = rate.observed
        bad = low if self.relation == ">=" else high
        sure = confidence or CONFIDENCE
        interval = rate.interval(sure)
        shown = OUTCOMES[rate.test(float(limit)).judge(sure)]
        seen = self._observed(low, high, limit)
        outcome = seen if confidence is None else shown
        evidence = Evidence(interval=interval)
        if rate.exact:  # else more examples of the same kind would not make the bounds meet
            firm = shown is seen
            needed = None if firm else rate.needed(float(limit), sure)
            evidence = Evidence(interval=interval, firm=firm, needed=needed)
        notes = (*self.notes(likeness, comparison), *interval.notes)
        basis = [*self.known(rate, likeness, chosen), *explain.basis(evidence)]
        lines = [
            self._headline(rate, interval, outcome, confidence, likeness.unit, written),
            *about_lines(comparison, self.slice, likeness.unit, int(likeness.units[chosen].sum())),
            *(f"  {part}" for part in basis),
            *explain.note_lines(notes),
            *self._worst_lines(comparison, likeness),
        ]
        return Verdict(
            gate=self.name,
            eval=comparison.eval,
            metric=self.measure,
            model=comparison.model("student").name,
            observed=_float(bad, self.relation),
            required=float(written),
            relation=self.relation,
            outcome=outcome,
            confidence=confidence,
            n=comparison.n(self.slice),
            slice=explain.slice_name(self.slice),
            notes=notes,
            message="\n".join(lines),
            evidence=evidence,
            basis="; ".join(basis),
            details={
                "unit": likeness.unit,
                "units": int(likeness.units[chosen].sum()),
                "bounds": [finite(_float(low, ">=")), finite(_float(high, "<="))],
                "known_probability": float(
                    likeness.mass[chosen].sum() / likeness.units[chosen].sum()
                ),
            },
        )

    def _rate(self, comparison: Comparison, likeness: Likeness, chosen: NDArray[np.intp]) -> Rate:
        units = likeness.units[chosen]
        if not units.sum():
            raise ComparisonError(
                f"eval '{comparison.eval}': no token to compare in the slice {self.slice!r}"
            )
        low, high = self.sums(likeness)
        return Rate(
            low[chosen],
            high[chosen],
            units,
            higher_is_better=self.relation == ">=",
            worst=self.worst,
            most=1.0 if self.worst is not None else math.inf,
            clusters=clusters_of(comparison, chosen),
        )

    def _observed(self, low: Number, high: Number, limit: Fraction) -> Outcome:
        if self.relation == ">=":
            passes, fails = low >= limit, high < limit
        else:
            passes, fails = high <= limit, low > limit
        return decided(passes) if passes or fails else Outcome.INCONCLUSIVE

    def _headline(
        self,
        rate: Rate,
        interval: RetentionInterval,
        outcome: Outcome,
        confidence: float | None,
        unit: str,
        written: float,
    ) -> str:
        low, high = rate.observed
        higher = self.relation == ">="
        observed = score_text(low if higher else high, higher_is_better=higher)
        what = f"{self.measure} per {unit}"
        if confidence is None:
            if outcome is Outcome.FAILED and not rate.exact:
                other = score_text(high if higher else low, higher_is_better=not higher)
                what += f"; {'at most' if higher else 'at least'} {other}"
            return f"assert {observed} {self.relation} {written} {what}"
        lower = higher is not (outcome is Outcome.FAILED)
        bound = interval.one_sided_lower if lower else interval.one_sided_upper
        text = score_text(bound, higher_is_better=higher)
        said = bound_words(confidence, observed, lower=lower)
        return f"assert {text} {self.relation} {written} {what} ({said})"

    def known(self, rate: Rate, likeness: Likeness, chosen: NDArray[np.intp]) -> list[str]:
        """Return what is known of a teacher of whom only the most likely tokens were captured."""
        if rate.exact:
            return []
        low, high = rate.observed
        mass = likeness.mass[chosen].sum() / likeness.units[chosen].sum()
        return [
            f"between {floor_text(low)} and {ceil_text(high)}: "
            f"{floor_text(float(mass))} of the probability of the teacher was captured"
        ]

    def notes(self, likeness: Likeness, comparison: Comparison) -> tuple[str, ...]:
        """Return what a reader must know beside the numbers."""
        notes = likeness.notes
        if likeness.variation is not None and not likeness.variation[1].any():
            names = [comparison.model(role).name for role in ("teacher", "student")]
            same = f"suspicious: {' and '.join(names)} have the same distributions everywhere"
            notes += (Doubt(same),)
        return notes

    def _worst_first(
        self, comparison: Comparison, likeness: Likeness
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return the places of the chosen examples and their means, the worst first."""
        low, high = self.sums(likeness)
        sums = low if self.relation == ">=" else high
        chosen = comparison.positions(self.slice)
        chosen = chosen[likeness.units[chosen] > 0]
        values = sums[chosen] / likeness.units[chosen]
        order = np.argsort(values if self.relation == ">=" else -values, kind="stable")
        return chosen[order], values[order]

    def _worst_lines(self, comparison: Comparison, likeness: Likeness) -> list[str]:
        if not isinstance(comparison.on, Eval):
            return []
        places, values = self._worst_first(comparison, likeness)
        shown = [
            f"{comparison.on.gold.examples[place].id} "
            f"({score_text(float(value), higher_is_better=self.relation == '>=')})"
            for place, value in zip(places[:MOST_IDS], values[:MOST_IDS], strict=True)
        ]
        return [f"  worst examples: {', '.join(shown)}"]


def share(value: object, name: str) -> Fraction:
    """Return a floor that is above 0 and at most 1, exactly; ConfigError where it is not."""
    return bounded(value, name, above=0, most=1, what="a share")


def about_lines(comparison: Comparison, slice: Slice | None, unit: str, units: int) -> list[str]:
    """Return one line for the eval and one for each of teacher and student."""
    tokens = f" ({units:,} tokens)" if unit == "token" else ""
    sliced = "" if slice is None else f", slice {explain.slice_name(slice)}"
    lines = [f"  eval {comparison.eval}{sliced}, n = {comparison.n(slice):,}{tokens}"]
    models: Sequence[str] = [comparison.model(role).name for role in ("teacher", "student")]
    width = max(map(len, models))
    for name in models:
        size = comparison.model(name).info.parameters
        role = comparison.model(name).role
        said = "" if role == name else f" ({role})"
        known = "unknown size" if size is None else count_text(size, "parameter")
        lines.append(f"  {name:<{width}}{said}  {known}")
    return lines


def _float(value: Number, relation: Relation) -> float:
    return as_float(value, relation) if isinstance(value, Fraction) else value
