"""Options and hooks: the pytest face of the package.

pytest imports this module at every start, so it imports only the standard library and pytest;
numpy, torch and the rest come when a test with a gate needs them.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Generator, Iterator
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from types import TracebackType
from typing import Any

import pluggy
import pytest

from pytest_distill._util.user_code import user_frames
from pytest_distill.errors import DistillError
from pytest_distill.plugin import hookspecs
from pytest_distill.plugin.early import begin_report, path_among, tells_only
from pytest_distill.plugin.fixtures import (
    REQUEST_FIXTURE,
    ROLES,
    ModelHandle,
    _distill_request,
    comparison,
    gold,
    sft,
    student,
    students,
    teacher,
)
from pytest_distill.plugin.records import (
    STUDENTS,
    phase,
    publish,
    saw_report,
    state_of,
)
from pytest_distill.plugin.running import note_look, wait_for_threads
from pytest_distill.plugin.session import SESSION, SHIPS, DistillSession, binds
from pytest_distill.plugin.workers import BEGAN, OUTPUT, RUN

__all__ = ["_distill_request", "comparison", "gold", "sft", "student", "students", "teacher"]

PACKAGE = Path(__file__).parent.parent
PYTEST_HOMES = (
    *(Path(pytest.__file__).parent, Path(pytest.__file__).parent.parent / "_pytest"),
    Path(pluggy.__file__).parent,
)


def pytest_addoption(parser: pytest.Parser, pluginmanager: pytest.PytestPluginManager) -> None:
    group = parser.getgroup("distill", "may a distilled model ship? (pytest-distill)")
    group.addoption(
        "--distill-report",
        action="store_true",
        default=None,
        help="show scores, retained quality and gates, and exit with 0 only if all gates passed",
    )
    group.addoption(
        "--distill-json",
        metavar="PATH",
        default=None,
        help="write the report as JSON",
    )
    group.addoption(
        "--distill-limit",
        metavar="N",
        default=None,  # text, as all values here: they are checked when the JSON report has begun
        help="evaluate a sample of N examples of each gold set; such a run is INCOMPLETE",
    )
    group.addoption(
        "--distill-cache",
        metavar="DIR",
        default=None,
        help="keep predictions in this folder instead of .distill beside distill.yaml",
    )
    group.addoption(
        "--distill-refresh",
        action="store_true",
        default=None,
        help="evaluate anew what is stored",
    )
    group.addoption(
        "--distill-predictions",
        metavar="DIR",
        default=None,
        help="take exported predictions from this folder for models whose weights are absent",
    )
    group.addoption(
        "--distill-config",
        metavar="PATH",
        default=None,
        help="use this distill.yaml instead of the nearest one at or above each test file",
    )
    group.addoption(
        "--distill-device",
        metavar="DEVICE",
        default=None,
        help="run all models on this device: auto, cpu, cuda or cuda:N",
    )
    group.addoption(
        "--distill-model",
        metavar="NAME=PATH",
        action="append",
        default=None,
        help="use this checkpoint for a model of distill.yaml (may be given several times)",
    )
    parser.addini(
        "distill_strict",
        "exit with 0 only if all gates ran and passed, also without --distill-report",
        type="bool",
        default=False,
    )
    parser.addini(
        "distill_cache", "folder of stored predictions, relative to rootdir", default=None
    )
    parser.addini("distill_config", "path of distill.yaml, relative to rootdir", default=None)
    config: Any = pluginmanager.get_plugin("pytestconfig")
    if config is not None and not _in_worker():
        with suppress(pytest.UsageError):  # the next hook says so
            begin_report(config, path_among(config))


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(hookspecs)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None]:
    """Begin the JSON report before a conftest or an unknown option can end the run."""
    options = early_config.known_args_namespace
    if not _in_worker():
        begin_report(early_config, options.distill_json)
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
    """End with 0 only for SHIP where that is asked for, whoever ended the run and however."""
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
        begin_report(config, config.getoption("distill_json"))
    config.addinivalue_line(
        "markers",
        "distill(eval=None, metric=None, student=None, confidence=None): a gate test, and what its "
        "assertions are about by default (pytest-distill)",
    )
    config.stash[SESSION] = DistillSession(config)
    _check_options(config)
    if config.stash[SESSION].reports and not worker and not tells_only(config.option):
        from pytest_distill.plugin.reporting import Reporting

        config.pluginmanager.register(Reporting(config), "distill-reporting")


def _check_options(config: pytest.Config) -> None:
    """Raise UsageError where the value of an option is wrong, and make the limit a number."""
    for given in config.getoption("distill_model") or ():
        if not all(given.partition("=")):
            raise pytest.UsageError(f"--distill-model {given}: write NAME=PATH")
    try:
        config.getini("distill_strict")
    except (ValueError, pytest.UsageError) as error:
        raise pytest.UsageError(f"distill_strict: {error}") from None
    limit = config.getoption("distill_limit")
    if limit is not None:
        if not re.fullmatch(r"0*[1-9][0-9]{0,17}", str(limit)):
            raise pytest.UsageError(f"--distill-limit {limit}: must be a whole number, at least 1")
        config.option.distill_limit = int(limit)
    device = config.getoption("distill_device")
    if device is not None and not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise pytest.UsageError(f"--distill-device {device}: write auto, cpu, cuda or cuda:N")


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
    if isinstance(collector, pytest.Directory):
        session.saw_folder(collector.path)
    session.saw(collector, report)
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
    if STUDENTS in metafunc.fixturenames:
        names = metafunc.config.stash[SESSION].student_names(metafunc.definition)
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
    item.config.stash[SESSION].selected([item])


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    session = node.config.stash[SESSION]
    node.workerinput[RUN] = session.run
    node.workerinput[BEGAN] = session.began.isoformat()


def pytest_collection_finish(session: pytest.Session) -> None:
    own = session.config.stash[SESSION]
    own.selected(session.items)
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
        own.still_running(wait_for_threads(own))
    if output is not None and own.reports:
        # Where this fails the controlling process hears of no share, and nothing ships.
        output[OUTPUT] = json.dumps(own.share(), allow_nan=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    with item.config.stash[SESSION].running(item):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # around whatever a phase consists of
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    session = item.config.stash[SESSION]
    state_of(item).gate_test = session.is_gate_test(item)
    with phase(item, "setup"):
        fixtures: list[str] | None = getattr(item, "fixturenames", None)
        if (
            fixtures is not None
            and REQUEST_FIXTURE not in fixtures
            and session.config_file(item) is not None
        ):
            fixtures.insert(0, REQUEST_FIXTURE)  # `comparison` needs it
        yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    session = item.config.stash[SESSION]
    if session.looks_through_fixtures(item):
        session.looks(item)
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
    session = request.config.stash[SESSION]
    with session.setting_up(fixturedef):
        value = yield
        if fixturedef.argname in ROLES and not isinstance(value, ModelHandle):
            # The project's own: what is read of it cannot be seen, only that it is taken.
            note_look(fixturedef.argname)
    return value


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    error = call.excinfo.value if call.excinfo is not None else None
    if isinstance(error, DistillError) and not item.config.getoption("fulltrace", False):
        call.excinfo = _without_own_frames(error)
    report = yield
    if isinstance(error, DistillError) and call.excinfo is not None:
        _say_it_alone_in_fixtures(item, call.excinfo, report)
    saw_report(item, report, error)
    if report.when == "call" and not report.failed and state_of(item).phase is None:
        _correct(item, report)
    publish(item)
    report.user_properties = list(item.user_properties)
    return report


def _correct(item: pytest.Item, report: pytest.TestReport) -> None:
    """Let a report that hides what gates said show it: unittest skips past its own failures."""
    state = state_of(item)
    waived = [v["waived"] for v in state.attempt.verdicts if v["waived"]]
    if state.unheard is not None and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", state.unheard
    elif report.passed and waived:
        report.outcome = "skipped"
        report.wasxfail = "; ".join(waived)


def _without_own_frames(error: DistillError) -> pytest.ExceptionInfo[DistillError]:
    """Leave only the user's own frames of an error that is the user's to mend.

    Where a metric or an engine raised, its own frames follow those of the test. The chain of
    frames is rebuilt, since pytest follows the chain again after filters of its own.
    """
    frames = [*_before_ours(error.__traceback__)]
    if error.__cause__ is not None:
        frames += user_frames(error.__cause__.__traceback__)
    kept = None
    for tb in reversed(frames):
        kept = TracebackType(kept, tb.tb_frame, tb.tb_lasti, tb.tb_lineno)
    error.__cause__ = None
    error.__suppress_context__ = True
    if kept is not None:  # none is the user's where a file is at fault, not a test
        error = error.with_traceback(kept)
    return pytest.ExceptionInfo.from_exception(error)


def _before_ours(tb: TracebackType | None) -> Iterator[TracebackType]:
    """Yield the frames up to the call of ours that raised, without our hooks around the test."""
    first = next(user_frames(tb), None)
    around = [*takewhile(lambda frame: frame is not first, _chain(tb))]
    yield from (frame for frame in around if not _is_own(frame))
    yield from takewhile(lambda frame: not _is_own(frame), _chain(first))


def _say_it_alone_in_fixtures(
    item: pytest.Item, excinfo: pytest.ExceptionInfo[BaseException], report: pytest.TestReport
) -> None:
    """Show the message alone where no frame is the user's, as in a fixture of this package."""
    frames = (Path(tb.tb_frame.f_code.co_filename) for tb in _chain(excinfo.tb))
    only_pytest = all(any(home in frame.parents for home in PYTEST_HOMES) for frame in frames)
    if only_pytest and not item.config.getoption("fulltrace", False):
        report.longrepr = excinfo.getrepr(style="value")


def _is_own(tb: TracebackType) -> bool:
    return PACKAGE in Path(tb.tb_frame.f_code.co_filename).parents


def _chain(tb: TracebackType | None) -> Iterator[TracebackType]:
    while tb is not None:
        yield tb
        tb = tb.tb_next
