"""The gates of one test as an HTML table, for reports of tests that other tools write.

It stands by itself: its looks are in it, and what comes from data is text, whatever it holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_distill.report.blocks import numbers_text, outcome_text
from pytest_distill.report.markup import LONGEST_NOTE, code, plain
from pytest_distill.report.outcomes import subject_of
from pytest_distill.report.records.gates import GateRow

COLUMNS = ("outcome", "observed", "required", "gate", "what it rests on")
COLOURS = {
    "PASSED": "#1a7f37",
    "FAILED": "#cf222e",
    "INCONCLUSIVE": "#8a5d00",
    "NOT RUN": "#57606a",
    "waived": "#8a5d00",
}
"""Of the words, each at least 4.5 to 1 on white."""
_CELL = "border:1px solid #d0d7de;padding:4px 8px;text-align:left;vertical-align:top"


def gates_table(rows: Sequence[GateRow]) -> str:
    """Return the gates of a test as a table; it needs no style sheet and no script.

    Parameters
    ----------
    rows : sequence of GateRow
        As the report tells them.
    """
    head = "".join(f'<th scope="col" style="{_CELL}">{name}</th>' for name in COLUMNS)
    body = "".join(map(_row, rows))
    return (
        '<table class="distill" style="border-collapse:collapse;margin:8px 0;font:13px/1.4 '
        'sans-serif;color:#1f2328;background:#fff">'
        '<caption style="text-align:left;font-weight:bold">Gates (pytest-distill)</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def gates_page(rows: Sequence[GateRow]) -> str:
    """Return the same as a document of its own."""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Gates</title></head>'
        f'<body style="background:#fff">{gates_table(rows)}</body></html>\n'
    )


def _row(row: GateRow) -> str:
    outcome = outcome_text(row)
    cells = (
        f'<b style="color:{COLOURS[outcome]}">{outcome}</b>',
        *map(plain, numbers_text(row)),
        "<br>".join(filter(None, (code(row.gate or ""), plain(subject_of(row))))),
        "<br>".join(plain(text, LONGEST_NOTE) for text in _rests_on(row)),
    )
    written = "".join(f'<td style="{_CELL}">{cell}</td>' for cell in cells)
    return f"<tr>{written}</tr>"


def _rests_on(row: GateRow) -> Iterator[str]:
    """Yield who answers for a failure, what the verdict rests on, and what to know beside it."""
    if row.waived:
        yield row.waived
    if row.criterion:
        yield f"part of the criterion {row.criterion}"
    if told := row.basis or ", ".join(row.facts):
        yield told
    yield from row.notes
    if row.excused:
        yield f"excused: {row.excused}"
