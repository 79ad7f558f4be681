"""What was retained of the teacher's quality, with intervals, against the floor: a forest plot."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import altair as alt

from pytest_distill._util.format import interval_text, limit_text
from pytest_distill.report.html.drawing import (
    LINE,
    NARROW,
    OWN_COLOUR,
    OWN_SHAPE,
    SHAPES,
    WIDE,
    Chart,
    Datasets,
    Room,
    Row,
    across,
    colour,
    downward,
    drawn,
    labels,
    named_apart,
)
from pytest_distill.report.html.placing import AxisSpan
from pytest_distill.report.records.comparisons import SLICES_OF_EACH, RetainedRow
from pytest_distill.report.records.record import grouped
from pytest_distill.report.records.report import Report
from pytest_distill.report.tables import retained_text

GAP = 10
MOST_EVALS = 60
"""Of a chart; all stand in its table."""
MOST_SLICES = 30
MOST_CHARTS = 8
"""Evals whose slices are drawn."""
LEAST, MOST = -0.5, 2.5
"""Shares that are drawn; one that is beyond is told by an arrow."""
ROOMS = (
    WIDE.with_(left=230, right=200, top=44, bottom=6),
    NARROW.with_(left=92, right=64, top=44, bottom=6),
)
BESIDE = 12
"""Pixels between the plot and what stands beside it."""
LEFT, RIGHT = "triangle-left", "triangle-right"

Roles = Mapping[tuple[str, str], str]
"""Config and name of a model -> its role."""


@dataclass(frozen=True, slots=True)
class _Band:
    """The models on one eval, or on one slice of it."""

    name: str
    rows: Sequence[RetainedRow]


def forest_charts(report: Report) -> Iterator[Chart]:
    """Yield one chart of all evals, and one of each eval's slices."""
    roles = {(model.config, model.name): model.role for model in report.models}
    rows = named_apart(report.retained)
    whole = _bands((row for row in rows if row.slice is None), lambda row: row.eval)
    if whole:
        yield _chart("retained", "Quality retained", whole, roles, MOST_EVALS, "evals")
    parted = _bands((row for row in rows if row.slice is not None), lambda row: row.eval)
    for place, of_eval in enumerate(parted[:MOST_CHARTS]):
        bands = _bands(of_eval.rows, lambda row: row.slice or "")
        title = f"Quality retained by slice: {of_eval.name}"
        yield _chart(f"slices-{place}", title, bands, roles, MOST_SLICES, "slices")


def _bands(rows: Iterable[RetainedRow], name: Callable[[RetainedRow], str]) -> list[_Band]:
    return [_Band(each, of) for each, of in grouped(rows, name).items()]


def _chart(
    key: str, title: str, bands: Sequence[_Band], roles: Roles, most: int, what: str
) -> Chart:
    shown = bands[:most]
    rest = len(bands) - len(shown)
    more = f" {rest:,} more {what} are in the table." if rest > 0 else ""
    of_each = Counter(row.model for band in bands for row in band.rows)
    if what == "slices" and max(of_each.values()) >= SLICES_OF_EACH:
        more += f" Of each model only the {SLICES_OF_EACH} slices stand there where it kept least."
    return drawn(
        partial(_layers, shown, roles, _span(shown)),
        (room.with_(height=_height(shown, room)) for room in ROOMS),
        key,
        sentences=(_sentence(band, row) for band in shown for row in band.rows),
        title=title,
        caption="A point is the share of the teacher's quality that a model retained, its line the "
        "two-sided 95 % interval, the upright stroke the floor that a gate asks for. At 1 a model "
        "is as good as the teacher." + more,
        columns=("eval", "slice", "model", "n", "retained", "95 % interval", "floor"),
        rows=(_cells(row) for band in bands for row in band.rows),
    )


def _span(bands: Sequence[_Band]) -> AxisSpan:
    """Return the shares that are drawn: all points, and of the intervals what does not crowd."""
    rows = [row for band in bands for row in band.rows]
    points = [1.0, *_known(row.retained for row in rows), *_known(row.floor for row in rows)]
    low, high = max(LEAST, min(points)), min(MOST, max(points))
    beside = max(high - low, 0.1)
    bounds = [*_known(row.lower for row in rows), *_known(row.upper for row in rows), low, high]
    low = max(min(bounds), low - beside)
    high = min(max(bounds), high + beside)
    room = (high - low) * 0.04
    return AxisSpan(low - room, high + room)


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _head(room: Room) -> int:
    """Return the pixels of a band above its models: narrow ones have the name there."""
    return LINE if room.is_narrow else 0


def _height(bands: Sequence[_Band], room: Room) -> int:
    return sum(_head(room) + LINE * len(band.rows) + GAP for band in bands)


def _layers(
    bands: Sequence[_Band], roles: Roles, span: AxisSpan, room: Room, base: Datasets
) -> list[alt.Chart]:
    names, rows = _told(bands, roles, span, room)
    axis = alt.Axis(
        orient="top",
        title="retained" if room.is_narrow else "share of the teacher's quality retained",
        tickCount=4 if room.is_narrow else 5,
        domain=False,
        ticks=False,
        labelFlush=False,
    )
    x, y = across(span.scale, axis), downward(room)("y")
    marks = base(rows)
    lines = base([row for row in rows if row["low"] is not None])
    floors = base([row for row in rows if row["floor"] is not None])
    one, named = base([{"x": 1}]), base(names)
    return [
        one.mark_rule(color=colour("muted"), strokeDash=[4, 3]).encode(x=x("x")),
        lines.mark_rule(strokeWidth=2).encode(x=x("low"), x2="high", y=y, color=OWN_COLOUR),
        base(_arrows(rows))
        .mark_point(filled=True, size=50, opacity=1)
        .encode(x=x("x"), y=y, color=OWN_COLOUR, shape=OWN_SHAPE),
        floors.mark_tick(color=colour("floor"), thickness=3, opacity=1, size=LINE - 2).encode(
            x=x("floor"), y=y
        ),
        marks.mark_point(filled=True, size=70, opacity=1).encode(
            x=x("at"), y=y, color=OWN_COLOUR, shape=OWN_SHAPE
        ),
        named.mark_text(align="left").encode(x=alt.value(-room.left), y=y, text="text:N"),
        marks.mark_text(align="right", color=colour("muted")).encode(
            x=alt.value(-BESIDE), y=y, text="model:N"
        ),
        marks.mark_text(align="left").encode(x=alt.value(room.width + BESIDE), y=y, text="told:N"),
    ]


def _told(
    bands: Sequence[_Band], roles: Roles, span: AxisSpan, room: Room
) -> tuple[list[Row], list[Row]]:
    """Return the names of the bands, and the rows of all; each with its place."""
    models = labels(
        (row.model for band in bands for row in band.rows),
        room.left * (0.8 if room.is_narrow else 0.38),
    )
    beside = room.total if room.is_narrow else room.left * 0.58
    bare = labels((band.name for band in bands), beside)
    names: list[Row] = []
    rows: list[Row] = []
    top = 0
    for band in bands:
        names.append({"y": top + LINE / 2, "text": bare[band.name]})
        top += _head(room)
        for row in band.rows:
            drawn = _drawn(row, span) | {"y": top + LINE / 2, "model": models[row.model]}
            role = roles.get((row.config, row.model), "student")
            drawn |= {"colour": colour(role), "told": _number(row, narrow=room.is_narrow)}
            rows.append({"shape": SHAPES[role]} | drawn)
            top += LINE
        top += GAP
    return names, rows


def _drawn(row: RetainedRow, span: AxisSpan) -> Row:
    """Return where point, line and floor stand; an arrow where one goes on beyond the edge."""
    at = math.inf if row.retained is None else row.retained
    drawn: Row = {"at": span.held(at), "low": None, "floor": row.floor}
    if not span.low <= at <= span.high:
        drawn["shape"] = RIGHT if at > span.high else LEFT
    if row.lower is not None or row.upper is not None:
        low = span.low if row.lower is None else span.held(row.lower)
        high = span.high if row.upper is None else span.held(row.upper)
        drawn |= {"low": low, "high": high, "on left": low == span.low}
        drawn |= {"on right": high == span.high and drawn.get("shape") != RIGHT}
    return drawn


def _arrows(rows: Sequence[Row]) -> Iterator[Row]:
    """Yield the ends of intervals that go on."""
    for row in rows:
        if row.get("on left"):
            yield row | {"x": row["low"], "shape": LEFT}
        if row.get("on right"):
            yield row | {"x": row["high"], "shape": RIGHT}


def _number(row: RetainedRow, *, narrow: bool) -> str:
    retained, interval = _retained(row), _interval(row)
    return f"{retained} ({interval})" if interval and not narrow else retained


def _retained(row: RetainedRow) -> str:
    return retained_text(row.retained, infinite=row.retained is None)


def _interval(row: RetainedRow) -> str:
    known = row.lower is not None or row.upper is not None
    return interval_text(row.lower, row.upper) if known else ""


def _floor(row: RetainedRow) -> str:
    return "" if row.floor is None else limit_text(row.floor)


def _sentence(band: _Band, row: RetainedRow) -> str:
    interval, floor = _interval(row), _floor(row)
    told = [f"95 % interval {interval}"] if interval else []
    told += [f"floor {floor}"] if floor else []
    beside = f" ({', '.join(told)})" if told else ""
    return f"{band.name}: {row.model} retained {_retained(row)}{beside}."


def _cells(row: RetainedRow) -> tuple[str, ...]:
    numbers = (f"{row.n:,}", _retained(row), _interval(row), _floor(row))
    return (row.eval, row.slice or "", row.model, *numbers)
