"""Gathers what the tests found out, decides the run, and hands the ledger to the reports.

Registered as a plugin of its own, in the controlling process only, when a report is wanted.
"""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from pytest_distill.records import PROPERTY
from pytest_distill.report.json_file import write_json
from pytest_distill.report.terminal import last_line, remark_lines, report_lines
from pytest_distill.session import SESSION
from pytest_distill.verdicts.ledger import Ledger
from pytest_distill.workers import OUTPUT

MOST_COLUMNS = 100
"""Wider tables are harder to read, not easier."""


class Reporting:
    """The ledger of one run, and its reports.

    Parameters
    ----------
    config : pytest.Config
        The options say which reports are wanted.

    Raises
    ------
    pytest.UsageError
        Where the JSON report cannot be written.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._ledger = Ledger()
        self._problem: str | None = None
        path = config.getoption("distill_json")
        self._json = config.invocation_params.dir / path if path else None
        if self._json and not config.getoption("collectonly"):
            # Whatever happens next, no older report may stand there as this run's.
            try:
                write_json(self._json, self._ledger)
            except OSError as error:
                raise pytest.UsageError(f"--distill-json {path}: {error.strerror}") from None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in one phase of one test."""
        test = self._ledger.test(report.nodeid)
        record = dict(report.user_properties).get(PROPERTY)
        if record is not None:
            said = json.loads(str(record))
            test.gate_test = True
            test.verdicts = said["verdicts"]
            test.looked = said["looked"]
        if report.outcome not in ("passed", "failed", "skipped"):
            return  # an attempt that pytest-rerunfailures repeats
        if report.failed:
            error = record is None or json.loads(str(record))["error"] or report.when != "call"
            test.result = "error" if error else "failed"
        elif report.skipped:
            test.result = "xfailed" if hasattr(report, "wasxfail") else "skipped"
        elif report.when == "call":
            swallowed = record is not None and json.loads(str(record))["error"]
            test.result = "error" if swallowed else "passed"

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember what could not be collected."""
        if report.failed:
            self._ledger.collection_errors.append(report.nodeid)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take in what an xdist worker found out."""
        handed = getattr(node, "workeroutput", {}).get(OUTPUT)
        if handed is not None:
            share = json.loads(handed)
            self._take(share)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Decide the run, and let the exit status agree."""
        if self._config.getoption("collectonly"):
            return
        own = self._config.stash[SESSION]
        self._ledger.named = own.named
        self._take(own.share())
        if self._json:
            try:
                write_json(self._json, self._ledger)
            except OSError as error:
                self._problem = f"{self._json}: cannot be written: {error.strerror}"
        binding = self._config.getoption("distill_report") or self._config.getini("distill_strict")
        ships = not binding or self._ledger.decision().outcome == "SHIP"
        if (not ships or self._problem) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the report."""
        strict = self._config.getini("distill_strict")
        tables = self._config.getoption("distill_report")
        if self._problem:
            terminalreporter.write_line(self._problem, red=True)
        if not (tables or strict) or self._config.getoption("collectonly"):
            return
        write = terminalreporter
        write.section("distill report")
        width = min(shutil.get_terminal_size().columns, MOST_COLUMNS)
        for line in report_lines(self._ledger, width) if tables else ():
            write.write_line(line)
        for line in remark_lines(self._ledger, width):
            write.write_line(line)
        ships = self._ledger.decision().outcome == "SHIP"
        write.write_line(last_line(self._ledger, width), bold=True, green=ships, red=not ships)

    def _take(self, share: dict[str, Any]) -> None:
        self._ledger.expect(share["gate_tests"])
        self._ledger.add_summary(share["summary"])
        self._ledger.add_remarks(share["skipped_files"], share["remarks"])
        self._ledger.required |= share["required"]
        self._ledger.unreadable = sorted({*self._ledger.unreadable, *share["unreadable"]})
