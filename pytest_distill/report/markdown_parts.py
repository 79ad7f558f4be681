"""What the Markdown report tells below its verdict, the most important first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pytest_distill.report.blocks import observed_text, required_text
from pytest_distill.report.markup import LONGEST_NOTE, Part, code, items, plain, table
from pytest_distill.report.outcomes import did_not_pass
from pytest_distill.report.records import GateRow, Report

GATE_COLUMNS = ("outcome", "observed", "required", "gate", "on", "test", "what to know")


def parts_of(report: Report) -> Iterator[Part[Any]]:
    """Yield the parts; those of which there is nothing to tell are left out."""
    bad = did_not_pass(report.gates)
    if bad:
        title = "### Gates that did not pass\n\n"
        yield table(GATE_COLUMNS, bad, lambda row: _gate(row, _why(row)), title, "", 16_000)
    yield from _details(report)


def _details(report: Report) -> Iterator[Part[Any]]:
    gates = report.gates
    if gates:
        yield table(
            GATE_COLUMNS,
            gates,
            lambda row: _gate(row, _all_of(row)),
            _folded(f"All gates: {len(gates):,}"),
            "</details>\n",
            8000,
        )
    notes = dict.fromkeys((*report.worth, *report.remarks))
    if notes:
        yield items([*notes], _folded("Notes"), "</details>\n", 4000)


def _folded(title: str) -> str:
    return f"<details>\n<summary>{title}</summary>\n"


def _gate(row: GateRow, about: Sequence[str]) -> list[str]:
    on = ", ".join(part for part in (row.eval, row.metric, row.slice, row.model) if part)
    known = [code("; ".join(filter(None, about)), LONGEST_NOTE)]
    return [
        "waived" if row.waived else str(row.outcome),
        plain(observed_text(row)),
        plain(required_text(row)),
        code(row.gate or ""),
        code(on),
        code(row.nodeid),
        *known,
    ]


def _why(row: GateRow) -> Sequence[str]:
    """Return what a failure rests on, why a gate did not run, and who answers for it."""
    notes = row.notes if row.relation is None else row.doubts
    return (row.waived or "", ", ".join(row.facts), *notes)


def _all_of(row: GateRow) -> Sequence[str]:
    part_of = f"part of {row.criterion}" if row.criterion else ""
    return (row.waived or "", part_of, row.basis, *row.notes)
