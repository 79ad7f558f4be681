"""A gate's verdict as a row of the report."""

from __future__ import annotations

import math
from dataclasses import replace

from pytest_distill.gates.all import GATES
from pytest_distill.gates.verdict import Doubt, Verdict, finite, not_firm
from pytest_distill.report.attempt import TestRun
from pytest_distill.report.records import GapRow, GateRow, IntervalRow, record_of


def row_of(verdict: Verdict, config: str, run: TestRun, line: int | None) -> GateRow:
    """Return a verdict as a row of the report.

    Parameters
    ----------
    verdict : Verdict
        What the gate said.
    config : str
        The shown path of the ``distill.yaml``.
    run : TestRun
        Of the test that asked.
    line : int, optional
        Where in its file; where the test begins by default.
    """
    evidence = verdict.evidence
    interval, paired, gap = evidence.interval, evidence.paired, evidence.gap
    return record_of(
        GateRow,
        *(verdict, evidence, paired, interval),
        nodeid=run.nodeid,
        file=run.file,
        line=line or run.line,
        config=config,
        infinite=math.isinf(verdict.observed),
        observed=finite(verdict.observed),
        doubts=tuple(str(note) for note in verdict.notes if isinstance(note, Doubt)),
        notes=tuple(str(note) for note in verdict.notes),
        interval=interval and record_of(IntervalRow, interval),
        test=paired.method if paired else None,
        gap_recovered=gap and record_of(GapRow, gap),
    )


def with_doubt(row: GateRow, note: str) -> GateRow:
    """Return a row with a doubt about the answers that its verdict looked at."""
    looks_at_none = row.gate is not None and not GATES[row.gate].answers
    if looks_at_none or note in row.doubts:
        return row
    return replace(
        row,
        notes=(*row.notes, note),
        doubts=(*row.doubts, note),
        firm=row.firm and False,
        facts=not_firm(row.facts),
        basis="; ".join(not_firm(row.basis.split("; "))),
    )
