"""What the intervals and tests of this package answer with."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

TWO_SIDED = 0.95
POWER = 0.8
FEW_CLUSTERS = 40
MIN_CLUSTERS = 10


class NoRatioError(ValueError):
    """No share of the teacher's quality exists, or it says nothing: the teacher is not above 0."""


class Judgement(StrEnum):
    """What an interval says of a floor."""

    RETAINED = "retained"
    NOT_RETAINED = "not retained"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class RetentionInterval:
    """Bounds of the share of the teacher's quality that the student retains.

    Parameters
    ----------
    one_sided_lower, one_sided_upper : float
        Each holds alone, at `confidence`. They decide. The upper one may be infinite.
    lower, upper : float
        The two-sided 95 % interval, for the report.
    confidence : float
        Of the one-sided bounds.
    method : str
        How the bounds were reached.
    n : int
        Number of examples.
    clusters : int, optional
        Number of clusters, where the examples come in clusters.
    notes : tuple of str
        What a reader must know beside the numbers.
    """

    one_sided_lower: float
    one_sided_upper: float
    lower: float
    upper: float
    confidence: float
    method: str
    n: int
    clusters: int | None = None
    notes: tuple[str, ...] = ()

    def judge(self, floor: float | Fraction) -> Judgement:
        """Return what the one-sided bounds say of a floor.

        RETAINED when the lower bound is at or above it, NOT_RETAINED when the upper bound is
        below it, else UNCLEAR; always UNCLEAR under 10 clusters.
        """
        if self.clusters is not None and self.clusters < MIN_CLUSTERS:
            return Judgement.UNCLEAR
        if self.one_sided_lower >= floor:
            return Judgement.RETAINED
        return Judgement.NOT_RETAINED if self.one_sided_upper < floor else Judgement.UNCLEAR

    def is_firm(self, floor: float | Fraction, passed: bool) -> bool:
        """Return whether the bounds agree with an observed verdict; it is within noise if not."""
        return self.judge(floor) is (Judgement.RETAINED if passed else Judgement.NOT_RETAINED)


@dataclass(frozen=True, slots=True)
class FloorTest:
    """One-sided p-values at one floor.

    Parameters
    ----------
    p_retained : float
        Of "retention is below the floor": small where the data show that the floor holds.
    p_below : float
        Of "retention is at least the floor": small where the data show that it does not.
    """

    p_retained: float
    p_below: float


class Retention(Protocol):
    """The evidence on one ratio, whatever the kind of metric."""

    @property
    def observed(self) -> float:
        """The ratio on these examples."""

    def interval(self, confidence: float = 0.95) -> RetentionInterval:
        """Return the ratio's bounds."""

    def test(self, floor: float) -> FloorTest:
        """Return the p-values at a floor; both are 1 under 10 clusters."""

    def needed(self, floor: float, confidence: float = 0.95, power: float = POWER) -> int | None:
        """Return about how many examples would settle it, if the observed ratio is the true one.

        None where no number would: the observed ratio is the floor.
        """


def one_sided(confidence: float) -> float:
    """Return a confidence unchanged; ValueError where it is none that a verdict can rest on."""
    if not 0.5 < confidence < 1:
        raise ValueError(f"confidence={confidence!r}: must be above 0.5 and below 1, such as 0.95")
    return float(confidence)


def cluster_notes(clusters: int | None) -> tuple[str, ...]:
    """Return what to say of a number of clusters."""
    if clusters is None or clusters >= FEW_CLUSTERS:
        return ()
    if clusters < MIN_CLUSTERS:
        return (f"{clusters} clusters: too few to tell (at least {MIN_CLUSTERS} are needed)",)
    return (f"{clusters} clusters: under {FEW_CLUSTERS} the interval is rough",)
