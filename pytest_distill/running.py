"""Which test runs now, and what outlives its test."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pytest_distill.errors import ConfigError
from pytest_distill.records import state_of

if TYPE_CHECKING:
    from pytest_distill.session import DistillSession

MOST_SECONDS = 10.0
"""How long the end of a run waits for threads that tests left running."""

SESSIONS: list[DistillSession] = []
"""The sessions of this process: a test of tests runs one within another."""

_running: list[tuple[DistillSession, pytest.Item]] = []
_left: weakref.WeakKeyDictionary[threading.Thread, tuple[DistillSession, pytest.Item]]
_left = weakref.WeakKeyDictionary()
"""Threads that outlived the test which started them."""


@contextmanager
def turn(session: DistillSession, item: pytest.Item) -> Iterator[None]:
    """Make `item` the test that the functions of the DSL act on."""
    before = set(threading.enumerate())
    _running.append((session, item))
    try:
        yield
    finally:
        _running.pop()
        for thread in set(threading.enumerate()) - before:
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
        raise ConfigError(
            f"{function}() judges the running test's models: call it in a test, with the plugin "
            "'distill' on"
        )
    session, item = _running[-1]
    if state_of(item).pid != os.getpid():
        raise ConfigError(
            f"{function}() was asked in a child process of the test, where its verdict is lost: "
            "ask it in the test itself"
        )
    note_look()
    return session, item


def note_look(fixture: str | None = None) -> None:
    """Remember that the running test looks at a model; by a fixture, where it asked for that."""
    if _running:
        session, item = _running[-1]
        if fixture is None or fixture in getattr(item, "fixturenames", ()):
            session.looks(item)


def wait_for_threads(session: DistillSession) -> None:
    """Wait a while for threads that tests left running: they may still ask a gate.

    The interpreter waits for these at its end, after the run was decided.
    """
    until = time.monotonic() + MOST_SECONDS
    for thread, (of, _) in list(_left.items()):
        if of is session and not (thread.daemon or _waits_in_a_pool(thread)):
            thread.join(max(0.0, until - time.monotonic()))


def _waits_in_a_pool(thread: threading.Thread) -> bool:
    """Return whether a thread is a worker of an executor, which ends with the interpreter."""
    target = getattr(thread, "_target", None)  # no public name tells
    return getattr(target, "__module__", "") == "concurrent.futures.thread"
