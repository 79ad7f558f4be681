"""Where things stand in a chart: spans of numbers in pixels, and labels that do not overlap."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import altair as alt

from pytest_distill._util.format import quantity_text
from pytest_distill._util.units import Unit
from pytest_distill.report.html.drawing import CELL, LINE, Room, pixels

DOT = 6
"""Pixels around the middle of a point."""
ENOUGH = 4
"""Numbers beside an axis."""
NEAR = 12
"""Pixels to a label that needs no line to its point."""
FAR = 400


@dataclass(frozen=True, slots=True)
class AxisSpan:
    """The numbers that an axis shows."""

    low: float
    high: float
    is_log: bool = False
    is_reversed: bool = False

    @property
    def scale(self) -> alt.Scale:
        """The scale of exactly these numbers."""
        return alt.Scale(
            type="log" if self.is_log else "linear",
            domain=[self.low, self.high],
            nice=False,
            reverse=self.is_reversed,
        )

    def share(self, value: float) -> float:
        """Return how far along the axis a number stands, from 0 to 1."""
        low, high, value = map(self._even, (self.low, self.high, value))
        share = (value - low) / (high - low)
        return 1 - share if self.is_reversed else share

    def at(self, share: float) -> float:
        """Return which number stands there."""
        low, high = map(self._even, (self.low, self.high))
        even = low + (1 - share if self.is_reversed else share) * (high - low)
        return math.exp(even) if self.is_log else even

    def held(self, value: float) -> float:
        """Return a number, or the end beyond which it is."""
        return min(max(value, self.low), self.high)

    def _even(self, value: float) -> float:
        return math.log(value) if self.is_log else value


@dataclass(frozen=True, slots=True)
class Plane:
    """What two axes show, in pixels from the upper left corner."""

    across: AxisSpan
    up: AxisSpan
    room: Room

    def pixels(self, x: float, y: float) -> tuple[float, float]:
        """Return where two numbers stand."""
        return self.across.share(x) * self.room.width, (1 - self.up.share(y)) * self.room.height

    def numbers(self, x: float, y: float) -> tuple[float, float]:
        """Return which numbers stand there."""
        return self.across.at(x / self.room.width), self.up.at(1 - y / self.room.height)


def span_around(values: Iterable[float], *, beside: float = 0.08, least: float = 0.02) -> AxisSpan:
    """Return a span with room `beside` its values, a share of it."""
    found = [*values]
    low, high = min(found), max(found)
    room = max((high - low) * beside, least * max(abs(low), abs(high)), 0.01)
    return AxisSpan(low - room, high + room)


def log_span_around(values: Iterable[float]) -> AxisSpan:
    """Return the span of numbers above 0 that are compared by their ratio."""
    found = [*values]
    low, high = min(found), max(found)
    factor = max((high / low) ** 0.1, 1.5)
    return AxisSpan(low / factor, high * factor, is_log=True)


def log_axis(span: AxisSpan, unit: Unit, title: str, most: int) -> alt.Axis:
    """Return the axis of a span, with at most `most` round numbers told in a unit."""
    ticks = _ticks(span, most)
    told = {_as_script(tick): quantity_text(tick, unit, up=True) for tick in ticks}
    return alt.Axis(values=ticks, labelExpr=f"{json.dumps(told)}[datum.value]", title=title)


def _ticks(span: AxisSpan, most: int) -> list[float]:
    first, last = math.floor(math.log10(span.low)), math.ceil(math.log10(span.high))
    for steps in ((1,), (1, 3), (1, 2, 5), (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)):
        found = [float(f"{step}e{power}") for power in range(first, last + 1) for step in steps]
        inside = [tick for tick in found if span.low <= tick <= span.high]
        if len(inside) >= ENOUGH:
            break
    return inside[:: math.ceil(len(inside) / most)]


def _as_script(value: float) -> str:
    """Return a number as a script makes it a key."""
    return str(int(value)) if value.is_integer() else repr(value)


class Place(NamedTuple):
    """Where the middle of a label's left end stands, in pixels; `far` from its point."""

    x: float
    y: float
    far: bool


class _Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: _Box) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


def placed(
    points: Sequence[tuple[float, float]],
    texts: Sequence[str],
    room: Room,
    line: Sequence[tuple[float, float]] = (),
) -> list[Place | None]:
    """Return where each point's text stands; None where there is no room at all.

    Parameters
    ----------
    points : sequence of (float, float)
        In pixels from the upper left corner.
    texts : sequence of str
        One a point.
    room : Room
        Texts stand between its margins.
    line : sequence of (float, float)
        Corners of a line that they rather do not cross.
    """
    dots = [_Box(x - DOT, y - DOT, x + DOT, y + DOT) for x, y in points]
    crossed = [_segment(one, other) for one, other in pairwise(line)]
    taken = [*dots]
    found: list[Place | None] = []
    for (x, y), text in zip(points, texts, strict=True):
        tried = (
            (cost + 15 * sum(box.meets(each) for each in crossed), place, box)
            for cost, place, box in _around(x, y, pixels(text))
            if box.left >= 0
            and box.right <= room.width
            and box.top >= 0
            and box.bottom <= room.height
            if not any(box.meets(each) for each in taken)
        )
        best = min(tried, key=lambda each: each[0], default=None)
        found.append(best and best[1])
        taken += [best[2]] if best else []
    return found


def _around(x: float, y: float, room: float) -> Iterator[tuple[float, Place, _Box]]:
    """Yield places around a point, with what each costs: the nearest and the right are best."""
    for far in range(NEAR, FAR, 8):
        for rank, (across, up) in enumerate(_DIRECTIONS):
            left = x + across * far - (0 if across > 0 else room if across < 0 else room / 2)
            middle = y + up * far
            box = _Box(left, middle - LINE / 2, left + room + CELL / 2, middle + LINE / 2)
            yield far + rank / 2, Place(left, middle, far > NEAR), box


_DIRECTIONS = ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1))


def _segment(one: tuple[float, float], other: tuple[float, float]) -> _Box:
    (left, right), (top, bottom) = (sorted(pair) for pair in zip(one, other, strict=True))
    return _Box(left - 1, top - 1, right + 1, bottom + 1)


def nearest_end(place: Place, room: float, point: tuple[float, float]) -> tuple[float, float]:
    """Return where a line from a point meets its label."""
    x = min(max(point[0], place.x), place.x + room)
    edge = LINE / 2 - 2
    return x, min(max(point[1], place.y - edge), place.y + edge)
