"""Wins, losses and ties: on how many examples a student does better and worse than another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import altair as alt

from pytest_distill._util.format import count_text
from pytest_distill.report.html.drawing import (
    LINE,
    NARROW,
    WIDE,
    Chart,
    Datasets,
    Room,
    Row,
    across,
    colour,
    downward,
    drawn,
    label,
    linear,
    named_apart,
    pixels,
)
from pytest_distill.report.records.comparisons import PairRow

BAR = 16
GAP = 14
STEP = LINE + BAR + GAP
MOST = 40
"""Pairs; all of them stand in the table."""


def pair_charts(rows: Sequence[PairRow]) -> Iterator[Chart]:
    """Yield one chart of all pairs."""
    if not rows:
        return
    rows = named_apart(rows)
    shown = rows[:MOST]
    several = len({row.eval for row in rows}) > 1
    yield drawn(
        partial(_layers, shown, several),
        (size.with_(height=len(shown) * STEP - GAP) for size in (WIDE, NARROW)),
        key="pairs",
        sentences=map(_sentence, shown),
        title="Wins, losses and ties",
        caption="To the right the share of the examples on which the student does better, to the "
        "left of those on which it does worse.",
        columns=("student", "against", "eval", "metric", "wins", "losses", "ties"),
        rows=map(_cells, rows),
    )


def _cells(row: PairRow) -> tuple[str, ...]:
    counts = (f"{count:,}" for count in (row.wins, row.losses, row.ties))
    return (row.model, row.other, row.eval, row.metric, *counts)


def _sentence(row: PairRow) -> str:
    return (
        f"On {row.eval} {row.model} does better than {row.other} on "
        f"{count_text(row.wins, 'example')}, worse on {row.losses:,} and the same on {row.ties:,}."
    )


def _layers(rows: Sequence[PairRow], several: bool, room: Room, base: Datasets) -> list[alt.Chart]:
    """Return the names above each bar, and the counts beside it."""
    told = [_told(row, place, room, several=several) for place, row in enumerate(rows)]
    beside = max(pixels(each[side]) for each in told for side in ("lost", "won")) + 12
    most = max(max(-each["left"], each["right"]) for each in told) or 1
    edge = most * (room.width / 2) / max(room.width / 2 - beside, BAR)
    x, y = across(linear(-edge, edge)), downward(room)
    marks = base(told)
    bar, above = y("bar"), y("above")
    return [
        marks.mark_bar(height=BAR, color=colour("bad")).encode(x=x("left"), x2="zero", y=bar),
        marks.mark_bar(height=BAR, color=colour("good")).encode(x=x("right"), x2="zero", y=bar),
        marks.mark_tick(color=colour("ink"), thickness=2, size=BAR + 6, orient="vertical").encode(
            x=x("zero"), y=bar
        ),
        marks.mark_text(align="right", dx=-6).encode(x=x("left"), y=bar, text="lost:N"),
        marks.mark_text(align="left", dx=6).encode(x=x("right"), y=bar, text="won:N"),
        marks.mark_text(align="left").encode(x=alt.value(0), y=above, text="name:N"),
        marks.mark_text(align="right", color=colour("muted")).encode(
            x=alt.value(room.width), y=above, text="same:N"
        ),
    ]


def _told(row: PairRow, place: int, room: Room, *, several: bool) -> Row:
    n = (row.wins + row.losses + row.ties) or 1
    top = place * STEP
    same = count_text(row.ties, "tie")
    where = f", {row.eval}" if several else ""
    left = room.width - pixels(same) - 12
    half = (left - pixels(" against ")) / (3 if several else 2)
    name = f"{label(row.model, half)} against {label(row.other, half)}"
    return {
        "left": -row.losses / n,
        "right": row.wins / n,
        "zero": 0,
        "above": top + LINE / 2,
        "bar": top + LINE + BAR / 2 + 2,
        "name": label(f"{name}{where}", left),
        "same": same,
        "lost": count_text(row.losses, "loss", "losses"),
        "won": count_text(row.wins, "win"),
    }
