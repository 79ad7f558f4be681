"""Whether the student inherited the teacher's distributions: agreement, divergence, acceptance."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pytest_distill._util.numbers import bounded
from pytest_distill.comparison.comparison import Comparison, Confidence, Slice
from pytest_distill.errors import ComparisonError
from pytest_distill.evaluation.likeness import Bounds, Likeness
from pytest_distill.gates.likeness_gate import LikenessGate, share
from pytest_distill.gates.verdict import Relation
from pytest_distill.statistics import Rate


@dataclass(frozen=True)
class Agreement(LikenessGate):
    """The student's most likely label or token is the teacher's, in a share of at least `min`.

    Parameters
    ----------
    min : float
        The floor, above 0 and at most 1.
    slice : str or mapping, optional
        Look only at these examples.
    confidence : float, optional
        How sure the verdict must be. None lets the observed share decide.
    """

    name: ClassVar[str] = "agreement"
    measure: ClassVar[str] = "top-1 agreement"
    relation: ClassVar[Relation] = ">="

    min: float
    slice: Slice | None = None
    confidence: Confidence = "default"

    @property
    def limit(self) -> tuple[float, Fraction]:
        """The floor."""
        return self.min, share(self.min, "min")

    def sums(self, likeness: Likeness) -> Bounds:
        """Return how often both agree."""
        return likeness.agreed, likeness.agreed


@dataclass(frozen=True)
class Divergence(LikenessGate):
    """KL(teacher || student), the mean in nats, is at most `max`.

    Parameters
    ----------
    max : float
        The ceiling in nats, at least 0.
    slice : str or mapping, optional
        Look only at these examples.
    confidence : float, optional
        How sure the verdict must be. None lets the observed mean decide.
    """

    name: ClassVar[str] = "divergence"
    measure: ClassVar[str] = "KL(teacher || student)"
    relation: ClassVar[Relation] = "<="

    max: float
    slice: Slice | None = None
    confidence: Confidence = "default"

    @property
    def limit(self) -> tuple[float, Fraction]:
        """The ceiling."""
        return self.max, bounded(self.max, "max", least=0, what="a divergence in nats")

    @property
    def worst(self) -> None:
        """None: a divergence has no greatest value."""
        return

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
class Acceptance(LikenessGate):
    """A draft of the student is accepted by the teacher with a probability of at least `min`.

    Speculative decoding accepts a drafted token with the probability 1 - TV(teacher, student)
    (Leviathan, Kalman and Matias 2023, ICML, theorem 3.5 and corollary 3.6).

    Parameters
    ----------
    min : float
        The floor, above 0 and at most 1.
    slice : str or mapping, optional
        Look only at these examples.
    confidence : float, optional
        How sure the verdict must be. None lets the observed mean decide.
    """

    name: ClassVar[str] = "acceptance"
    measure: ClassVar[str] = "acceptance rate"
    relation: ClassVar[Relation] = ">="

    min: float
    slice: Slice | None = None
    confidence: Confidence = "default"

    @property
    def limit(self) -> tuple[float, Fraction]:
        """The floor."""
        return self.min, share(self.min, "min")

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
