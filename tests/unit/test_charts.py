"""The charts of the page: what they draw of their records, and what no name makes of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from pytest_distill.gates.verdict import Outcome
from pytest_distill.report.html.drawing import (
    COLOURS,
    LINE,
    NARROW,
    WIDE,
    Chart,
    Room,
    label,
    labels,
    pixels,
)
from pytest_distill.report.html.page import charts
from pytest_distill.report.html.placing import log_axis, log_span_around, placed
from pytest_distill.report.records.comparisons import (
    CalibrationBin,
    CalibrationRow,
    Frontier,
    FrontierPoint,
    PairRow,
    RetainedRow,
)
from pytest_distill.report.records.gates import GateRow
from pytest_distill.report.records.models import ModelRow
from pytest_distill.report.records.report import Report

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = (
    "<script>alert(1)</script>",
    "\"quoted\" & 'quoted' <b>",
    "</text></svg><img src=x onerror=alert(1)>",
    "שלום עולם",
    "x" * 200,
    "模型 🤖",
    "two\nlines",
    "url(#a) var(--ink) {0}",
    "role='img' clip-path=\"url(#clip0)\"",
)
EVAL = "<i>eval</i>"
ABOUT: dict[str, Any] = {
    "config": "distill.yaml",
    "eval": EVAL,
    "metric": "<m>",
    "higher_is_better": True,
}


def model(name: str, role: str) -> ModelRow:
    """Return a model of which only the role is known."""
    unknown = dict.fromkeys(ModelRow.__dataclass_fields__)
    told = {"config": "distill.yaml", "name": name, "role": role}
    return ModelRow(**{**unknown, **told})  # type: ignore[arg-type]


def retained(name: str, at: float | None, **more: Any) -> RetainedRow:
    """Return what a model kept of an eval."""
    about = {"slice": None, "n": 100, "lower": None, "upper": None, **ABOUT, **more}
    return RetainedRow(model=name, retained=at, **about)


def pair(name: str, wins: int, losses: int, ties: int = 10) -> PairRow:
    """Return how a student does against the first model."""
    about = {**ABOUT, "wins": wins, "losses": losses, "ties": ties}
    return PairRow(model=name, other=HOSTILE[0], other_role="teacher", **about)


def point(name: str, size: int, score: float, **more: Any) -> FrontierPoint:
    """Return a model on a frontier."""
    about = {"role": "student", "retained": 0.9, "infinite": False, "dominated": "", **more}
    return FrontierPoint(model=name, parameters=size, score=score, **about)


def curve(*points: tuple[float, float | None]) -> list[dict[str, Any]]:
    """Return a deferral curve of shares that are handled and retained."""
    return [
        {"handled": x, "retained": y, "threshold": 1 - x, "score": 0.5 if y else 0, "p_value": 0.1}
        for x, y in points
    ]


ROUTED = GateRow(
    nodeid="t.py::test_a",
    config="distill.yaml",
    gate="routable",
    outcome=Outcome.PASSED,
    eval=EVAL,
    metric="<m>",
    model=HOSTILE[1],
    observed=0.5,
    required=0.25,
    relation=">=",
    details={
        "by": f"field:{HOSTILE[2]}",
        "threshold": 0.5,
        "retained_required": 0.97,
        "curve": curve((1.0, 0.9), (0.5, 1.0), (0.25, None), (0.1, 1.01)),
    },
)
BINS = (CalibrationBin(5, 0.2, 0.1), CalibrationBin(500, 0.9, 0.95))
FULL = Report(
    models=tuple(
        model(name, role)
        for name, role in zip(HOSTILE, ("teacher", *["student"] * 5, *["sft"] * 3), strict=True)
    ),
    retained=tuple(
        retained(name, 0.8 + i / 50, slice=of, lower=0.7, upper=None if i % 2 else 1.2, floor=0.9)
        for i, name in enumerate(HOSTILE)
        for of in (None, f"lang={name}", "lang=de")
    ),
    pairs=tuple(pair(name, i, 2 * i) for i, name in enumerate(HOSTILE)),
    calibration=tuple(CalibrationRow("distill.yaml", EVAL, m, 0.12, BINS) for m in HOSTILE),
    frontiers=(
        Frontier(
            points=tuple(
                point(m, 10 ** (6 + i // 3), 0.5 + i / 50, latency_ms=5.0 + i)
                for i, m in enumerate(HOSTILE)
            ),
            **ABOUT,
        ),
    ),
    gates=(ROUTED,),
)


@pytest.fixture(scope="module")
def full() -> Sequence[Chart]:
    """Return every kind of chart, of hostile names alone."""
    return charts(FULL)


def drawings(found: Sequence[Chart]) -> Iterator[tuple[Chart, str, int]]:
    """Yield each chart's two drawings with their widths."""
    for chart in found:
        yield chart, chart.wide, WIDE.total
        yield chart, chart.narrow, NARROW.total


def where(element: ElementTree.Element) -> tuple[float, float]:
    """Return where a mark of a parsed drawing stands, in pixels of its group."""
    x, y = re.findall(r"-?[\d.]+", element.get("transform", ""))[:2]
    return float(x), float(y)


def marks(drawn: str, kind: str, **attributes: str) -> list[ElementTree.Element]:
    """Return the marks of a kind that have these attributes."""
    return [
        each
        for each in ElementTree.fromstring(drawn).iter(f"{SVG}{kind}")  # noqa: S314 (our own)
        if all(each.get(name) == value for name, value in attributes.items())
    ]


def texts(drawn: str) -> list[str]:
    """Return the texts of a drawing."""
    return [each.text or "" for each in marks(drawn, "text")]


def points(drawn: str) -> list[tuple[float, float]]:
    """Return where the shapes of models stand, in their order."""
    roles = [f"var(--{role})" for role in ("teacher", "student", "sft")]
    shapes = [each for each in marks(drawn, "path") if each.get("transform")]
    return [where(s) for s in shapes if s.get("fill") in roles or s.get("stroke") in roles]


def test_every_kind_of_chart_is_there_once(full: Sequence[Chart]) -> None:
    """An empty report has none, and what stands in a page has a name of its own."""
    kinds = ["size", "latency", "retained", "slices", "pairs", "deferral", "reliability"]
    assert [chart.kind for chart in full] == kinds
    assert len({chart.key for chart in full}) == len(full)
    assert charts(Report()) == []
    for chart in full:
        assert all(len(row) == len(chart.columns) for row in chart.rows)


def test_nothing_of_a_name_is_markup(full: Sequence[Chart]) -> None:
    """Of whatever characters it is made: drawings hold shapes and text, and fetch nothing."""
    for chart, drawn, _ in drawings(full):
        root = ElementTree.fromstring(drawn)  # noqa: S314 (our own)
        kinds = {each.tag.removeprefix(SVG) for each in root.iter()}
        assert kinds <= {"svg", "g", "path", "line", "rect", "text", "tspan", "defs", "clipPath"}
        for each in root.iter():
            assert not any(name.startswith("on") or "href" in name for name in each.attrib)
        assert root.get("role") == "img"
        assert root.get("aria-label") == chart.summary
        assert "\n" not in chart.summary


def test_parts_of_several_drawings_have_names_of_their_own(full: Sequence[Chart]) -> None:
    """They stand in one page, where an id counts once."""
    ids = [i for _, drawn, _ in drawings(full) for i in re.findall(r'\bid="([^"]*)"', drawn)]
    assert len(ids) == len(set(ids))
    for _, drawn, _ in drawings(full):
        used = {
            found[1]
            for each in ElementTree.fromstring(drawn).iter()  # noqa: S314 (our own)
            for value in each.attrib.values()
            if (found := re.fullmatch(r"url\(#(.*)\)", value))
        }
        assert used <= set(re.findall(r'\bid="([^"]*)"', drawn))


def test_every_colour_is_the_page_s(full: Sequence[Chart]) -> None:
    """One drawing serves light and dark paper: no colour of its own is left in it."""
    known = {f"var(--{name})" for name in COLOURS} | {"none", "transparent"}
    for _, drawn, _ in drawings(full):
        for each in ElementTree.fromstring(drawn).iter():  # noqa: S314 (our own)
            assert {each.get(name, "none") for name in ("fill", "stroke")} <= known


def test_a_drawing_has_the_width_it_says_and_its_text_stands_inside(full: Sequence[Chart]) -> None:
    """Names of 200 characters are shortened, and push nothing out of place."""
    for _, drawn, width in drawings(full):
        root = ElementTree.fromstring(drawn)  # noqa: S314 (our own)
        assert root.get("width") == str(width)
        assert max(map(pixels, texts(drawn))) <= width


def test_the_same_records_make_the_same_drawings(full: Sequence[Chart]) -> None:
    """Whatever was drawn before: pages of two runs can be compared."""
    only = replace(Report(), models=FULL.models, pairs=FULL.pairs, retained=FULL.retained)
    again = {chart.key: chart for chart in charts(only)}
    assert set(again) == {"retained", "slices-0", "pairs"}
    assert all(chart == again.get(chart.key, chart) for chart in full)


def test_a_forest_plot_stands_to_scale() -> None:
    """Equal steps are equal pixels, a floor stands below its point, an open end is an arrow."""
    rows = (
        retained("a", 0.8, lower=0.75, upper=0.85, floor=0.8),
        retained("b", 0.9, lower=0.6, upper=None),
        retained("c", 1.0, lower=0.95, upper=1.1),
        retained("d", None, lower=1.05, upper=None),
    )
    (chart,) = charts(Report(retained=rows))
    found = {y: x for x, y in points(chart.wide)}  # an arrow of a row stands before its point
    a, b, c, d = (found[y] for y in sorted(found))
    assert b - a == pytest.approx(c - b, abs=1)
    assert d > c
    (floor,) = marks(chart.wide, "path", fill="var(--floor)")
    left = float(re.findall(r"[\d.]+", floor.get("d", ""))[0])
    assert left + 1.5 == pytest.approx(a, abs=0.1)  # it is three pixels wide
    assert "1.0000 (0.9500 to 1.1000)" in texts(chart.wide)
    assert "infinite (1.0500 to unbounded)" in texts(chart.wide)
    assert chart.rows[1] == (EVAL, "", "b", "100", "0.9000", "0.6000 to unbounded", "")
    assert len(points(chart.wide)) == 4 + 1  # b's arrow: d's own mark is one


def test_many_slices_are_all_in_the_table() -> None:
    """The drawing shows the worst, and says how many more there are."""
    rows = tuple(retained("a", 0.9, slice=f"topic={i}") for i in range(40))
    (chart,) = charts(Report(retained=rows))
    assert len(chart.rows) == 40
    assert len(points(chart.wide)) == 30
    assert "10 more slices are in the table. Of each model only the 40 slices" in chart.caption
    (few,) = charts(Report(retained=rows[:39]))
    assert few.caption.endswith("9 more slices are in the table.")
    height = re.search(r'height="(\d+)"', chart.wide)
    assert height is not None
    assert int(height[1]) < 1000


def test_no_number_of_a_chart_is_rounded_up() -> None:
    """What misses its floor narrowly does not read as if it met it."""
    (chart,) = charts(Report(retained=(retained("a", 0.94999, lower=0.9, floor=0.95),)))
    assert "0.9499" in texts(chart.narrow)
    assert "a retained 0.9499 (95 % interval 0.9000 to unbounded, floor 0.95)." in chart.summary


def test_bars_are_as_long_as_the_shares() -> None:
    """One win in 100 is a tenth of ten losses in 100; nothing is drawn for none."""
    (chart,) = charts(Report(pairs=(pair("a", 1, 10, 89), pair("b", 0, 0, 5))))

    def width(name: str) -> float:
        return sum(
            float(re.findall(r"h(-?[\d.]+)", bar.get("d", ""))[0])
            for bar in marks(chart.wide, "path", fill=f"var(--{name})")
        )

    assert width("bad") == pytest.approx(10 * width("good"), rel=0.01)
    assert {"1 win", "10 losses", "89 ties", "0 wins", "0 losses", "5 ties"} <= {*texts(chart.wide)}


def test_a_frontier_marks_what_is_dominated_and_puts_the_better_one_up() -> None:
    """Also where lower is better; latency is drawn where it is known of two models."""
    found = (
        point("small", 10, 3.0, latency_ms=1.0),
        point("bad", 20, 9.0, role="sft", dominated="small is better and smaller"),
        point("large", 4000, 2.0, role="teacher"),
    )
    about = {**ABOUT, "higher_is_better": False}
    (chart,) = charts(Report(frontiers=(Frontier(points=found, **about),)))
    (small_x, small), (bad_x, bad), (large_x, large) = points(chart.wide)
    assert large < small < bad
    assert small_x < bad_x < large_x
    (hollow,) = marks(chart.wide, "path", fill="var(--paper)")
    assert where(hollow) == (bad_x, bad)
    assert "bad: 20, <m> 9.0000; it is dominated: small is better and smaller." in chart.summary
    both = (found[0], replace(found[2], latency_ms=3.0))
    two = charts(Report(frontiers=(Frontier(points=both, **about),)))
    assert [chart.kind for chart in two] == ["size", "latency"]
    assert two[1].rows[1][2] == "3 ms"


def test_the_chosen_threshold_is_marked_on_the_curve() -> None:
    """In words and as a mark; where none is shown to do, that is said."""
    (chart,) = charts(Report(gates=(ROUTED,)))
    (ring,) = marks(chart.wide, "path", fill="var(--paper)")
    assert where(ring)[0] == pytest.approx((WIDE.total - 94) / 2, abs=1)
    assert "The pair retains 1.0000 of the teacher's quality." in chart.summary
    assert chart.rows[1][3] == "infinite"  # sorted by share: no error at all is left of some
    none = replace(ROUTED, details={**ROUTED.details, "threshold": None})
    (chart,) = charts(Report(gates=(none,)))
    assert "is shown to keep enough." in chart.summary
    assert marks(chart.wide, "path", fill="var(--paper)") == []


def test_labels_do_not_overlap() -> None:
    """Nor does one hide a point, however many models stand together."""
    room = Room(600, height=400)
    at = [(300.0 + i % 3, 200.0 + i // 3) for i in range(24)]
    names = [f"student-{i}" for i in range(24)]
    found = placed(at, names, room)
    boxes = [
        (place.x, place.y - LINE / 2, place.x + pixels(name), place.y + LINE / 2)
        for place, name in zip(found, names, strict=True)
        if place is not None
    ]
    assert len(boxes) == 24
    for i, (left, top, right, bottom) in enumerate(boxes):
        assert 0 <= left < right <= 600
        assert 0 <= top < bottom <= 400
        assert not any(left < x < right and top < y < bottom for x, y in at)
        for other in boxes[i + 1 :]:
            assert right <= other[0] or other[2] <= left or bottom <= other[1] or other[3] <= top


@pytest.mark.parametrize("costs", [[3.2], [5, 5.1], [1e6, 7e9], [0.001, 1e12], [9.99]])
@pytest.mark.parametrize("most", [4, 8])
def test_an_axis_of_costs_has_numbers_wherever_it_begins(costs: list[float], most: int) -> None:
    """Between two and five there is no power of ten; over fifteen powers not each is told."""
    span = log_span_around(costs)
    ticks = log_axis(span, "parameters", "parameters", most).to_dict()["values"]
    assert 2 <= len(ticks) <= most
    assert all(span.low <= tick <= span.high for tick in ticks)


def test_shortened_names_can_be_told_apart() -> None:
    """The middle is left out of a name, unless the names differ just there."""
    names = [f"a-long-beginning-{i}-and-a-long-end" for i in range(20)]
    short = labels(names, 80)
    assert short[names[7]] == "..7"
    assert len(set(short.values())) == 20
    assert label("short", 80) == "short"
    assert label("x" * 200, 80).count("..") == 1


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour (WCAG 2.2)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("paper", [0, 1], ids=["light", "dark"])
def test_colours_can_be_seen_on_their_paper(paper: int) -> None:
    """Text needs a contrast of 4.5 (WCAG 2.2, 1.4.3); lines between rows need none."""
    for name, of in COLOURS.items():
        light, dark = sorted((luminance(of[paper]), luminance(COLOURS["paper"][paper])))
        if name not in ("paper", "grid"):
            assert (dark + 0.05) / (light + 0.05) >= 4.5, name


def test_tables_tell_apart_what_several_projects_call_alike() -> None:
    """An eval of one name in two of them has two rows that differ in more than their numbers."""
    rows = [
        replace(each, config=config)
        for config in ("a/distill.yaml", "b/distill.yaml")
        for each in (retained("m", 0.9), retained("m", 0.9, slice="lang=de"))
    ]
    pairs = [replace(pair("m", 1, 2), config=row.config) for row in rows[::2]]
    told = [
        chart
        for chart in charts(Report(retained=tuple(rows), pairs=tuple(pairs)))
        if chart.key in ("retained", "pairs")
    ]
    assert [chart.key for chart in told] == ["retained", "pairs"]
    for chart in told:
        evals = [row[chart.columns.index("eval")] for row in chart.rows]
        assert evals == [f"{EVAL} (a/distill.yaml)", f"{EVAL} (b/distill.yaml)"]
