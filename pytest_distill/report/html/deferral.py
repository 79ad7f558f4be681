"""The deferral curve: what a pair keeps, by how much the student answers itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import altair as alt

from pytest_distill._util.format import ceil_text, floor_text, limit_text
from pytest_distill.report.frontier import curve_of, kept_text
from pytest_distill.report.html.drawing import (
    LINE,
    NARROW,
    OWN_COLOUR,
    WIDE,
    Chart,
    Datasets,
    Room,
    Row,
    across,
    colour,
    drawn,
    label,
    pixels,
    upward,
)
from pytest_distill.report.html.placing import AxisSpan, Plane, placed, span_around
from pytest_distill.report.records.gates import GateRow

MOST_CHARTS = 6
ROOMS = (
    WIDE.with_(left=70, right=24, top=8, bottom=44, height=260),
    NARROW.with_(left=58, right=20, top=8, bottom=44, height=240),
)

Curve = Sequence[Mapping[str, Any]]


def deferral_charts(gates: Sequence[GateRow]) -> Iterator[Chart]:
    """Yield the curve of each pair that a gate looked at."""
    shown = [gate for gate in gates if gate.details.get("curve")]
    for place, gate in enumerate(shown[:MOST_CHARTS]):
        yield _chart(f"deferral-{place}", gate)


def _chart(key: str, gate: GateRow) -> Chart:
    curve = curve_of(gate)
    by, metric = str(gate.details["by"]), gate.metric or ""
    return drawn(
        partial(_layers, gate, curve),
        ROOMS,
        key,
        sentences=[_summary(gate)],
        title=f"Who answers: {gate.model} and the teacher on {gate.eval}",
        caption="The student answers where it is sure enough, the teacher the rest. To the right "
        "the student answers more; up, the pair keeps more of the teacher's quality."
        + (" The ring is the threshold that was chosen." if _chosen(gate, curve) else ""),
        columns=("student answers", f"{by} at least", f"{metric} of the pair", "retained"),
        rows=(
            (
                floor_text(point["handled"]),
                ceil_text(point["threshold"]),
                floor_text(point["score"]),
                kept_text(point),
            )
            for point in curve
        ),
    )


def _chosen(gate: GateRow, curve: Curve) -> Mapping[str, Any] | None:
    threshold = gate.details["threshold"]
    return next((point for point in curve if point["threshold"] == threshold), None)


def _asked(gate: GateRow) -> tuple[str, str]:
    """Return how much the student has to answer, and how much the pair has to keep."""
    return limit_text(gate.required or 0), limit_text(gate.details["retained_required"])


def _summary(gate: GateRow) -> str:
    handled, kept = _asked(gate)
    asked = f"Asked for: at least {handled} answered by the student, {kept} retained."
    chosen = _chosen(gate, gate.details["curve"])
    if chosen is None:
        return f"No threshold of {gate.details['by']} is shown to keep enough. {asked}"
    return (
        f"Where {gate.details['by']} is at least {ceil_text(chosen['threshold'])} {gate.model} "
        f"answers: {floor_text(chosen['handled'])} of the examples. The pair retains "
        f"{kept_text(chosen)} of the teacher's quality. {asked}"
    )


def _layers(gate: GateRow, curve: Curve, room: Room, base: Datasets) -> list[alt.Chart]:
    known = [point for point in curve if point["retained"] is not None]
    floor, least = float(gate.details["retained_required"]), gate.required or 0.0
    kept = span_around([floor, 1.0, *(point["retained"] for point in known)], beside=0.15)
    plane = Plane(AxisSpan(0, 1), kept, room)
    answers = alt.Axis(title="share that the student answers", tickCount=5, grid=False)
    x = across(plane.across.scale, answers)
    y = upward(
        kept.scale, alt.Axis(title="retained by the pair", tickCount=6, titleX=14 - room.left)
    )
    where = {"x": x("x"), "y": y("y")}
    rows = [{"x": point["handled"], "y": point["retained"]} for point in known]
    texts = [*_limits(gate, plane, least, floor), *_marked(gate, known, plane)]
    blue = colour("student")
    return [
        base([{"y": floor}])
        .mark_rule(color=colour("floor"), strokeWidth=2, strokeDash=[6, 4])
        .encode(y=y("y")),
        base([{"x": least}])
        .mark_rule(color=colour("floor"), strokeWidth=1.5, strokeDash=[2, 3])
        .encode(x=x("x")),
        base(rows).mark_line(color=blue, strokeWidth=1.5).encode(**where),
        base(rows).mark_point(filled=True, size=30, opacity=1, color=blue).encode(**where),
        base([row for row, point in zip(rows, known, strict=True) if point is _chosen(gate, known)])
        .mark_point(size=170, strokeWidth=3, opacity=1, stroke=blue, fill=colour("paper"))
        .encode(**where),
        base(texts)
        .mark_text(align="left", stroke=colour("paper"), strokeWidth=3)
        .encode(**where, text="text:N"),
        base(texts).mark_text(align="left").encode(**where, text="text:N", color=OWN_COLOUR),
    ]


def _limits(gate: GateRow, plane: Plane, least: float, floor: float) -> Iterator[Row]:
    """Yield what is asked for, beside its line: below the floor no curve is wanted."""
    handled, kept = _asked(gate)
    _, y = plane.pixels(0, floor)
    yield _text(f"floor {kept}", 6, y + LINE / 2 + 2, plane, "floor")
    text = f"asked for {handled}"
    x, _ = plane.pixels(least, floor)
    left = x + 6 if x + 6 + pixels(text) < plane.room.width else x - 6 - pixels(text)
    yield _text(text, left, plane.room.height - LINE / 2, plane, "floor")


def _marked(gate: GateRow, curve: Curve, plane: Plane) -> Iterator[Row]:
    """Yield what the chosen threshold is, where it crosses nothing."""
    line = [plane.pixels(point["handled"], point["retained"]) for point in curve]
    chosen = _chosen(gate, curve)
    if chosen is None:
        return
    text = label(
        f"{gate.details['by']} >= {ceil_text(chosen['threshold'])}", plane.room.width * 0.75
    )
    dot = plane.pixels(chosen["handled"], chosen["retained"])
    for place in placed([dot], [text], plane.room, line):
        if place is not None:
            yield _text(text, place.x, place.y, plane, "ink")


def _text(text: str, x: float, y: float, plane: Plane, name: str) -> Row:
    across, up = plane.numbers(x, y)
    return {"x": across, "y": up, "text": text, "colour": colour(name)}
