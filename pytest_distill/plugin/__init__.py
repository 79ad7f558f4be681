"""Options and hooks: the pytest face of the package.

pytest imports this module at every start, so it imports only the standard library and pytest;
numpy, torch and the rest come when a test with a gate needs them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from pytest_distill.errors import DistillError
from pytest_distill.plugin import fixtures, hookspecs
from pytest_distill.plugin.early import begin_reports, paths_among, tells_only
from pytest_distill.plugin.frames import say_it_alone_in_fixtures, without_own_frames
from pytest_distill.plugin.options import SHIPS, add_options, binds, check_options, shows_examples
from pytest_distill.plugin.other_reports import show_gates
from pytest_distill.plugin.records import STUDENTS, phase, publish, saw_report, state_of
from pytest_distill.plugin.running import note_look, wait_for_threads
from pytest_distill.plugin.session import ROLES, SESSION, DistillSession
from pytest_distill.plugin.workers import EXAMPLES, OUTPUT, RUN


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    add_options(parser)
    config: Any = pluginmanager.get_plugin("pytestconfig")
    if config is not None and not _in_worker():
        with suppress(pytest.UsageError):  # the next hook says so
            begin_reports(config, paths_among(config))


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(hookspecs)
    pluginmanager.register(fixtures)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Begin the JSON report before a conftest or an unknown option can end the run."""
    options = early_config.known_args_namespace
    if not _in_worker():
        begin_reports(early_config, vars(options))
    try:
        yield
    except SystemExit as error:
        if options.distill_report and not error.code and not tells_only(options):
            raise pytest.UsageError("a conftest.py ended the run: INCOMPLETE") from None
        raise


def _in_worker() -> bool:
    """Return whether this may be one of xdist's workers, which have no other mark so early."""
    return "PYTEST_XDIST_WORKER" in os.environ


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_cmdline_main(
    config: pytest.Config,
) -> Generator[None, int | pytest.ExitCode | None, int | pytest.ExitCode | None]:
    """End with 0 only for SHIP where that is asked for, however the run ended."""
    status = yield
    if status or hasattr(config, "workerinput") or tells_only(config.option):
        return status
    if not binds(config) or config.stash.get(SHIPS, False):
        return status
    if SHIPS not in config.stash:
        sys.stderr.write("pytest-distill: INCOMPLETE: the run did not end with a report\n")
    return pytest.ExitCode.TESTS_FAILED


def pytest_configure(config: pytest.Config) -> None:
    worker = hasattr(config, "workerinput")
    if not worker:
        begin_reports(config, vars(config.option))
    config.addinivalue_line(
        "markers",
        "distill(eval=None, metric=None, student=None, confidence=None): a gate test, and what its "
        "assertions are about by default (pytest-distill)",
    )
    config.stash[SESSION] = DistillSession(config)
    check_options(config)
    if config.stash[SESSION].reports and not worker and not tells_only(config.option):
        from pytest_distill.plugin.reporting import Reporting

        config.pluginmanager.register(Reporting(config), "distill-reporting")


def pytest_unconfigure(config: pytest.Config) -> None:
    session = config.stash.get(SESSION, None)
    if session is not None:
        session.close()


@pytest.hookimpl(wrapper=True, trylast=True)  # inside of --lf's filter: it hides what it drops
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Turn a wrong marker or ``distill.yaml`` into a collection error of its file.

    An xdist worker can hand on a failed report, but an exception in a hook would end it.
    """
    report = yield
    session = collector.config.stash[SESSION]
    if session.reports:
        session.collected.saw(collector, report)
    try:
        for node in report.result or ():
            if isinstance(node, pytest.Item) and session.is_gate_test(node):
                session.check_marker(node)
    except DistillError as error:
        report.outcome = "failed"
        report.result = []
        error.__cause__, error.__suppress_context__ = None, True
        told = pytest.ExceptionInfo.from_exception(error).getrepr(style="value")
        # Workers all report it; xdist tells what is equal once, and only text is equal.
        report.longrepr = str(error) if hasattr(collector.config, "workerinput") else told
    return report


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    session, item = metafunc.config.stash[SESSION], metafunc.definition
    if STUDENTS in metafunc.fixturenames and session.config_file(item) is not None:
        names = session.project(item).config.named("student")
        if names:
            metafunc.parametrize(STUDENTS, names, indirect=True)


@pytest.hookimpl(wrapper=True)
def pytest_ignore_collect(
    collection_path: Path, config: pytest.Config
) -> Generator[None, bool | None, bool | None]:
    ignored = yield
    if ignored:
        config.stash[SESSION].collected.ignored(collection_path)
    return ignored


def pytest_itemcollected(item: pytest.Item) -> None:
    # Before -k, -m and hooks of the project take any away: a gate that was deselected did not run.
    item.config.stash[SESSION].collected.selected([item])


def pytest_deselected(items: Sequence[pytest.Item]) -> None:
    for item in items:
        item.config.stash[SESSION].collected.deselected.add(item.nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput[RUN] = node.config.stash[SESSION].run


def pytest_collection_finish(session: pytest.Session) -> None:
    own = session.config.stash[SESSION]
    own.collected.selected(session.items)
    if session.config.getoption("collectonly"):
        return
    own.plan(session.items)
    if own.reports:
        own.read_required()


@pytest.hookimpl(tryfirst=True)  # before anything is decided
def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    own = session.config.stash[SESSION]
    if own.reports:
        wait_for_threads(own.turns)
    if output is not None and own.reports:
        # Where this fails the controlling process hears of no share, and nothing ships.
        from pytest_distill.plugin.sharing import share_of

        share = share_of(own)
        if shows_examples(session.config):
            from pytest_distill.plugin.standing import example_tables
            from pytest_distill.report.examples import packed

            output[EXAMPLES] = packed(example_tables(own, share))
        output[OUTPUT] = json.dumps(asdict(share), allow_nan=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    with item.config.stash[SESSION].running(item):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # around whatever a phase consists of
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    session = item.config.stash[SESSION]
    state_of(item).gate_test = session.is_gate_test(item)
    with phase(item, "setup"):
        names: list[str] = getattr(item, "fixturenames", [fixtures.REQUEST])
        if fixtures.REQUEST not in names and session.config_file(item) is not None:
            names.insert(0, fixtures.REQUEST)  # `comparison` needs it
        yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    item.config.stash[SESSION].turns.looks.note_through_fixtures(item)
    with phase(item, "call"):
        yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    with phase(item, "teardown"):
        yield


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    with request.config.stash[SESSION].turns.looks.setting_up(fixturedef):
        value = yield
        if fixturedef.argname in ROLES and not isinstance(value, fixtures.ModelHandle):
            # The project's own: what is read of it cannot be seen, only that it is taken.
            note_look(fixturedef.argname)
    return value


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    error = call.excinfo.value if call.excinfo is not None else None
    if isinstance(error, DistillError) and not item.config.getoption("fulltrace", False):
        call.excinfo = without_own_frames(error)
    report = yield
    if isinstance(error, DistillError) and call.excinfo is not None:
        say_it_alone_in_fixtures(item, call.excinfo, report)
    saw_report(item, report, error)
    if report.when == "call" and not report.failed and state_of(item).phase is None:
        _correct(item, report)
    publish(item)
    report.user_properties = list(item.user_properties)
    show_gates(item, report)
    return report


def _correct(item: pytest.Item, report: pytest.TestReport) -> None:
    """Let a report that hides what gates said show it: unittest skips past its own failures."""
    state = state_of(item)
    stood = [why for row in state.attempt.verdicts if (why := row.waived or row.excused)]
    if state.unheard is not None and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", state.unheard
    elif report.passed and stood:
        report.outcome = "skipped"
        report.wasxfail = "; ".join(stood)
