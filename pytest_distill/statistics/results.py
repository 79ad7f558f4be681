"""Result objects: intervals, one-sided tests at a floor, and what they have in common."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pytest_distill._util.format import count_text

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
        Each holds alone, at `confidence`; what the tests at a floor decide by, as numbers. The
        upper one may be infinite.
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

    def judge(self, confidence: float) -> Judgement:
        """Return what is shown with that confidence; UNCLEAR where neither side is."""
        if shown(self.p_retained, confidence):
            return Judgement.RETAINED
        return Judgement.NOT_RETAINED if shown(self.p_below, confidence) else Judgement.UNCLEAR


class Retention(Protocol):
    """The evidence on one ratio, whatever the kind of metric."""

    @property
    def n(self) -> int:
        """Number of examples."""

    @property
    def observed(self) -> float:
        """The ratio on these examples."""

    def interval(self, confidence: float = 0.95) -> RetentionInterval:
        """Return the ratio's bounds."""

    def test(self, floor: float) -> FloorTest:
        """Return the p-values at a floor; both are 1 under 10 clusters."""

    def p_retained(self, floor: float) -> float:
        """Return the first of the p-values alone: half the work, where many are looked at."""

    def needed(self, floor: float, confidence: float = 0.95, power: float = POWER) -> int | None:
        """Return about how many examples would settle it, if the observed ratio is the true one.

        None where no number would: the observed ratio is the floor.
        """

    def least(self, floor: float, confidence: float = 0.95) -> int | None:
        """Return with about how many examples a student as good as the teacher begins to pass.

        None where no number shows it: from a floor of 1 on, or where nothing is known of what was
        not seen.
        """


def shown(p: float, confidence: float) -> bool:
    """Return whether a p-value shows something with that confidence: p <= 1 - confidence.

    Both are taken as the decimals that they print as: 0.05 is enough for 0.95, though as floats
    1 - 0.95 is a bit more. The one comparison that outcomes, "firm" and the words rest on.
    """
    return Fraction(str(p)) <= 1 - Fraction(str(confidence))


def one_sided(confidence: float) -> float:
    """Return a confidence unchanged; ValueError where it is none that a verdict can rest on."""
    if not 0.5 < confidence < 1:
        raise ValueError(f"confidence={confidence!r}: must be above 0.5 and below 1, such as 0.95")
    return float(confidence)


def unit_notes(units: int, name: str, effective: float) -> tuple[str, ...]:
    """Return what a reader must know where there are few clusters, or texts.

    Parameters
    ----------
    units : int
        How many there are.
    name : str
        What one is: "cluster", "text".
    effective : float
        As how many of equal size they count.
    """
    if effective >= FEW_CLUSTERS:
        return ()
    count = math.floor(effective + 1e-9)
    told = count_text(units, name) + (
        f", by their sizes as good as {count}" if count < units else ""
    )
    if count < MIN_CLUSTERS:
        return (f"{told}: too few to tell (at least {MIN_CLUSTERS} are needed)",)
    return (f"{told}: under {FEW_CLUSTERS} the interval is rough",)
