"""What charts have in common: colours, room, text, and how one becomes SVG that stands in a page.

A chart is drawn twice, wide and narrow, and shows no colour of its own: each is a variable of the
page's style, so that one drawing is for light and for dark paper.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from os.path import commonprefix
from typing import Any, TypeVar
from xml.etree import ElementTree

import altair as alt
import vl_convert

from pytest_distill.errors import one_line
from pytest_distill.report.records.comparisons import (
    CalibrationRow,
    Frontier,
    PairRow,
    RetainedRow,
)
from pytest_distill.report.tables import cells, shortened

COLOURS: Mapping[str, tuple[str, str]] = {
    "paper": ("#ffffff", "#0d1117"),
    "ink": ("#1b1f24", "#e6edf3"),
    "muted": ("#57606a", "#9ca7b3"),
    "grid": ("#dde2e7", "#2b323b"),
    "teacher": ("#4a4a55", "#c3c9d2"),
    "student": ("#0062a8", "#6cb6ff"),
    "sft": ("#b34700", "#ffa657"),
    "good": ("#00735c", "#3fc9a0"),
    "bad": ("#b3261e", "#ff8f85"),
    "floor": ("#99006a", "#ff8ad8"),
}
"""A variable of the page's style, without its dashes -> its colour on light and on dark paper. Told
apart by people who see no red or no green; shapes tell roles apart too."""

SHAPES = {"teacher": "square", "student": "circle", "sft": "diamond"}
"""Of a model's role."""

FONT = "system-ui, sans-serif"
TEXT_SIZE = 12
LINE = 16
"""Pixels from one line of text to the next."""
CELL = 7.4
"""Pixels of a column of text, about."""

MOST_SENTENCES = 6
"""Of a summary: whoever listens finds the rest in the table."""

Row = dict[str, Any]
OfEval = TypeVar("OfEval", RetainedRow, PairRow, CalibrationRow, Frontier)

OWN_COLOUR = alt.Color("colour:N", scale=None)
OWN_SHAPE = alt.Shape("shape:N", scale=None)
"""As the row says it."""


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart as it stands in a page."""

    key: str
    """A name of its own in the page, which an ``id`` may be; it begins with the `kind`."""
    title: str
    """Text, as all but the drawings."""
    caption: str
    """How it is read."""
    summary: str
    """What it shows, with its numbers, for whoever does not see it; the drawings say it too."""
    wide: str
    """SVG, of `WIDE.total` pixels."""
    narrow: str
    """The same for a phone, of `NARROW.total` pixels."""
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    """All that it shows as a table."""

    @property
    def kind(self) -> str:
        """What all charts of a kind are about, e.g. ``retained``."""
        return self.key.partition("-")[0]


@dataclass(frozen=True, slots=True)
class Room:
    """The pixels that a drawing has: `total` from left to right, margins included."""

    total: int
    left: int = 0
    right: int = 0
    top: int = 0
    bottom: int = 0
    height: int = 0
    """Of what is between the margins."""

    @property
    def width(self) -> int:
        """What is between the margins."""
        return self.total - self.left - self.right

    @property
    def is_narrow(self) -> bool:
        """Whether it is drawn for a phone."""
        return self.total < WIDE.total

    def with_(self, **margins: int) -> Room:
        """Return it with other margins, or another height."""
        return replace(self, **margins)


WIDE = Room(720)
NARROW = Room(340)


def colour(name: str) -> str:
    """Return a variable of `COLOURS` as a colour."""
    return f"var(--{name})"


def label(text: str, room: float) -> str:
    """Return a text from data on one line, its middle left out where it needs more pixels."""
    whole = shown = one_line(text)
    most = int(room / CELL) + 8
    while pixels(shown) > room and most > 3:
        shown, most = shortened(whole, most), most - 1
    return shown


def labels(texts: Iterable[str], room: float) -> dict[str, str]:
    """Return texts as labels that can be told apart, where the texts can."""
    found = {text: label(text, room) for text in texts}
    for shown in [*dict.fromkeys(found.values())]:
        alike = [text for text, short in found.items() if short == shown]
        if len(alike) > 1:
            head = len(commonprefix(alike))  # noqa: RUF071 (of characters)
            tail = len(commonprefix([text[::-1] for text in alike]))  # noqa: RUF071
            for place, text in enumerate(alike, start=1):
                own = label(f"..{text[head : max(head, len(text) - tail)]}", room)
                found[text] = f"{place}{shown}" if own in found.values() else own
    return found


def pixels(text: str) -> float:
    """Return how much room a text needs at most, in the fonts that there are."""
    more = sum(each * len(pattern.findall(text)) for pattern, each in _UNEVEN.items())
    return cells(text) * CELL + more


_UNEVEN = {
    re.compile("[MWm@%]"): 4.6,
    re.compile("[A-LN-VX-Z&_w]"): 1.6,
    re.compile(r"[fijlrt.,:;'|()\[\]]"): -2.5,
}
"""Characters that need more or less room than others."""


def _summed_up(sentences: Sequence[str]) -> str:
    """Return the first sentences, and how many more there would be."""
    rest = len(sentences) - MOST_SENTENCES
    more = [f"{rest:,} more rows are in the table."] if rest > 0 else []
    return " ".join([*map(one_line, sentences[:MOST_SENTENCES]), *more])


def named_apart(rows: Sequence[OfEval]) -> list[OfEval]:
    """Return rows whose evals are told apart: with their ``distill.yaml`` where it takes that."""
    if len({row.config for row in rows}) < 2:
        return list(rows)
    return [replace(row, eval=f"{row.eval} ({row.config})") for row in rows]


class Datasets(dict[str, Sequence[Row]]):
    """The rows of a drawing's layers: they are named, since altair copies and checks the others."""

    def __call__(self, rows: Iterable[Row]) -> alt.Chart:
        """Return what the layers of a chart with these rows begin with."""
        name = f"rows-{len(self)}"
        self[name] = [*rows]
        return alt.Chart(alt.NamedData(name=name))


@cache
def _config() -> alt.Config:
    return alt.Config(
        background="transparent",
        font=FONT,
        view=alt.ViewConfig(stroke=None),
        text=alt.MarkConfig(color=colour("ink"), fontSize=TEXT_SIZE, baseline="middle"),
        axis=alt.AxisConfig(
            domainColor=colour("muted"),
            tickColor=colour("muted"),
            gridColor=colour("grid"),
            labelColor=colour("muted"),
            titleColor=colour("muted"),
            labelFontSize=TEXT_SIZE,
            titleFontSize=TEXT_SIZE,
            titleFontWeight="normal",
            labelLimit=0,
            titleLimit=0,
            titlePadding=8,
        ),
    )


Draw = Callable[[Room, Datasets], Sequence[alt.Chart]]
"""Returns the layers of a drawing, the lowest first."""


def across(scale: alt.Scale, axis: alt.Axis | None = None) -> Callable[[str], alt.X]:
    """Return what makes a number of each row its place from left to right.

    Each layer gets the axis: one that has none would take it from the others.
    """
    return lambda field: alt.X(f"{field}:Q", scale=scale, axis=axis)


def upward(scale: alt.Scale, axis: alt.Axis | None = None) -> Callable[[str], alt.Y]:
    """Return what makes a number of each row its place from bottom to top."""
    return lambda field: alt.Y(f"{field}:Q", scale=scale, axis=axis)


def downward(room: Room) -> Callable[[str], alt.Y]:
    """Return what makes a number of each row its pixels from the top."""
    return upward(linear(0, room.height, range=[0, room.height]))


def linear(low: float, high: float, **more: Any) -> alt.Scale:
    """Return the scale from `low` to `high`, and no further."""
    return alt.Scale(domain=[low, high], nice=False, zero=False, **more)


def drawn(
    draw: Draw,
    rooms: Iterable[Room],
    key: str,
    *,
    sentences: Iterable[str],
    rows: Iterable[tuple[str, ...]],
    **told: Any,
) -> Chart:
    """Return a chart, drawn in both of its rooms.

    Parameters
    ----------
    draw : callable
        What is drawn.
    rooms : iterable of Room
        A wide and a narrow one.
    key : str
        The chart's, which the ``id`` of its parts begin with.
    sentences : iterable of str
        What it shows; the first ones are read aloud in its place.
    rows : iterable of tuple
        All that it shows as a table.
    **told
        The other fields of a `Chart`.
    """
    summary = _summed_up([*sentences])
    wide, narrow = (_svg(draw, room, f"{key}-{room.total}", summary) for room in rooms)
    return Chart(key, summary=summary, wide=wide, narrow=narrow, rows=tuple(rows), **told)


def _svg(draw: Draw, room: Room, key: str, summary: str) -> str:
    """Return a drawing of exactly its pixels: what stands in the margins moves nothing."""
    datasets = Datasets()
    layers = [layer for layer in draw(room, datasets) if datasets[layer.data.name]]
    drawing = alt.layer(
        *layers,
        width=room.width,
        height=room.height,
        padding={side: getattr(room, side) for side in ("left", "right", "top", "bottom")},
        autosize=alt.AutoSizeParams(type="none"),
        config=_config(),
    )
    whole = drawing.to_dict() | {"datasets": datasets}
    return _for_page(vl_convert.vegalite_to_svg(whole, allowed_base_urls=[]), key, summary)


_SVG = "{http://www.w3.org/2000/svg}"
_NEEDLESS = re.compile(r"role|class|aria-.*|pointer-events|display")
_EMPTY = {"", "M0,0h0v0h0Z"}
"""Paths that draw nothing."""


def _for_page(drawn: str, key: str, summary: str) -> str:
    """Return what was drawn as one image with a text, and nothing that does nothing."""
    root = ElementTree.fromstring(drawn)  # noqa: S314 (of vl_convert, where data is escaped)
    for parent in [*root.iter()]:
        for child in [*parent]:
            if child.tag == f"{_SVG}path" and child.get("d") in _EMPTY:
                parent.remove(child)
    own: dict[str, str] = {}
    for each in root.iter():
        each.tag = each.tag.removeprefix(_SVG)
        for name in [name for name in each.attrib if _NEEDLESS.fullmatch(name)]:
            del each.attrib[name]
        if each.get("opacity") == "1":
            del each.attrib["opacity"]
        each.attrib.pop("font-family", None)
        if identity := each.get("id"):  # vega counts them up from one drawing to the next
            own[identity] = f"{key}-{len(own)}"
            each.set("id", own[identity])
    for each in root.iter():
        for name, value in each.attrib.items():
            if found := re.fullmatch(r"url\(#(.*)\)", value):
                each.set(name, f"url(#{own[found[1]]})")
    told = {"xmlns": _SVG[1:-1], "role": "img", "aria-label": summary, "font-family": FONT}
    root.attrib = told | {k: v for k, v in root.attrib.items() if k != "version"}
    return ElementTree.tostring(root, encoding="unicode")
