"""Options and hooks: the pytest face of the package.

pytest imports this module at every start, so it imports only the standard library and pytest;
numpy, torch and the rest come when a test with a gate needs them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterator
from itertools import takewhile
from pathlib import Path
from types import TracebackType
from typing import Any

import pluggy
import pytest

from pytest_distill import hookspecs
from pytest_distill.errors import DistillError
from pytest_distill.fixtures import (
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
from pytest_distill.records import STUDENTS, publish, state_of
from pytest_distill.session import SESSION, DistillSession, note_look
from pytest_distill.workers import OUTPUT, STARTED

__all__ = ["_distill_request", "comparison", "gold", "sft", "student", "students", "teacher"]

PACKAGE = Path(__file__).parent
PYTEST_HOMES = (
    *(Path(pytest.__file__).parent, Path(pytest.__file__).parent.parent / "_pytest"),
    Path(pluggy.__file__).parent,
)


def pytest_addoption(parser: pytest.Parser) -> None:
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
        type=int,
        default=None,
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


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(hookspecs)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "distill(eval=None, metric=None, student=None, confidence=None): a gate test, and what its "
        "assertions are about by default (pytest-distill)",
    )
    config.stash[SESSION] = DistillSession(config)
    for given in config.getoption("distill_model") or ():
        if not all(given.partition("=")):
            raise pytest.UsageError(f"--distill-model {given}: write NAME=PATH")
    limit = config.getoption("distill_limit")
    if limit is not None and limit < 1:
        raise pytest.UsageError(f"--distill-limit {limit}: must be at least 1")
    device = config.getoption("distill_device")
    if device is not None and not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise pytest.UsageError(f"--distill-device {device}: write auto, cpu, cuda or cuda:N")
    if config.stash[SESSION].reports and not hasattr(config, "workerinput"):
        from pytest_distill.reporting import Reporting

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
    node.workerinput[STARTED] = node.config.stash[SESSION].started


def pytest_collection_finish(session: pytest.Session) -> None:
    session.config.stash[SESSION].selected(session.items)
    if not session.config.getoption("collectonly"):
        session.config.stash[SESSION].plan(session.items)


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    own = session.config.stash[SESSION]
    if output is not None and own.reports:
        output[OUTPUT] = json.dumps(own.share(), allow_nan=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    with item.config.stash[SESSION].running(item):
        return (yield)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    state = state_of(item)
    state.verdicts.clear()  # of an attempt before, where the test is rerun
    state.error = False
    state.looked = False
    session = item.config.stash[SESSION]
    if session.is_gate_test(item):
        publish(item)
    fixtures: list[str] | None = getattr(item, "fixturenames", None)
    if fixtures is None or REQUEST_FIXTURE in fixtures:
        return
    if session.config_file(item) is not None:
        fixtures.insert(0, REQUEST_FIXTURE)  # `comparison` needs it


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    session = item.config.stash[SESSION]
    if session.looks_through_fixtures(item):
        session.looks(item)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, object, object]:
    session = request.config.stash[SESSION]
    with session.setting_up(fixturedef):
        value = yield
        if fixturedef.argname in ROLES and not isinstance(value, ModelHandle):
            note_look(fixturedef.argname)  # the project's own: what is read of it cannot be seen
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
    state = state_of(item)
    failed = [v for v in state.verdicts if not v.stands]
    waived = [v.waived for v in state.verdicts if v.waived]
    if report.when == "call" and report.passed and failed:
        report.outcome = "failed"
        report.longrepr = "\n\n".join(
            f"the test went on after a gate that did not pass:\n{verdict.message}"
            for verdict in failed
        )
    elif report.when == "call" and report.passed and waived:
        report.outcome = "skipped"
        report.wasxfail = "; ".join(waived)
    if report.failed and not isinstance(error, AssertionError | pytest.fail.Exception):
        state.error = state.error or not failed
        if item.config.stash[SESSION].is_gate_test(item):
            publish(item)
            report.user_properties = list(item.user_properties)
    return report


def _without_own_frames(error: DistillError) -> pytest.ExceptionInfo[DistillError]:
    """Leave only the user's own frames of an error that is the user's to mend.

    The chain of frames is rebuilt, since pytest follows the chain again after filters of its own.
    """
    frames = takewhile(lambda tb: not _is_own(tb), _chain(error.__traceback__))
    kept = None
    for tb in reversed(list(frames)):
        kept = TracebackType(kept, tb.tb_frame, tb.tb_lasti, tb.tb_lineno)
    error.__cause__ = None
    error.__suppress_context__ = True
    return pytest.ExceptionInfo.from_exception(error.with_traceback(kept))


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
