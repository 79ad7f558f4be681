"""Reliability diagrams: whether the answers given with a probability are right as often as that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise

import altair as alt

from pytest_distill._util.format import ceil_text, count_text, floor_text
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
    linear,
    named_apart,
)
from pytest_distill.report.records.comparisons import CalibrationRow
from pytest_distill.report.records.record import grouped
from pytest_distill.report.records.report import Report

MOST_CHARTS = 6
MOST_MODELS = 12
COLUMNS = {WIDE.total: 3, NARROW.total: 2}
LEFT, RIGHT, TOP, BOTTOM = 34, 12, 2 * LINE + 8, 2 * LINE + 12
"""Pixels around the square of each model."""
TICKS = (0, 0.5, 1)
LARGEST = {WIDE.total: 170, NARROW.total: 90}
"""Square pixels of the point with the most answers."""

Roles = Mapping[tuple[str, str], str]
"""Config and name of a model -> its role."""


def reliability_charts(report: Report) -> Iterator[Chart]:
    """Yield a chart of each eval, with a diagram of each model."""
    roles = {(model.config, model.name): model.role for model in report.models}
    found = grouped(named_apart(report.calibration), lambda row: row.eval)
    for place, (name, rows) in enumerate([*found.items()][:MOST_CHARTS]):
        yield _chart(f"reliability-{place}", name, rows, roles)


def _chart(key: str, name: str, rows: Sequence[CalibrationRow], roles: Roles) -> Chart:
    shown = rows[:MOST_MODELS]
    return drawn(
        partial(_layers, shown, roles),
        (size.with_(height=_height(len(shown), size)) for size in (WIDE, NARROW)),
        key,
        sentences=map(_sentence, shown),
        title=f"Whether probabilities are what they say: {name}",
        caption="To the right the probability with which a model gave its answers, up the share of "
        "them that is right; the larger a point, the more answers. On the diagonal both are the "
        "same; below it a model is too sure of itself. ECE is the mean distance from it.",
        columns=("model", "ECE", "answers", "mean probability", "share right"),
        rows=(
            (
                row.model,
                ceil_text(row.ece),
                f"{each.n:,}",
                floor_text(each.probability),
                floor_text(each.right),
            )
            for row in rows
            for each in row.bins
        ),
    )


def _sentence(row: CalibrationRow) -> str:
    n = sum(each.n for each in row.bins)
    over = count_text(n, "answer")
    return f"{row.model}: expected calibration error {ceil_text(row.ece)} over {over}."


def _side(room: Room) -> int:
    return room.total // COLUMNS[room.total] - LEFT - RIGHT


def _height(models: int, room: Room) -> int:
    return -(-models // COLUMNS[room.total]) * (_side(room) + TOP + BOTTOM)


def _layers(
    rows: Sequence[CalibrationRow], roles: Roles, room: Room, base: Datasets
) -> list[alt.Chart]:
    x, y = across(linear(0, room.width, range=[0, room.width])), downward(room)
    where = {"x": x("x"), "y": y("y")}
    to = {"x2": "x2", "y2": "y2"}
    lines: list[Row] = []
    texts: list[Row] = []
    points: list[Row] = []
    names = labels((row.model for row in rows), _side(room) + RIGHT)
    for place, row in enumerate(rows):
        panel = _Panel(place, room)
        role = roles.get((row.config, row.model), "student")
        lines += panel.frame()
        texts += panel.texts(row, names[row.model])
        points += panel.points(row, role)
    return [
        base(lines).mark_rule().encode(**where, **to, color=OWN_COLOUR),
        base(_steps(points)).mark_rule(strokeWidth=1.5).encode(**where, **to, color=OWN_COLOUR),
        base(points)
        .mark_point(filled=True, opacity=1, stroke=colour("paper"), strokeWidth=0.5)
        .encode(
            **where,
            fill=alt.Fill("colour:N", scale=None),
            shape=OWN_SHAPE,
            size=alt.Size("size:Q", scale=None),
        ),
        *(
            base([text for text in texts if text["align"] == align])
            .mark_text(align=align)
            .encode(**where, text="text:N", color=OWN_COLOUR)
            for align in ("left", "center", "right")
        ),
    ]


def _steps(points: Sequence[Row]) -> Iterator[Row]:
    """Yield lines from each point to the next of its model."""
    for one, other in pairwise(points):
        if one["panel"] == other["panel"]:
            yield one | {"x2": other["x"], "y2": other["y"]}


class _Panel:
    """The square of a model."""

    def __init__(self, place: int, room: Room) -> None:
        columns, self._side = COLUMNS[room.total], _side(room)
        self._place, self._largest = place, LARGEST[room.total]
        self._left = (place % columns) * (room.total // columns) + LEFT
        self._top = (place // columns) * (self._side + TOP + BOTTOM) + TOP

    def _at(self, x: float, y: float) -> Row:
        return {"x": self._left + x * self._side, "y": self._top + (1 - y) * self._side}

    def _line(self, x: float, y: float, x2: float, y2: float, name: str) -> Row:
        end = self._at(x2, y2)
        return self._at(x, y) | {"x2": end["x"], "y2": end["y"], "colour": colour(name)}

    def frame(self) -> Iterator[Row]:
        """Yield its grid and its diagonal."""
        for tick in TICKS:
            yield self._line(0, tick, 1, tick, "grid")
            yield self._line(tick, 0, tick, 1, "grid")
        yield self._line(0, 0, 1, 1, "muted")

    def texts(self, row: CalibrationRow, name: str) -> Iterator[Row]:
        """Yield the name and the error above it, and the numbers at its edges."""
        edge, muted = self._left, colour("muted")
        above = {"x": edge, "align": "left"}
        yield above | {"y": self._top - 1.5 * LINE - 4, "text": name, "colour": colour("ink")}
        ece = f"ECE {ceil_text(row.ece)}"
        yield above | {"y": self._top - LINE / 2 - 4, "text": ece, "colour": muted}
        for tick in TICKS:
            beside = {"text": f"{tick:g}", "colour": muted}
            below = self._at(tick, 0)
            yield beside | {"x": below["x"], "y": below["y"] + LINE / 2 + 2, "align": "center"}
            left = self._at(0, tick)
            yield beside | {"x": left["x"] - 5, "y": left["y"], "align": "right"}
        middle = self._at(0.5, 0)
        told = {"text": "probability", "colour": muted, "align": "center"}
        yield told | {"x": middle["x"], "y": middle["y"] + 1.5 * LINE + 2}

    def points(self, row: CalibrationRow, role: str) -> Iterator[Row]:
        """Yield a point for each bin, as large as it has answers."""
        most = max((each.n for each in row.bins), default=1)
        for each in row.bins:
            yield self._at(each.probability, each.right) | {
                "panel": self._place,
                "colour": colour(role),
                "shape": SHAPES[role],
                "size": max(12.0, self._largest * each.n / most),
            }
