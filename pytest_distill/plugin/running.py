"""Which test runs now, and what outlives its test."""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pytest_distill.errors import ConfigError
from pytest_distill.plugin.detection import takes
from pytest_distill.plugin.records import state_of, tell_parent

if TYPE_CHECKING:
    from pytest_distill.plugin.session import DistillSession

MOST_SECONDS = 10.0
"""How long the end of a run waits for threads that tests left running."""

SESSIONS: list[DistillSession] = []
"""The sessions of this process: a test of tests runs one within another."""

_ended: list[DistillSession] = []
"""The last session that ended, which is told what comes as late as the interpreter's end."""

_running: list[tuple[DistillSession, pytest.Item]] = []
_left: weakref.WeakKeyDictionary[threading.Thread, tuple[DistillSession, pytest.Item]]
_left = weakref.WeakKeyDictionary()
"""Threads that outlived the test which started them."""


def end(session: DistillSession) -> None:
    """Let no test run in a session any more."""
    SESSIONS.remove(session)
    _ended[:] = [session]


@contextmanager
def turn(session: DistillSession, item: pytest.Item) -> Iterator[None]:
    """Make `item` the test that the functions of the DSL act on."""
    before = set(threading.enumerate())
    _running.append((session, item))
    try:
        yield
    finally:
        _running.pop()
        for thread in threading.enumerate():
            new = thread not in before and not _is_pooled(thread)
            if new or (_is_pooled(thread) and not _idle(thread)):
                _left[thread] = (session, item)


def running_test(function: str) -> tuple[DistillSession, pytest.Item]:
    """Return the session and the test that is running now; ConfigError outside of a test.

    A gate that is asked too late gives no verdict, and the run is told, whoever catches the error.
    """
    __tracebackhide__ = True
    gate = function.startswith("assert_")
    late = _left.get(threading.current_thread())
    if late is not None:
        session, item = late
        if gate:
            session.too_late(function, item)
        raise ConfigError(
            f"{function}() was asked by a thread of {item.nodeid}, and that test has ended: wait "
            "for the thread in the test"
        )
    if not _running or _running[-1][0] is not SESSIONS[-1]:
        if gate and SESSIONS:
            SESSIONS[-1].too_late(function, None)
        elif gate and _ended:
            _ended[-1].too_late(function, None)
        raise ConfigError(
            f"{function}() judges the running test's models: call it in a test, with the plugin "
            "'distill' on"
        )
    session, item = _running[-1]
    if state_of(item).pid != os.getpid():
        tell_parent(function)
        raise ConfigError(
            f"{function}() was asked in a child process of the test, where its verdict is lost: "
            "ask it in the test itself"
        )
    return session, item


def note_look(fixture: str | None = None) -> None:
    """Remember that the running test looks at a model; by a fixture, where it asked for that."""
    if _running:
        session, item = _running[-1]
        if fixture is None or takes(item, fixture):
            session.looks(item)


def wait_for_threads(session: DistillSession) -> list[str]:
    """Wait a while for threads that tests left running: they may still ask a gate.

    The interpreter waits for these at its end, after the run was decided.

    Returns
    -------
    list of str
        The node ids of the tests whose threads still run.
    """
    until = time.monotonic() + MOST_SECONDS
    busy = _busy(session)
    while busy and time.monotonic() < until:
        time.sleep(0.01)
        busy = _busy(session)
    return list(dict.fromkeys(busy))


def _busy(session: DistillSession) -> list[str]:
    left = list(_left.items())
    return [
        item.nodeid
        for thread, (of, item) in left
        if of is session and thread.is_alive() and not (thread.daemon or _idle(thread))
    ]


def _is_pooled(thread: threading.Thread) -> bool:
    """Return whether a thread is a worker of an executor, which ends with the interpreter."""
    target = getattr(thread, "_target", None)  # no public name tells
    return getattr(target, "__module__", "") == "concurrent.futures.thread"


def _idle(thread: threading.Thread) -> bool:
    """Return whether a worker of an executor waits for something to do, or is one of our own."""
    if thread.name.startswith("distill-"):
        return True
    frame = sys._current_frames().get(thread.ident or 0)
    innermost = frame.f_globals.get("__name__") if frame is not None else None
    return _is_pooled(thread) and innermost in ("concurrent.futures.thread", None)
