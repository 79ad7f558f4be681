"""Whether the student inherited the teacher's distributions: agreement, divergence, acceptance."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pytest_distill._util.format import ceil_text, floor_text
from pytest_distill._util.numbers import bounded
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.evidence import clusters_of
from pytest_distill.comparison.shown import example_row
from pytest_distill.errors import ComparisonError
from pytest_distill.evals.eval import Eval
from pytest_distill.evaluation.likeness import Bounds, Likeness
from pytest_distill.gates import explain
from pytest_distill.gates.deciding import decide
from pytest_distill.gates.gate import Row
from pytest_distill.gates.subjects import SliceGate
from pytest_distill.gates.verdict import Doubt, Outcome, Relation, Verdict, as_float, finite
from pytest_distill.statistics.rates import Rate

MOST_IDS = 3


@dataclass(frozen=True)
class LikenessGate(SliceGate):
    """A gate on the mean likeness of labels or tokens.

    Over labels or choices for classification and multiple choice. For perplexity and generation
    over the tokens of the gold text, on which both models are run beside each other.
    """

    measure: ClassVar[str]
    relation: ClassVar[Relation]
    worst: ClassVar[float | None] = 0.0
    """The worst value of one label or token; None where there is none."""

    @property
    @abstractmethod
    def limit(self) -> tuple[float, Fraction]:
        """The limit as it was written, and as an exact number; ConfigError where it is none."""

    @abstractmethod
    def sums(self, likeness: Likeness) -> Bounds:
        """Return bounds of what each example adds up to; ComparisonError where it is not known."""

    def lost(self, comparison: Comparison) -> list[Row]:
        """Return the examples that are beyond the limit by themselves, the worst first."""
        likeness = comparison.likeness()
        places, values = self._worst_first(comparison, likeness)
        limit = float(self.limit[1])
        beyond = values < limit if self.relation == ">=" else values > limit
        examples = comparison.on.gold.examples if isinstance(comparison.on, Eval) else ()
        return [
            {
                **example_row(examples[place]),
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
        bad, best = (low, high) if self.relation == ">=" else (high, low)
        decision = decide(
            rate,
            bad,
            self.relation,
            limit,
            confidence,
            comparison,
            best=None if rate.exact else best,
        )
        what = f"{self.measure} per {likeness.unit}"
        if confidence is None and decision.outcome is Outcome.FAILED and not rate.exact:
            higher = self.relation == ">="
            what += f"; at most {ceil_text(best)}" if higher else f"; at least {floor_text(best)}"
        units = int(likeness.units[chosen].sum())
        tokens = f" ({units:,} tokens)" if likeness.unit == "token" else ""
        return self.verdict(
            comparison,
            decision,
            decision.headline(written, what),
            metric=self.measure,
            n=comparison.n(self.slice),
            about=explain.models(comparison, None, self.slice, ("teacher", "student"), tokens),
            basis=[*self.known(rate, likeness, chosen), *explain.basis(decision.evidence)],
            notes=(*self.notes(likeness, comparison), *decision.evidence.notes),
            below=self._worst_lines(comparison, likeness),
            details={
                "unit": likeness.unit,
                "units": units,
                "bounds": [finite(as_float(low, ">=")), finite(as_float(high, "<="))],
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

    def known(self, rate: Rate, likeness: Likeness, chosen: NDArray[np.intp]) -> list[str]:
        """Return what is known where only the teacher's most likely tokens were captured."""
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
        text = floor_text if self.relation == ">=" else ceil_text
        shown = [
            f"{comparison.on.gold.examples[place].id} ({text(float(value))})"
            for place, value in zip(places[:MOST_IDS], values[:MOST_IDS], strict=True)
        ]
        return [f"  worst examples: {', '.join(shown)}"]


@dataclass(frozen=True)
class _ShareGate(LikenessGate):
    """A gate on a share, with a floor.

    Parameters
    ----------
    min : float
        The floor, above 0 and at most 1.
    """

    relation: ClassVar[Relation] = ">="

    min: float

    @property
    def limit(self) -> tuple[float, Fraction]:
        """The floor."""
        return self.min, bounded(self.min, "min", above=0, most=1, what="a share")


@dataclass(frozen=True)
class Agreement(_ShareGate):
    """The student's most likely label or token is the teacher's, in a share of at least `min`.

    Over labels or choices for classification and multiple choice. For perplexity and generation
    over the tokens of the gold text, on which both models are run beside each other.
    """

    name: ClassVar[str] = "agreement"
    asks: ClassVar[str] = (
        "Is the most likely label or token of {model} the teacher's in {what} of cases?"
    )
    measure: ClassVar[str] = "top-1 agreement"

    def sums(self, likeness: Likeness) -> Bounds:
        """Return how often both agree."""
        return likeness.agreed, likeness.agreed


@dataclass(frozen=True)
class Divergence(LikenessGate):
    """KL(teacher || student), the mean in nats, is at most `max`.

    Small where the student misses little of the teacher (Kullback and Leibler 1951, On information
    and sufficiency, Annals of Mathematical Statistics 22:79-86). Where only the teacher's most
    likely tokens are known it lies between two bounds, and the verdict may be INCONCLUSIVE.

    Parameters
    ----------
    max : float
        The ceiling in nats, at least 0.
    """

    name: ClassVar[str] = "divergence"
    asks: ClassVar[str] = "Is the divergence of {model} from the teacher {what} nats on average?"
    measure: ClassVar[str] = "KL(teacher || student)"
    relation: ClassVar[Relation] = "<="
    worst: ClassVar[None] = None

    max: float

    @property
    def limit(self) -> tuple[float, Fraction]:
        """The ceiling."""
        return self.max, bounded(self.max, "max", least=0, what="a divergence in nats")

    def sums(self, likeness: Likeness) -> Bounds:
        """Return the divergence in nats."""
        if likeness.divergence is None:
            raise ComparisonError(likeness.missing)
        return likeness.divergence

    def known(self, rate: Rate, likeness: Likeness, chosen: NDArray[np.intp]) -> list[str]:
        """Return what is known of it, with the examples on which it is infinite."""
        known = super().known(rate, likeness, chosen)
        infinite = int(np.isinf(rate.high).sum())
        if infinite:
            known.append(
                f"infinite on {infinite:,} of {len(rate.high):,} examples: the student gives the "
                "probability 0 to what the teacher does not"
            )
        return known


@dataclass(frozen=True)
class Acceptance(_ShareGate):
    """A teacher would accept what the student drafts in speculative decoding, at least `min` of it.

    The rate is the mean of 1 - TV(teacher, student) over the tokens of the gold text, with TV the
    total variation. It is the probability that a drafted token is accepted when both models sample
    at temperature 1: Leviathan, Kalman and Matias (2023), Fast inference from transformers via
    speculative decoding, ICML, theorem 3.5 and corollary 3.6.
    """

    name: ClassVar[str] = "acceptance"
    asks: ClassVar[str] = (
        "Would the teacher accept {what} of what {model} drafts in speculative decoding?"
    )
    measure: ClassVar[str] = "acceptance rate"

    def sums(self, likeness: Likeness) -> Bounds:
        """Return the probability of acceptance."""
        if likeness.variation is None:
            raise ComparisonError(likeness.missing)
        least, most = likeness.variation
        return likeness.units - most, likeness.units - least

    def notes(self, likeness: Likeness, comparison: Comparison) -> tuple[str, ...]:
        """Return the notes, with one where there are no tokens to accept."""
        notes = super().notes(likeness, comparison)
        if likeness.unit == "token":
            return notes
        return (*notes, "over labels: speculative decoding is about tokens")
