"""What quality costs: the models of an eval by size, or by latency, and quality."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import altair as alt

from pytest_distill._util.format import quantity_text, score_text
from pytest_distill._util.units import Unit
from pytest_distill.report.html.drawing import (
    NARROW,
    OWN_SHAPE,
    SHAPES,
    WIDE,
    Chart,
    Datasets,
    Room,
    Row,
    across,
    colour,
    drawn,
    label,
    labels,
    named_apart,
    pixels,
    upward,
)
from pytest_distill.report.html.placing import (
    AxisSpan,
    Plane,
    log_axis,
    log_span_around,
    nearest_end,
    placed,
    span_around,
)
from pytest_distill.report.records.comparisons import Frontier, FrontierPoint
from pytest_distill.report.tables import retained_text

MOST_CHARTS = 6
"""Evals of which each kind is drawn."""
ROOMS = (
    WIDE.with_(left=70, right=14, top=8, bottom=44, height=300),
    NARROW.with_(left=58, right=8, top=8, bottom=44, height=280),
)
A_MODEL = 10
"""Pixels of height for each model beyond those that find room anyway."""
FEW = 8


@dataclass(frozen=True, slots=True)
class _Point:
    """A model by what it costs."""

    model: str
    role: str
    cost: float
    score: float
    beaten: str
    retained: str


@dataclass(frozen=True, slots=True)
class _Cost:
    """What quality is held against."""

    kind: str
    title: str
    word: str
    unit: Unit

    def points(self, frontier: Frontier) -> list[_Point]:
        """Return the models whose cost is known."""
        return [
            _Point(
                each.model,
                each.role,
                cost,
                each.score,
                self._beaten(each),
                retained_text(each.retained, infinite=each.infinite),
            )
            for each in frontier.points
            if (cost := self._of(each)) is not None and cost > 0
        ]

    def told(self, cost: float) -> str:
        """Return a cost for people."""
        return quantity_text(cost, self.unit, up=True)

    def _of(self, point: FrontierPoint) -> float | None:
        if self.kind == "size":
            return point.parameters
        return None if point.latency_ms is None else point.latency_ms / 1000

    def _beaten(self, point: FrontierPoint) -> str:
        return point.dominated if self.kind == "size" else point.outpaced


SIZE = _Cost("size", "Size and quality", "parameters", "parameters")
LATENCY = _Cost("latency", "Latency and quality", "latency", "s")


def frontier_charts(frontiers: Sequence[Frontier]) -> Iterator[Chart]:
    """Yield a chart of size and quality, and one of latency and quality, of each eval."""
    for cost in (SIZE, LATENCY):
        known = [(each, cost.points(each)) for each in named_apart(frontiers)]
        shown = [(each, points) for each, points in known if len(points) > 1]
        for place, (frontier, points) in enumerate(shown[:MOST_CHARTS]):
            yield _chart(f"{cost.kind}-{place}", cost, frontier, points)


def _chart(key: str, cost: _Cost, frontier: Frontier, points: Sequence[_Point]) -> Chart:
    more = A_MODEL * max(0, len(points) - FEW)
    return drawn(
        partial(_layers, points, cost, frontier),
        (room.with_(height=room.height + more) for room in ROOMS),
        key,
        sentences=(_sentence(point, cost, frontier) for point in points),
        title=f"{cost.title}: {frontier.eval}",
        caption="Up is better, and to the left is cheaper. Along the line stand the models that no "
        "other one equals for less; a hollow mark is a model that is not worth its cost.",
        columns=("model", "role", cost.word, frontier.metric, "retained", "dominated"),
        rows=(
            (
                point.model,
                point.role,
                cost.told(point.cost),
                _score(point, frontier),
                point.retained,
                point.beaten,
            )
            for point in points
        ),
    )


def _score(point: _Point, frontier: Frontier) -> str:
    return score_text(point.score, higher_is_better=frontier.higher_is_better)


def _sentence(point: _Point, cost: _Cost, frontier: Frontier) -> str:
    beaten = f"; it is dominated: {point.beaten}" if point.beaten else ""
    score = _score(point, frontier)
    return f"{point.model}: {cost.told(point.cost)}, {frontier.metric} {score}{beaten}."


def _layers(
    points: Sequence[_Point], cost: _Cost, frontier: Frontier, room: Room, base: Datasets
) -> list[alt.Chart]:
    costs = log_span_around(point.cost for point in points)
    scores = _scores(points, frontier)
    ticks = 4 if room.is_narrow else 8
    better = "" if frontier.higher_is_better else ", lower is better"
    x = across(costs.scale, log_axis(costs, cost.unit, cost.word, ticks))
    y = upward(
        scores.scale,
        alt.Axis(
            title=label(f"{frontier.metric}{better}", room.height - 20),
            tickCount=6,
            titleX=14 - room.left,
        ),
    )
    best = sorted((point for point in points if not point.beaten), key=lambda each: each.cost)
    rows = [
        {
            "x": point.cost,
            "y": point.score,
            "colour": colour(point.role),
            "shape": SHAPES[point.role],
            "fill": colour("paper" if point.beaten else point.role),
        }
        for point in points
    ]
    names, leads = _names(points, best, Plane(costs, scores, room))
    ends = [{"x": point.cost, "y": point.score, "order": i} for i, point in enumerate(best)]
    return [
        base(ends)
        .mark_line(color=colour("muted"), strokeWidth=1.5, interpolate="step-after")
        .encode(x=x("x"), y=y("y"), order="order:Q"),
        base(leads)
        .mark_rule(color=colour("muted"), strokeWidth=0.75)
        .encode(x=x("x"), y=y("y"), x2="x2", y2="y2"),
        base(rows)
        .mark_point(filled=True, size=90, strokeWidth=2, opacity=1)
        .encode(
            x=x("x"),
            y=y("y"),
            stroke=alt.Stroke("colour:N", scale=None),
            fill=alt.Fill("fill:N", scale=None),
            shape=OWN_SHAPE,
        ),
        base(names)
        .mark_text(align="left", stroke=colour("paper"), strokeWidth=3)
        .encode(x=x("x"), y=y("y"), text="text:N"),
        base(names).mark_text(align="left").encode(x=x("x"), y=y("y"), text="text:N"),
    ]


def _scores(points: Sequence[_Point], frontier: Frontier) -> AxisSpan:
    span = span_around((point.score for point in points), beside=0.12)
    return AxisSpan(span.low, span.high, is_reversed=not frontier.higher_is_better)


def _names(
    points: Sequence[_Point], best: Sequence[_Point], plane: Plane
) -> tuple[list[Row], list[Row]]:
    """Return the names beside their points, and lines to those that are not near them."""
    short = labels((point.model for point in points), plane.room.width / 3)
    texts = [short[point.model] for point in points]
    dots = [plane.pixels(point.cost, point.score) for point in points]
    corners = [plane.pixels(point.cost, point.score) for point in best]
    steps = [
        corner
        for (_, above), (x, y) in zip([*corners[:1], *corners], corners, strict=False)
        for corner in ((x, above), (x, y))
    ]
    names: list[Row] = []
    leads: list[Row] = []
    for text, dot, place in zip(texts, dots, placed(dots, texts, plane.room, steps), strict=True):
        if place is None:
            continue
        x, y = plane.numbers(place.x, place.y)
        names.append({"x": x, "y": y, "text": text})
        if place.far:
            (x, y), (x2, y2) = (
                plane.numbers(*end) for end in (dot, nearest_end(place, pixels(text), dot))
            )
            leads.append({"x": x, "y": y, "x2": x2, "y2": y2})
    return names, leads
