"""The table of what was measured beside the answers: latency, throughput, memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pytest_distill._util.format import interval_text, quantity_text
from pytest_distill.gates.measured import setting_text
from pytest_distill.report.records import FiguresRow
from pytest_distill.report.tables import Columns, shortened, table, wrapped

_PLAIN: dict[str, Callable[[FiguresRow], str]] = {
    "in batches": lambda row: (
        quantity_text(row.throughput.lowest, "/s", up=False) if row.throughput else ""
    ),
    "weights": lambda row: quantity_text(row.memory.weights, "B", up=True) if row.memory else "",
    "peak": lambda row: quantity_text(row.memory.peak, "B", up=True) if row.memory else "",
}
"""Column -> what a model has in it."""
_PARTS = {"example": "", "first_token": "first token ", "token": "token "}


def figure_lines(rows: Sequence[FiguresRow], width: int) -> list[str]:
    """Return a table for each eval whose examples were used to measure, and its footnotes."""
    lines: list[str] = []
    for config, eval in dict.fromkeys((row.config, row.eval) for row in rows):
        chosen = [row for row in rows if (row.config, row.eval) == (config, eval)]
        lines += wrapped(f"speed and memory on {eval}, one example at a time", width)
        lines += [*table(_columns(chosen)), ""]
        for note in (*_intervals(chosen), *_settings(chosen)):
            lines += wrapped(note, width)
        lines.append("")
    return lines


def _columns(rows: Sequence[FiguresRow]) -> Columns:
    columns: Columns = {"model": [shortened(row.model, 20) for row in rows]}
    shown = {
        f"{name}{quantile}": [_quantile(row, part, quantile) for row in rows]
        for part, name in _PARTS.items()
        for quantile in ("p50", "p95")
    }
    shown |= {name: [figure(row) for row in rows] for name, figure in _PLAIN.items()}
    for name, cells in shown.items():
        if any(cells):
            columns[name] = [cell or "-" for cell in cells]
    return columns


def _quantile(row: FiguresRow, part: str, quantile: str) -> str:
    found = (row.latency or {}).get(part)
    return quantity_text(found[quantile].estimate, "s", up=True) if found else ""


def _intervals(rows: Sequence[FiguresRow]) -> list[str]:
    """Return the 95 % intervals of the quantiles of whole answers."""
    notes = []
    for row in rows:
        found = (row.latency or {}).get("example")
        if found:
            each = ", ".join(
                f"{name} {interval_text(interval.lower, interval.upper, 's')}"
                for name, interval in found.items()
            )
            notes.append(f"{row.model}, 95 % intervals over {found['p50'].n}: {each}")
    return notes


def _settings(rows: Sequence[FiguresRow]) -> list[str]:
    """Return on what, with what and when it was measured; told once where it is the same."""
    told: dict[str, list[str]] = {}
    for row in rows:
        for taken in row.taken.values():
            setting = setting_text(taken.setting, taken.made, taken.earlier)
            names = told.setdefault(setting, [])
            if row.model not in names:
                names.append(row.model)
    return [f"{', '.join(names)}: {setting}" for setting, names in told.items()]
