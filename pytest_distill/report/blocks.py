"""The gates, one block for each test: what was observed and required, and what that rests on."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import NamedTuple

from pytest_distill._util.format import INFINITE, floor_text, limit_text, quantity_text
from pytest_distill.evals.tasks.repeats import budget_text
from pytest_distill.report.frontier import deferral_lines
from pytest_distill.report.records.gates import GateRow
from pytest_distill.report.records.report import Report
from pytest_distill.report.tables import Columns, cells, few_lines, retained_text, table, wrapped

LEAST_ROOM = 16
"""Columns for what a verdict rests on; where there are fewer it stands below."""


class ReportLine(NamedTuple):
    """A line of the report, and the outcome at its start, which is coloured."""

    text: str
    outcome: str = ""


class Blocks:
    """The blocks of a report's gates.

    Parameters
    ----------
    report : Report
        What the run found out.
    width : int
        Columns.
    verbosity : int
        As pytest's: under 0 only what did not pass, 1 also how each verdict was reached, 2 also
        the lost examples.
    """

    def __init__(self, report: Report, width: int, verbosity: int) -> None:
        self._width, self._verbosity = width, verbosity
        gates = report.gates
        self._gates = [g for g in gates if verbosity >= 0 or outcome_text(g) != "PASSED"]
        self._roles = {(m.config, m.name): m.role for m in report.models}
        headline = {(r.config, r.eval): r.metric for r in reversed(report.comparisons)}
        self._headlines = set(headline.items())
        self._several_configs = len({g.config for g in gates if g.config}) > 1
        self._several_files = len({_file(g) for g in gates}) > 1
        self._several_evals = len({g.eval for g in gates if g.eval}) > 1
        self._several_students = len({g.model for g in gates if self._is_student(g)}) > 1
        self._outcome_width = max((len(outcome_text(g)) for g in self._gates), default=0)
        numbers = [numbers_text(g) for g in self._gates]
        self._left = max((len(left) for left, _ in numbers), default=0)
        self._right = max((len(right) for _, right in numbers), default=0)
        self._gate_width = max((len(g.gate or "") for g in self._gates), default=0)
        self._told: set[str] = set()

    def lines(self) -> Iterator[ReportLine]:
        """Yield the blocks, each with an empty line below it."""
        for (config, file), rows in groupby(self._gates, lambda g: (g.config, _file(g))):
            if self._several_files or self._several_configs:
                where = f" ({config})" if config and self._several_configs else ""
                yield from map(ReportLine, wrapped(f"{file}{where}:", self._width))
            for (test, criterion), block in groupby(rows, lambda g: (_test(g), g.criterion)):
                part_of = f" (criterion {criterion})" if criterion else ""
                yield from map(ReportLine, wrapped(f"{test}{part_of}", self._width))
                for row in block:
                    yield from self._gate(row)
            yield ReportLine("")

    def _is_student(self, row: GateRow) -> bool:
        role = self._roles.get((row.config or "", row.model or ""), "student")
        return row.model is not None and role == "student"

    def _gate(self, row: GateRow) -> Iterator[ReportLine]:
        outcome = outcome_text(row)
        left, right = numbers_text(row)
        parts = [f"  {outcome:<{self._outcome_width}}"]
        if self._left and (left or row.gate):
            parts.append(f"{left:>{self._left}} {right:<{self._right}}".rstrip())
            parts[-1] = parts[-1].ljust(self._left + 1 + self._right)
        parts.append(f"{row.gate or '':<{self._gate_width}}")
        head = "  ".join(parts) if row.gate else parts[0]
        rest = ", ".join([*self._about(row), *row.facts])
        indent = " " * (self._outcome_width + 4)
        beside = wrapped(rest, max(LEAST_ROOM, self._width - cells(head) - 2), hanging="")
        below = wrapped(rest, self._width - len(indent), hanging="")
        # Where a word would be parted, or it takes many more lines, it stands below.
        longest = max(map(cells, (*beside, *rest.split())), default=0)
        if cells(head) + 2 + longest > self._width or len(beside) > len(below) + 1:
            yield ReportLine(head.rstrip(), outcome)
            yield from (ReportLine(indent + line) for line in below)
        else:
            yield ReportLine("  ".join([head, *beside[:1]]).rstrip(), outcome)
            yield from (ReportLine(" " * (cells(head) + 2) + line) for line in beside[1:])
        yield from map(ReportLine, self._below(row, indent))

    def _about(self, row: GateRow) -> list[str]:
        """Return what a gate looked at, as far as it is not clear: NOT RUN says why it did not."""
        if row.outcome == "NOT RUN":
            return list(row.notes[1:] if row.notes[:1] == ("did not run",) else row.notes)
        parts = [row.eval if self._several_evals else None]
        metric = (row.metric or "").removeprefix(f"{row.gate} ")
        if ((row.config, row.eval), row.metric) not in self._headlines and not row.unit:
            parts.append(metric if metric != row.gate else None)
        elif row.gate and metric != (row.metric or ""):
            parts.append(metric)
        parts += [budget_text(row.at_tokens), row.slice]
        if self._several_students or (row.model and not self._is_student(row)):
            parts.append(row.model)
        return [part for part in parts if part]

    def _below(self, row: GateRow, indent: str) -> Iterator[str]:
        notes = [] if row.outcome == "NOT RUN" else list(row.notes)
        if self._verbosity > 0:
            notes.insert(0, row.basis)
        for note in notes:
            if note and note not in self._told:
                yield from wrapped(note, self._width, indent)
        self._told.update(notes)
        excused = f"excused: {row.excused}" if row.excused else None
        if answer := row.waived or excused:
            yield from wrapped(answer, self._width, indent)
        if self._verbosity > 0:
            yield from (f"{indent}{line}" for line in _slices(row))
            yield from (f"{indent}{line}" for line in deferral_lines(row))
        if self._verbosity > 1:
            more = [f"and {row.lost_more:,} more lost examples"] if row.lost_more else []
            for line in (*row.lost_examples, *more):
                yield from wrapped(line, self._width, indent)


def outcome_text(gate: GateRow) -> str:
    """Return the outcome, or that somebody answers for it."""
    return "waived" if gate.waived else str(gate.outcome)


def numbers_text(gate: GateRow) -> tuple[str, str]:
    """Return what was observed, and how it had to stand to what was required."""
    if gate.outcome == "NOT RUN":
        return "", ""
    return observed_text(gate), required_text(gate)


def observed_text(gate: GateRow) -> str:
    """Return the observed number of a verdict, rounded towards failing; a dash for none."""
    if gate.observed is not None:
        return quantity_text(gate.observed, gate.unit, up=gate.relation == "<=")
    return INFINITE if gate.infinite else "-" if gate.relation else ""


def required_text(gate: GateRow) -> str:
    """Return what was required, e.g. ``>= 0.95``; nothing where there is no verdict."""
    if gate.required is None:
        return ""
    return f"{gate.relation} {limit_text(gate.required, gate.unit)}"


def test_name(nodeid: str) -> str:
    """Return what pytest calls a test within its file, with its parameters."""
    return nodeid.partition("::")[2] or nodeid


def _test(gate: GateRow) -> str:
    return test_name(gate.nodeid)


def _file(gate: GateRow) -> str:
    return gate.nodeid.partition("::")[0]


def slice_columns(row: GateRow) -> Columns:
    """Return the slices that a gate looked at, the worst first; nothing where it looked at none."""
    found = [each for each in row.details.get("slices", ()) if each["retained"] is not None]
    worst = sorted(found, key=lambda each: float(each["retained"]))
    columns = {
        "slice": [each["slice"] for each in worst],
        "n": [f"{each['n']:,}" for each in worst],
        "teacher": [floor_text(each["teacher"]) for each in worst],
        "student": [floor_text(each["student"]) for each in worst],
        "retained": [retained_text(each["retained"], infinite=False) for each in worst],
        "outcome": [each["outcome"] for each in worst],
    }
    return columns if worst else {}


def _slices(row: GateRow) -> list[str]:
    columns = slice_columns(row)
    if not columns:
        return []
    lines = table(columns, left=("slice", "outcome"))
    return [lines[0], *few_lines(lines[1:])]
