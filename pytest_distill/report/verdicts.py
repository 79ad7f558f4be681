"""A gate's verdict as a row of the report."""

from __future__ import annotations

import math
from dataclasses import replace

from pytest_distill.gates.all import GATES
from pytest_distill.gates.verdict import FIRM, IN_DOUBT, Verdict, finite
from pytest_distill.report.records import GapRow, GateRow, IntervalRow, record_of


def row_of(verdict: Verdict, config: str, nodeid: str) -> GateRow:
    """Return a verdict as a row of the report.

    Parameters
    ----------
    verdict : Verdict
        What the gate said.
    config : str
        The shown path of the ``distill.yaml``.
    nodeid : str
        The test that asked.
    """
    evidence = verdict.evidence
    interval, paired, gap = evidence.interval, evidence.paired, evidence.gap
    return record_of(
        GateRow,
        *(verdict, evidence, paired, interval),
        nodeid=nodeid,
        config=config,
        infinite=math.isinf(verdict.observed),
        observed=finite(verdict.observed),
        notes=tuple(str(note) for note in verdict.notes),
        interval=interval and record_of(IntervalRow, interval),
        test=paired.method if paired else None,
        gap_recovered=gap and record_of(GapRow, gap),
    )


def with_doubt(row: GateRow, note: str) -> GateRow:
    """Return a row with a doubt about the answers that its verdict looked at."""
    looks_at_none = row.gate is not None and not GATES[row.gate].answers
    if looks_at_none or note in row.notes:
        return row
    basis = row.basis
    if row.firm:
        basis = "; ".join(IN_DOUBT if part == FIRM else part for part in basis.split("; "))
    return replace(row, notes=(*row.notes, note), firm=row.firm and False, basis=basis)
