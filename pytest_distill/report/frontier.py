"""What quality costs: the frontier of size and quality, and the deferral curve of a pair."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from string import ascii_lowercase
from typing import Any

from pytest_distill._util.format import floor_text, score_text, size_text
from pytest_distill.report.records.comparisons import Frontier, FrontierPoint
from pytest_distill.report.records.gates import GateRow
from pytest_distill.report.tables import Columns, retained_text, shortened, table, wrapped

HEIGHT, WIDTH = 7, 50
MOST_ROWS = 6
"""Of a deferral curve."""
_LETTERS = ascii_lowercase


def several_students(frontier: Frontier) -> bool:
    """Return whether there is a choice to make: a table tells two or three models as well."""
    return sum(point.role == "student" for point, _ in _sized(frontier)) > 1


def _sized(frontier: Frontier) -> list[tuple[FrontierPoint, int]]:
    """Return the models of known size with it, as many as there are letters."""
    known = [(point, point.parameters) for point in frontier.points]
    return [(point, size) for point, size in known if size is not None][: len(_LETTERS)]


def frontier_lines(frontier: Frontier, width: int) -> list[str]:
    """Return a drawing, size to the right (logarithmic) and quality up, and its legend."""
    points = [point for point, _ in _sized(frontier)]
    title = f"size and quality on {frontier.eval} ({frontier.metric})"
    legend: Columns = {
        "": list(_LETTERS[: len(points)]),
        "model": [shortened(point.model, 20) for point in points],
        "parameters": [size_text(point.parameters, "parameters") for point in points],
        frontier.metric: [
            score_text(point.score, higher_is_better=frontier.higher_is_better) for point in points
        ],
        "retained": [retained_text(p.retained, infinite=p.infinite) for p in points],
    }
    dominated = [
        f"{letter}, {point.model}, is dominated: {point.dominated}"
        for letter, point in zip(_LETTERS, points, strict=False)
        if point.dominated
    ]
    notes = [line for note in dominated for line in wrapped(note, width)]
    drawn = [*_drawing(frontier), *table(legend, left=("", "model")), ""]
    return [*wrapped(title, width), *drawn, *notes, *([""] if notes else [])]


def _drawing(frontier: Frontier) -> list[str]:
    sized = _sized(frontier)
    points = [point for point, _ in sized]
    sign = 1 if frontier.higher_is_better else -1
    across = _places([math.log(size) for _, size in sized], WIDTH)
    up = _places([sign * point.score for point in points], HEIGHT)
    cells: dict[tuple[int, int], str] = {}
    for letter, x, y in zip(_LETTERS, across, up, strict=False):
        while (x, y) in cells:  # models that fall together stand side by side
            x += 1
        cells[x, y] = letter
    rows = [
        "".join(cells.get((x, y), " ") for x in range(WIDTH + len(points))).rstrip()
        for y in reversed(range(HEIGHT))
    ]
    return [*(f"  | {row}".rstrip() for row in rows), f"  +{'-' * (WIDTH + 2)} size", ""]


def _places(values: list[float], room: int) -> list[int]:
    """Return for each value a whole number from 0 to room - 1."""
    low, high = min(values), max(values)
    if low == high:
        return [0 for _ in values]
    return [round((value - low) / (high - low) * (room - 1)) for value in values]


def deferral_lines(gate: GateRow) -> list[str]:
    """Return what the pair of a verdict on routing keeps by how much the student answers.

    From all teacher to all student; nothing for another gate.
    """
    if "curve" not in gate.details:
        return []
    curve = curve_of(gate)
    last = len(curve) - 1
    places = dict.fromkeys(round(i * last / (MOST_ROWS - 1)) for i in range(MOST_ROWS))
    chosen = [curve[place] for place in places]
    return table(
        {
            "student answers": [floor_text(point["handled"]) for point in chosen],
            f"{gate.metric} of the pair": [floor_text(point["score"]) for point in chosen],
            "retained": [kept_text(point) for point in chosen],
        }
    )


def curve_of(gate: GateRow) -> Sequence[Mapping[str, Any]]:
    """Return the points of a deferral curve, the one where the student answers least first."""
    return sorted(gate.details["curve"], key=lambda point: float(point["handled"]))


def kept_text(point: Mapping[str, Any]) -> str:
    """Return what the pair retains at a point of its curve."""
    # JSON has no word for what no error at all keeps of some.
    return retained_text(point["retained"], infinite=point["score"] == 0, without="-")
