"""What the Markdown report tells below its verdict, the most important first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from pytest_distill.report.blocks import numbers_text, outcome_text, slice_columns, test_name
from pytest_distill.report.evals import EvalTable, eval_tables
from pytest_distill.report.footnotes import looks_text
from pytest_distill.report.markup import (
    LONGEST_NOTE,
    MarkdownPart,
    cells,
    code,
    items,
    plain,
    table,
)
from pytest_distill.report.outcomes import did_not_pass, subject_of, why
from pytest_distill.report.records.gates import GateRow
from pytest_distill.report.records.report import Report
from pytest_distill.report.since import LESS_STRICT, Since, since_the_baseline

GATE_COLUMNS = ("outcome", "observed", "gate", "test")
MOST_MODELS = 12
"""Of an eval."""
MOST_COLUMNS = 12


def parts_of(report: Report) -> Iterator[MarkdownPart[Any]]:
    """Yield the parts; those of which there is nothing to tell are left out."""
    changed = [*since_the_baseline(report)]
    if changed:
        yield from _changes(changed)
    bad = did_not_pass(report.gates)
    if bad:
        title = "### Gates that did not pass\n\n"
        yield table(GATE_COLUMNS, bad, lambda row: _gate(row, why(row)), title, "", 16_000)
    evals = eval_tables(report)
    if evals:
        more = "<p>and {} more evals</p>\n"
        yield MarkdownPart("### Models\n\n", evals, _eval, more, share=10_000)
    looks = [f"{row.eval}: {looks_text(row)}" for row in report.looks if row.students > 1]
    if looks:
        yield items(looks, "### Looks\n\n", "", 2000)
    yield from _details(report, evals)


def _changes(found: Sequence[Since]) -> Iterator[MarkdownPart[Any]]:
    """Yield what changed since the accepted run: what is less strict now first, and in bold."""
    rows: list[tuple[str, str]] = []
    for since in found:
        weaker = [(kind, gate) for kind, gate in since.gates if kind in LESS_STRICT]
        rows += [("", since.title), *weaker]
        rows += [("", text) for text in (*since.models, *since.gold, *since.notes)]
        rows += [(kind, gate) for kind, gate in since.gates if kind not in LESS_STRICT]

    def tell(row: tuple[str, str]) -> str:
        kind, told = row
        strong = f"<b>{kind}</b> " if kind in LESS_STRICT else f"{kind} " if kind else ""
        return f"<li>{strong}{code(told)}</li>\n"

    yield MarkdownPart(
        "### What changed\n\n<ul>\n", rows, tell, "<li>and {} more</li>\n", "</ul>\n", 8000
    )


def _eval(found: EvalTable) -> str:
    """Return the models on an eval as HTML, as many as can be read."""
    columns = found.all_columns(more=False)
    shown = dict(islice(columns.items(), MOST_COLUMNS))
    n = len(found.models)
    lines = [cells(map(code, shown), "th")]
    lines += [
        cells(plain(told[row]) if name else code(told[row]) for name, told in shown.items())
        for row in range(min(n, MOST_MODELS))
    ]
    left_out = [
        f"{count:,} more {what}"
        for count, what in ((n - MOST_MODELS, "models"), (len(columns) - len(shown), "columns"))
        if count > 0
    ]
    rest = f"<p>and {', '.join(left_out)}</p>\n" if left_out else ""
    return f"<p>{code(found.title)}</p>\n<table>\n{''.join(lines)}</table>\n{rest}"


def _details(report: Report, evals: Sequence[EvalTable]) -> Iterator[MarkdownPart[Any]]:
    gates = report.gates
    if gates:
        before, after = _folded(f"All gates: {len(gates):,}")
        yield table(GATE_COLUMNS, gates, lambda row: _gate(row, _all_of(row)), before, after, 8000)
    slices = [row for gate in gates for row in _slices(gate)]
    if slices:
        before, after = _folded(f"Slices: {len(slices):,}")
        names = ("test", "slice", "n", "teacher", "student", "retained", "outcome")
        yield table(names, slices, lambda row: map(code, row), before, after, 3000)
    of_evals = (note for found in evals for note in found.notes(more=True))
    told = {looks_text(row) for row in report.looks}  # in a part of their own
    notes = [n for n in dict.fromkeys((*report.worth, *report.remarks, *of_evals)) if n not in told]
    if notes:
        before, after = _folded("Notes")
        yield items(notes, before, after, 4000)


def _folded(title: str) -> tuple[str, str]:
    return f"<details>\n<summary>{title}</summary>\n", "</details>\n"


def _slices(gate: GateRow) -> Iterator[tuple[str, ...]]:
    columns = slice_columns(gate)
    yield from ((test_name(gate.nodeid), *row) for row in zip(*columns.values(), strict=True))


def _gate(row: GateRow, about: Sequence[str]) -> list[str]:
    numbers = plain(" ".join(filter(None, numbers_text(row))))
    told = "; ".join(filter(None, about))
    return [
        outcome_text(row),
        numbers,
        _under(code(row.gate or ""), code(subject_of(row))),
        _under(code(row.nodeid), code(told, LONGEST_NOTE)),
    ]


def _under(name: str, about: str) -> str:
    """Return what is known of something under its name: so a table stays narrow."""
    return "<br>".join(filter(None, (name, about)))


def _all_of(row: GateRow) -> Sequence[str]:
    part_of = f"part of {row.criterion}" if row.criterion else ""
    return (row.waived or "", part_of, row.basis, *row.notes)
