"""What the processes of one run found out, put together."""

from __future__ import annotations

import math
import posixpath
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TypeVar

from pytest_distill._util.numbers import retained_share, rounded_down
from pytest_distill.gates.verdict import finite
from pytest_distill.report.attempt import TestRun
from pytest_distill.report.examples import ExampleTable, joined
from pytest_distill.report.outcomes import ASKED_NOTHING, end_row, may_be_repeated, run_rows
from pytest_distill.report.records.comparisons import BudgetRow, ComparisonRow, ScoresRow
from pytest_distill.report.records.gates import GateRow
from pytest_distill.report.records.record import record_of
from pytest_distill.report.share import Share, index_in

Compared = TypeVar("Compared", bound=ComparisonRow)


@dataclass
class TestRecord:
    """What is known of one test.

    Parameters
    ----------
    nodeid : str
        As pytest's reports name it.
    gate_test : bool
        Whether it carries the marker, requests `comparison`, or asked a gate.
    result : str, optional
        How it ended by pytest's reports: ``passed``, ``failed`` (an assertion), ``error`` (anything
        else that went wrong), ``skipped``, ``xfailed``; None as long as it has not ended.
    runs : dict
        What it asked by its own record, one for each turn: another worker's, an item of the same
        node id.
    position : float
        Which of the collected gate tests it is; infinite where collection did not know it as one.
    line : int, optional
        Where it begins, as collection knew it.
    """

    __test__ = False

    nodeid: str
    gate_test: bool = False
    result: str | None = None
    runs: dict[str, TestRun] = field(default_factory=dict)
    position: float = math.inf
    line: int | None = None

    def take(self, run: TestRun) -> None:
        """Take in what one turn of the test has come to so far."""
        known = self.runs.get(run.name, TestRun())
        if run.attempts and len(run.attempts) >= len(known.attempts):
            self.gate_test = True
            self.runs[run.name] = replace(run, nodeid=self.nodeid)


@dataclass
class Findings:
    """Everything that one run found out.

    The gates stand in the order in which their tests were collected, whichever worker ran them.
    """

    tests: dict[str, TestRecord] = field(default_factory=dict)
    known: Share = field(default_factory=Share)
    """What the processes told, together; each row once."""
    examples: list[ExampleTable] = field(default_factory=list)
    """What the models of each process answered, where a file shows that."""
    collection_errors: list[str] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    """The files, folders and tests that the command line names, where it names any."""
    scopes: list[str] = field(default_factory=list)
    """The same as node ids begin: relative to rootdir."""
    rootdir: str = ""
    """Where node ids start: relative to the repository, with ``/``."""
    limit: int | None = None
    """At most how many examples of each gold set were looked at."""
    lost_workers: list[str] = field(default_factory=list)
    """xdist workers that ended without a word of what they found out."""
    troubles: list[str] = field(default_factory=list)
    """What else made the run incomplete: an interruption, a gate that was asked too late."""

    def test(self, nodeid: str) -> TestRecord:
        """Return the record of a test, a new one where there is none yet."""
        return self.tests.setdefault(nodeid, TestRecord(nodeid))

    def take(self, share: Share) -> None:
        """Take in what one process found out."""
        for position, (nodeid, line) in enumerate(share.gate_tests.items()):
            test = self.test(nodeid)
            test.line = line
            test.gate_test = True
            test.position = position
        for run in share.runs:
            self.test(run.nodeid).take(run)
        for model in self.known.not_the_same(share.models):
            self.troubles.append(f"model '{model}' not the same in all workers")
        self.known.add(share)

    def side_by_side(self) -> tuple[ExampleTable, ...]:
        """Return the examples of each eval with the answers of all its models."""
        return joined(self.examples, self.known.listings)

    def compared(self) -> list[ComparisonRow]:
        """Return the comparisons with their scores as floats, and what each student retained.

        Only here, since one process may have evaluated the teacher and another one the student.
        """
        rows = (row for row in self.known.scores if row.at_tokens is None)
        return [self._compared(row, ComparisonRow) for row in rows]

    def within_budgets(self) -> list[BudgetRow]:
        """Return the same within each budget of tokens, the smallest first."""
        rows = [row for row in self.known.scores if row.at_tokens is not None]
        return [
            self._compared(row, BudgetRow) for row in sorted(rows, key=lambda r: r.at_tokens or 0)
        ]

    def _compared(self, row: ScoresRow, kind: type[Compared]) -> Compared:
        roles = {m.name: m.role for m in self.known.models if m.config == row.config}
        given = sorted(row.scores.items(), key=lambda pair: index_in([*roles], pair[0]))
        scores = {name: Fraction(score) for name, score in given}
        teacher = next((s for name, s in scores.items() if roles.get(name) == "teacher"), None)
        ratios = {
            name: retained_share(score, teacher, row.higher_is_better)
            for name, score in scores.items()
            if teacher is not None and roles.get(name) != "teacher"
        }
        retained = {n: finite(rounded_down(r)) for n, r in ratios.items() if r is not None}
        floats = {name: float(score) for name, score in scores.items()}
        return record_of(kind, row, scores=floats, retained=retained)

    def gates(self) -> list[GateRow]:
        """Return a row for every gate that was asked, and for every gate test without one."""
        rows: list[GateRow] = []
        for test in sorted(self.tests.values(), key=lambda test: test.position):
            for run in test.runs.values():
                rows += run_rows(run, self._excused)
            if test.gate_test and not test.runs:
                ended = ASKED_NOTHING if test.result == "passed" else test.result
                run = TestRun(test.nodeid, file=self._file(test.nodeid), line=test.line)
                why = self._why_not(test.nodeid) if ended is None else ""
                rows.append(end_row(run, ended, why))
        return rows

    def _why_not(self, nodeid: str) -> str:
        """Return why a test never began, as far as that is known."""
        if nodeid in self.known.deselected:
            return "deselected"
        if self.collection_errors:
            return "a file could not be collected"
        return "; ".join(self.troubles) or "the run ended before it"

    def _file(self, nodeid: str) -> str:
        """Return where a test is that was not run."""
        return posixpath.normpath(posixpath.join(self.rootdir, nodeid.partition("::")[0]))

    def _excused(self, row: GateRow) -> bool:
        """Return whether a later attempt counts in place of this one."""
        return may_be_repeated(row, self.known.allow_reruns.get(row.config or "", False))
