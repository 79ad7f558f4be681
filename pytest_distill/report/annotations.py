"""Gates that did not pass, as commands that GitHub Actions reads in a job's log.

It shows each beside the line that asked the gate.
"""

from __future__ import annotations

from collections.abc import Container

from pytest_distill.errors import one_line
from pytest_distill.report.blocks import numbers_text
from pytest_distill.report.outcomes import answered_for, did_not_pass, subject_of, why
from pytest_distill.report.records.gates import GateRow
from pytest_distill.report.records.report import Report

MOST = 10
"""GitHub shows no more errors of one step."""
LONGEST = 1000


def annotation_lines(report: Report, told: Container[str]) -> list[str]:
    """Return a command for each gate that did not pass, the worst first; none that is answered for.

    Parameters
    ----------
    report : Report
        What the run found out.
    told : container of str
        The node ids of tests that another plugin has annotated.
    """
    bad = [g for g in did_not_pass(report.gates) if not (answered_for(g) or g.nodeid in told)]
    return [_command(row) for row in bad[:MOST]]


def _command(row: GateRow) -> str:
    where = {"file": row.file, "line": row.line} if row.file else {}
    properties = {**where, "title": _short(f"{row.outcome}: {row.gate or row.nodeid}", 200)}
    given = ",".join(f"{k}={_property(str(v))}" for k, v in properties.items() if v is not None)
    return f"::error {given}::{_data(_short(message(row), LONGEST))}"


def message(row: GateRow) -> str:
    """Return on one line the numbers, what they are about, the test, and what they rest on."""
    numbers = " ".join(numbers_text(row)).strip()
    head = ", ".join(filter(None, (numbers, row.gate, subject_of(row), row.nodeid)))
    return one_line(": ".join(filter(None, (head, "; ".join(why(row))))))


def _short(text: str, most: int) -> str:
    shown = one_line(text[:most])
    return shown if len(text) <= most else f"{shown}.."


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(one_line(text)).replace(":", "%3A").replace(",", "%2C")
