"""Where a gate asks a student to be nearer to a model than that model is to itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Any, ClassVar

from pytest_distill._util.format import ceil_text, floor_text
from pytest_distill._util.numbers import retained_floor
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.itself import Itself, beside_itself
from pytest_distill.errors import DistillError
from pytest_distill.evaluation.measured import MeasuredEvaluation

if TYPE_CHECKING:
    from pytest_distill.gates.gate import Gate


def noise_notes(
    gate: Gate, comparison: Comparison, evaluations: Iterable[MeasuredEvaluation]
) -> Iterator[str]:
    """Yield how far every model that a gate looked at is from itself, where that is known.

    Where the gate asks for less than that, a further note says so.
    """
    try:
        metric = gate.scored_by(comparison)
    except DistillError:  # the gate itself has said so
        return
    if metric is None:
        return
    for evaluation in evaluations:
        for other in evaluation.eval.metrics:  # for the report, which computes nothing
            beside_itself(evaluation, other)
        found = beside_itself(evaluation, metric)
        if found is not None:
            yield str(found)
            note = gate.beyond_noise(found)
            yield from () if note is None else (note,)


class KeepsAShare:
    """A gate with a floor of retention; one above what a model retains of itself asks too much."""

    floor_key: ClassVar[str] = "min"
    """Its parameter that is the floor."""

    @property
    def floor(self) -> Fraction:
        """The floor as an exact number; ConfigError where it is none."""
        return retained_floor(getattr(self, self.floor_key), self.floor_key)

    def beyond_noise(self, itself: Itself) -> str | None:
        """Return a note where the floor lies above what a model retains of itself."""
        floor = self.floor
        if itself.least is None or min(floor, Fraction(1)) <= itself.least:
            return None
        either = "" if itself.retained == itself.least else ", taken the other way round"
        return (
            f"the floor {_number(floor)} lies above what {itself.model} retains of itself, "
            f"{floor_text(itself.least)} on {itself.n:,} examples{either}: by noise alone it would "
            "miss that floor itself"
        )


def share_beyond(most: Fraction, itself: Itself) -> str | None:
    """Return a note where fewer flips are allowed than a model has beside itself."""
    flips = max(itself.lost, itself.won)
    share = Fraction(flips, itself.n)
    if share <= most:
        return None
    return (
        f"the limit {_number(most)} lies below the share that {itself.model} loses to itself, "
        f"{ceil_text(share)} ({flips:,} of {itself.n:,} examples): by noise alone it would break "
        "that limit itself"
    )


def errors_beyond(most: Fraction, itself: Itself) -> str | None:
    """Return a note where a model makes more errors than are allowed of its own."""
    few, many = sorted((1 - itself.first, 1 - itself.second))
    if few <= 0 or many <= few * max(most, Fraction(1)):
        return None
    return (
        f"max_ratio {_number(most)} lies below what {itself.model} makes of its own errors, "
        f"{ceil_text(many / few)} times as many on {itself.n:,} examples: by noise alone it would "
        "break that limit itself"
    )


def drop_beyond(most: Fraction, itself: Itself) -> str | None:
    """Return a note where a smaller drop is allowed than a model has beside itself."""
    drop = abs(itself.first - itself.second)
    if drop <= most:
        return None
    return (
        f"max_drop {_number(most)} lies below how far {itself.model} is from itself, "
        f"{ceil_text(drop)} in {itself.metric} on {itself.n:,} examples: by noise alone it would "
        "be worse than itself"
    )


def _number(value: Any) -> str:
    return f"{float(value):g}"
