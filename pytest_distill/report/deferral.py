"""The deferral curve of a routed pair: what it keeps by how much the student answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_distill._util.format import INFINITE, floor_text
from pytest_distill.report.records import GateRow
from pytest_distill.report.tables import Columns, table, wrapped

MOST_ROWS = 6


def deferral_lines(gates: Sequence[GateRow], width: int) -> list[str]:
    """Return a table for each verdict on routing, with rows from all teacher to all student."""
    lines: list[str] = []
    for gate in (gate for gate in gates if "curve" in gate.details):
        curve = sorted(gate.details["curve"], key=lambda point: float(point["handled"]))
        last = len(curve) - 1
        places = dict.fromkeys(round(i * last / (MOST_ROWS - 1)) for i in range(MOST_ROWS))
        chosen = [curve[place] for place in places]
        columns: Columns = {
            "student answers": [floor_text(point["handled"]) for point in chosen],
            f"{gate.metric} of the pair": [floor_text(point["score"]) for point in chosen],
            "retained": [_retained_text(point) for point in chosen],
        }
        title = f"{gate.model} with its teacher on {gate.eval}, by {gate.details['by']}"
        lines += [*wrapped(title, width), *table(columns), ""]
    return lines


def _retained_text(point: Mapping[str, Any]) -> str:
    """Return what the pair keeps; JSON has no word for what no error at all keeps of some."""
    if point["retained"] is not None:
        return floor_text(point["retained"])
    return INFINITE if point["score"] == 0 else "-"
