"""Gathers what the tests found out, decides the run, and hands the ledger to the reports.

Registered as a plugin of its own, in the controlling process only, when a report is wanted.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import sys
from typing import Any

import pytest

from pytest_distill.records import published
from pytest_distill.report.json_file import write_json
from pytest_distill.report.terminal import last_line, report_lines
from pytest_distill.session import SESSION
from pytest_distill.verdicts.attempt import TestRun
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
        self._ledger = Ledger(limit=config.getoption("distill_limit"))
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
        """Take in one phase of one test: its own record, and what pytest makes of it."""
        test = self._ledger.test(report.nodeid)
        record = published(report.user_properties)
        if record is not None:
            test.take(*record)
        if report.outcome not in ("passed", "failed", "skipped"):
            return  # an attempt that a plugin repeats
        if report.failed:
            test.result = "failed" if report.when == "call" else "error"
        elif report.skipped:
            test.result = "xfailed" if hasattr(report, "wasxfail") else "skipped"
        elif report.when == "call":
            test.result = "passed"

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Remember that the run was cut off: gates after it did not run, known or not."""
        if isinstance(excinfo.value, pytest.exit.Exception):
            self._ledger.troubles.append(f"ended by pytest.exit: {excinfo.value.msg}")
        elif excinfo.type is KeyboardInterrupt:
            self._ledger.troubles.append("interrupted by Ctrl-C")
        elif not self._ledger.collection_errors:  # pytest's own stop: that it is of, else
            self._ledger.troubles.append(f"stopped: {excinfo.value}")

    def pytest_internalerror(self, excrepr: object) -> None:  # noqa: ARG002 (a hook's arguments)
        """Remember that pytest itself broke, or a plugin of it."""
        self._ledger.troubles.append("pytest ended with an internal error")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Remember what could not be collected."""
        if report.failed:
            self._ledger.collection_errors.append(report.nodeid)
        elif report.skipped and self._speaks_of_gates(report.nodeid):
            self._ledger.skipped_files.append(report.nodeid)

    def _speaks_of_gates(self, nodeid: str) -> bool:
        """Return whether a file that skipped itself may have held gates: nobody saw them."""
        try:
            return "distill" in (self._config.rootpath / nodeid).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            return False

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take in what an xdist worker found out; of one that tells nothing, nobody knows what."""
        try:
            self._take(json.loads(node.workeroutput[OUTPUT]))
        except (AttributeError, KeyError, ValueError):
            self._ledger.lost_workers.append(node.gateway.id)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Decide the run, and let the exit status agree."""
        if self._config.getoption("collectonly"):
            return
        self._take(self._config.stash[SESSION].share())
        self._write_json()
        binding = self._config.getoption("distill_report") or self._config.getini("distill_strict")
        ships = not binding or self._ledger.decision().outcome == "SHIP"
        if (not ships or self._problem) and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        self._config.stash[SESSION].on_late = self._decide_again

    def _write_json(self) -> None:
        if self._json:
            try:
                write_json(self._json, self._ledger)
            except OSError as error:
                self._problem = f"{self._json}: cannot be written: {error.strerror}"

    def _decide_again(self) -> None:
        """Take back what was said, since a gate was asked after it: by a thread left running."""
        self._ledger.troubles.append("a gate was asked after the run was decided")
        self._write_json()
        print(self._ledger.decision().outcome, self._ledger.troubles[-1], file=sys.__stderr__)
        atexit.register(_exit_with_failure)

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
        ships = self._ledger.decision().outcome == "SHIP"
        write.write_line(last_line(self._ledger, width), bold=True, green=ships, red=not ships)

    def _take(self, share: dict[str, Any]) -> None:
        self._ledger.expect(share["gate_tests"])
        for told in share["tests"]:
            run = TestRun.from_dict(told["run"])
            self._ledger.test(told["nodeid"]).take(told["name"], run)
        self._ledger.troubles += [
            f"{function}() was asked when no test ran" for function in share["late"]
        ]
        self._ledger.allow_reruns |= share["allow_reruns"]
        self._ledger.add_summary(share["summary"])
        self._ledger.skipped_files += share["skipped_files"]
        self._ledger.required |= share["required"]
        self._ledger.unreadable = sorted({*self._ledger.unreadable, *share["unreadable"]})


def _exit_with_failure() -> None:
    """End the process as pytest would have ended it: its own exit status is decided already."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(pytest.ExitCode.TESTS_FAILED)
