"""Gathers what the tests found out, decides the run, and hands the ledger to the reports.

Registered as a plugin of its own, in the controlling process only, when a report is wanted.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from typing import Any

import pytest

from pytest_distill._util.files import is_stream
from pytest_distill.errors import one_line
from pytest_distill.plugin.actions import ActionsJob
from pytest_distill.plugin.early import FILES, ReportFile
from pytest_distill.plugin.options import SHIPS, binds, shows_examples
from pytest_distill.plugin.records import PROPERTY, how_it_ended
from pytest_distill.plugin.session import SESSION
from pytest_distill.plugin.workers import EXAMPLES, OUTPUT
from pytest_distill.report.attempt import TestRun
from pytest_distill.report.blocks import ReportLine
from pytest_distill.report.examples import ExampleTable
from pytest_distill.report.ledger import Ledger
from pytest_distill.report.reading import read_run, read_share
from pytest_distill.report.records.report import Reason, Report
from pytest_distill.report.tables import cells, encodable
from pytest_distill.report.terminal import last_line, remark_lines, report_lines, terminal_width

HINT = "(more: -v, --distill-json)"
COLOURS = {
    "PASSED": {"green": True},
    "FAILED": {"red": True},
    "INCONCLUSIVE": {"red": True},
    "NOT RUN": {"yellow": True},
    "waived": {"yellow": True},
}
"""Outcome -> how it is written, as pytest writes its own."""

ENDS = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED)
"""How pytest ends where it ran all that it was asked to run."""


class Reporting:
    """The ledger of one run, and its reports.

    Parameters
    ----------
    config : pytest.Config
        The options say which reports are wanted.

    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._ledger = Ledger(limit=config.getoption("distill_limit"))
        self._problem = ""
        """Why the report is not what it should be; a run with such a report is no SHIP."""
        self._job = ActionsJob(config)
        self._warning = ""
        self._report = Report()
        self._examples: Sequence[ExampleTable] = ()
        self._lines: list[ReportLine] = []
        self._last = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in one phase of one test: its own record, and what pytest makes of it."""
        self._job.saw(report)
        test = self._ledger.test(report.nodeid)
        run = _published(report.user_properties)
        if run is not None:
            test.take(run)
        if report.outcome not in ("passed", "failed", "skipped"):
            return  # an attempt that a plugin repeats
        if report.failed and report.when != "call":
            test.result = "error"
        elif report.when == "call" or not report.passed:
            test.result = how_it_ended(report)

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

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take in what an xdist worker found out; one that tells nothing is lost."""
        try:
            self._ledger.take(read_share(node.workeroutput[OUTPUT]))
            if EXAMPLES in node.workeroutput:
                from pytest_distill.report.examples import unpacked

                self._ledger.examples += unpacked(node.workeroutput[EXAMPLES])
        except (AttributeError, KeyError, ValueError):
            self._ledger.lost_workers.append(node.gateway.id)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Decide the run, and let the exit status agree.

        All that the summary prints is made here, and nothing is raised: pytest would end without
        a report. What tests, models and metrics are is not asked any more, only what they told.
        """
        try:
            self._decide(int(session.exitstatus))
            self._write_files()
        except Exception as error:  # noqa: BLE001 (whatever it is, such a run is no SHIP)
            self._problem = f"the report could not be made: {type(error).__name__}: {error}"
        if self._config.getoption("distill_report"):
            self._warning = self._job.summarise(self._told())
        ships = self._report.outcome == "SHIP" and not self._problem
        self._config.stash[SHIPS] = ships
        if session.exitstatus == pytest.ExitCode.OK and (
            self._problem or (binds(self._config) and not ships)
        ):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        self._config.stash[SESSION].turns.on_late = self._decide_again

    def _decide_again(self) -> None:
        """Take back what was said, since a gate was asked after it, by a thread left running."""
        self._ledger.troubles.append("a gate was asked after the run was decided")
        self._report = self._ledger.report()
        self._write_files(again=True)
        told = f"{self._report.outcome}: {self._ledger.troubles[-1]}"
        print(told, file=sys.__stderr__)  # the terminal reporter has ended
        if binds(self._config):
            _FAILS.set()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the report."""
        if self._config.getoption("distill_report"):
            for command in self._job.annotations(self._told()):
                terminalreporter.write_line(command)
        if self._warning:
            terminalreporter.write_line(one_line(f"warning: {self._warning}"), yellow=True)
        if not binds(self._config):
            if self._problem:
                terminalreporter.write_line(one_line(self._problem), red=True)
            return
        terminalreporter.currentfspath = None  # else an empty line: that of the tests has ended
        terminalreporter.section("distill report")
        writer = self._config.get_terminal_writer()
        encoding = getattr(getattr(writer, "_file", sys.stdout), "encoding", None) or "ascii"
        width = terminal_width()
        for line in self._lines:
            for part in encodable(line.text, encoding, width):
                before, outcome, after = part.partition(line.outcome or "\0")
                writer.write(before)
                writer.write(outcome, **COLOURS.get(line.outcome, {}))
                writer.line(after)
        last = self._last
        if self._problem:
            last = f"{'INCOMPLETE' if self._report.outcome == 'SHIP' else last}: {self._problem}"
        ships = self._config.stash[SHIPS]
        for part in encodable(one_line(last), encoding, width):
            writer.line(part, bold=True, green=ships, red=not ships)

    def _decide(self, status: int) -> None:
        """Take in what this process found out, and make the lines of the report."""
        self._last = "INCOMPLETE"  # what stands where the rest fails
        width = terminal_width()
        verbosity = int(getattr(self._config.option, "verbose", 0))  # -p no:terminal has none
        if self._config.getoption("collectonly"):
            self._ledger.troubles.append("tests were collected and not run")
        else:
            from pytest_distill.plugin.sharing import share_of

            own = self._config.stash[SESSION]
            self._ledger.named = own.collected.named
            self._ledger.scopes = own.collected.scopes
            self._ledger.rootdir = own.places.in_repository(self._config.rootpath)
            share = share_of(own)
            if shows_examples(self._config):
                from pytest_distill.plugin.standing import example_tables

                self._ledger.examples += example_tables(own, share)
            self._ledger.take(share)
            self._examples = self._ledger.side_by_side()
        self._report = self._ledger.report()
        if status not in ENDS and self._report.outcome == "SHIP":
            self._ledger.troubles.append(f"pytest ended with status {status}")
            self._report = self._ledger.report()
        if self._config.getoption("distill_report"):
            self._lines = report_lines(self._report, width, verbosity)
        self._lines += map(ReportLine, remark_lines(self._report, width))
        self._last = last_line(self._report, width)
        room = width - cells(self._last)
        if self._report.outcome == "SHIP" and verbosity == 0 and room >= len(HINT) + 2:
            self._last += HINT.rjust(room)

    def _told(self) -> Report:
        """Return the report as it is told: with what kept it from being made or written."""
        if not self._problem:
            return self._report
        ships = self._report.outcome == "SHIP"
        reasons = (*(() if ships else self._report.reasons), Reason(self._problem))
        return replace(
            self._report,
            outcome="INCOMPLETE" if ships else self._report.outcome,
            reason="; ".join(reason.text for reason in reasons),
            culprits=tuple(name for reason in reasons for name in reason.names),
            reasons=reasons,
        )

    def _write_files(self, *, again: bool = False) -> None:
        """Write the files, those that can be replaced once more where one could not be written."""
        before = self._problem
        for file in self._config.stash[FILES].values():
            self._write(file, again=again)
        if self._problem != before and not again:
            self._write_files(again=True)

    def _write(self, file: ReportFile, *, again: bool) -> None:
        capture: Any = self._config.pluginmanager.getplugin("capturemanager")
        try:
            if again and is_stream(file.path):
                return
            # A path such as /dev/stdout means pytest's own, not what it captures.
            with capture.global_and_fixture_disabled() if capture else nullcontext():
                file.end(self._told(), self._examples)
        except OSError as error:
            self._problem = f"{file.path}: cannot be written: {error.strerror}"
        except Exception as error:  # noqa: BLE001 (the other files tell it)
            self._problem = f"{file.path}: cannot be made: {type(error).__name__}: {error}"


def _published(properties: Sequence[tuple[str, object]]) -> TestRun | None:
    """Return the record in a report's user properties; a user's own may have the same name."""
    for name, value in properties:
        if name == PROPERTY and isinstance(value, str):
            with suppress(ValueError, KeyError):
                return read_run(value)
    return None


_FAILS = threading.Event()
"""Set where the exit status, which is decided already, proves wrong."""


def _end_process() -> None:
    if _FAILS.is_set():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(pytest.ExitCode.TESTS_FAILED)


atexit.register(_end_process)  # before any test can: what is registered first is called last
