"""The table of what was measured beside the answers: latency, throughput, memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_distill._util.format import interval_text, quantity_text
from pytest_distill._util.units import Unit
from pytest_distill.gates.measured import setting_text
from pytest_distill.report.tables import Columns, shortened, table, wrapped

Row = Mapping[str, Any]
_PLAIN: tuple[tuple[str, str, str, Unit], ...] = (
    ("in batches", "throughput", "lowest", "/s"),
    ("weights", "memory", "weights", "B"),
    ("peak", "memory", "peak", "B"),
)
"""Column, figure, its key, and unit."""
_PARTS = {"example": "", "first_token": "first token ", "token": "token "}


def figure_lines(rows: Sequence[Row], width: int) -> list[str]:
    """Return a table for each eval whose examples were used to measure, and its footnotes."""
    lines: list[str] = []
    for config, eval in dict.fromkeys((row["config"], row["eval"]) for row in rows):
        chosen = [row for row in rows if (row["config"], row["eval"]) == (config, eval)]
        lines += wrapped(f"speed and memory on {eval}, one example at a time", width)
        lines += [*table(_columns(chosen)), ""]
        for note in (*_intervals(chosen), *_settings(chosen)):
            lines += wrapped(note, width)
        lines.append("")
    return lines


def _columns(rows: Sequence[Row]) -> Columns:
    columns: Columns = {"model": [shortened(row["model"], 20) for row in rows]}
    for part, name in _PARTS.items():
        for quantile in ("p50", "p95"):
            cells = [_quantile(row, part, quantile) for row in rows]
            if any(cells):
                columns[f"{name}{quantile}"] = [cell or "-" for cell in cells]
    for name, kind, key, unit in _PLAIN:
        if any(row[kind] for row in rows):
            columns[name] = [_shown(row[kind], key, unit) for row in rows]
    return columns


def _quantile(row: Row, part: str, quantile: str) -> str:
    found = (row["latency"] or {}).get(part)
    return quantity_text(found[quantile]["estimate"], "s", up=True) if found else ""


def _shown(figure: Row | None, key: str, unit: Unit) -> str:
    return quantity_text(figure[key], unit, up=unit == "B") if figure else "-"


def _intervals(rows: Sequence[Row]) -> list[str]:
    """Return the 95 % intervals of the quantiles of whole answers."""
    notes = []
    for row in rows:
        found = (row["latency"] or {}).get("example")
        if found:
            each = ", ".join(f"{name} {_interval(interval)}" for name, interval in found.items())
            notes.append(f"{row['model']}, 95 % intervals over {found['p50']['n']}: {each}")
    return notes


def _interval(interval: Row) -> str:
    return interval_text(interval["lower"], interval["upper"], "s")


def _settings(rows: Sequence[Row]) -> list[str]:
    """Return on what, with what and when it was measured; told once where it is the same."""
    told: dict[str, list[str]] = {}
    for row in rows:
        for taken in row["taken"].values():
            names = told.setdefault(setting_text(**taken), [])
            if row["model"] not in names:
                names.append(row["model"])
    return [f"{', '.join(names)}: {setting}" for setting, names in told.items()]
