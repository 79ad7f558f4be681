"""A gate's verdict as a row of the report."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_distill.gates.all import GATES
from pytest_distill.gates.verdict import Doubt, Verdict, finite, not_firm
from pytest_distill.report.attempt import TestRun
from pytest_distill.report.records.gates import GapRow, GateRow, IntervalRow
from pytest_distill.report.records.record import record_of

MOST_LOST = 5
LONGEST_EXAMPLE = 400
"""Characters: the file of lost examples has all of it."""


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


def with_lost(row: GateRow, examples: Sequence[Mapping[str, Any]]) -> GateRow:
    """Return a row with the first examples that the student lost, each as one short line."""
    shown = tuple(_example_text(example) for example in examples[:MOST_LOST])
    return replace(row, lost_examples=shown, lost_more=len(examples) - len(shown))


def _example_text(example: Mapping[str, Any]) -> str:
    text = json.dumps(example, ensure_ascii=False, default=str)
    return text if len(text) <= LONGEST_EXAMPLE else f"{text[: LONGEST_EXAMPLE - 2]}.."
