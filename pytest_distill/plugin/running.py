"""Which test runs now, what it looks at, and what outlives it."""

from __future__ import annotations

import os
import sys
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pytest_distill.errors import ConfigError
from pytest_distill.plugin.detection import fixtures_of, takes
from pytest_distill.plugin.records import publish, state_of, tell_parent

MOST_SECONDS = 10.0
"""How long the end of a run waits for threads that tests left running."""


class Onlookers:
    """Which tests and fixtures of one session look at a model.

    What such a test asserts of its own is about that model.
    """

    def __init__(self) -> None:
        self._set_up: list[pytest.FixtureDef[Any]] = []
        self._looking: set[pytest.FixtureDef[Any]] = set()

    def note(self, item: pytest.Item) -> None:
        """Remember that a test looks at a model, and through which fixtures it does."""
        self._looking.update(self._set_up)
        attempt = state_of(item).attempt
        if not attempt.looked:
            attempt.looked = True
            publish(item)

    @contextmanager
    def setting_up(self, fixture: pytest.FixtureDef[Any]) -> Iterator[None]:
        """Know which fixture is made: what it looks at, all tests that it serves look at."""
        self._set_up.append(fixture)
        try:
            yield
        finally:
            self._set_up.pop()

    def note_through_fixtures(self, item: pytest.Item) -> None:
        """Remember that a test looks at what a fixture that serves several tests looked at."""
        if any(
            definition in self._looking
            and definition.scope != "function"
            and takes(item, definition.argname)
            for of_name in fixtures_of(item)
            for definition in of_name
        ):
            self.note(item)


class Turns:
    """What one session knows of its running tests, and of gates that were asked too late."""

    def __init__(self) -> None:
        self.looks = Onlookers()
        self.late: list[str] = []
        """What was asked too late, or may still be asked."""
        self.on_late: Callable[[], None] = lambda: None
        """Called where a gate is asked after the run was decided."""
        _open.append(self)

    def end(self) -> None:
        """Let no test run in this session any more."""
        _open.remove(self)
        _ended[:] = [self]

    def too_late(self, function: str, item: pytest.Item | None) -> None:
        """Remember a gate that was asked when its test had ended, or when none ran."""
        if item is None:
            self.late.append(f"{function}() was asked when no test ran")
        else:
            state_of(item).note_error(function, "asked after its test ended")
        self.on_late()


_open: list[Turns] = []
"""The sessions of this process: a test of tests runs one within another."""

_ended: list[Turns] = []
"""The last session that ended, which is told what comes as late as the interpreter's end."""

_running: list[tuple[Turns, pytest.Item]] = []
_left: weakref.WeakKeyDictionary[threading.Thread, tuple[Turns, pytest.Item]]
_left = weakref.WeakKeyDictionary()
"""Threads that outlived the test which started them."""


@contextmanager
def turn(turns: Turns, item: pytest.Item) -> Iterator[None]:
    """Make `item` the test that the functions of the DSL act on."""
    before = set(threading.enumerate())
    _running.append((turns, item))
    try:
        yield
    finally:
        _running.pop()
        for thread in threading.enumerate():
            new = thread not in before and not _is_pooled(thread)
            if new or (_is_pooled(thread) and not _idle(thread)):
                _left[thread] = (turns, item)


def running_item(function: str) -> pytest.Item:
    """Return the test that is running now; ConfigError outside of a test.

    A gate that is asked too late gives no verdict, and the run is told, even where the error is
    caught.
    """
    __tracebackhide__ = True
    gate = function.startswith("assert_")
    late = _left.get(threading.current_thread())
    if late is not None:
        turns, item = late
        if gate:
            turns.too_late(function, item)
        raise ConfigError(
            f"{function}() was asked by a thread of {item.nodeid}, and that test has ended: wait "
            "for the thread in the test"
        )
    if not _running or _running[-1][0] is not _open[-1]:
        last = _open[-1:] or _ended
        if gate and last:
            last[-1].too_late(function, None)
        raise ConfigError(
            f"{function}() judges the running test's models: call it in a test, with the plugin "
            "'distill' on"
        )
    item = _running[-1][1]
    if state_of(item).pid != os.getpid():
        tell_parent(function)
        raise ConfigError(
            f"{function}() was asked in a child process of the test, where its verdict is lost: "
            "ask it in the test itself"
        )
    return item


def note_look(fixture: str | None = None) -> None:
    """Remember that the running test looks at a model; by a fixture, where it asked for that."""
    if _running:
        turns, item = _running[-1]
        if fixture is None or takes(item, fixture):
            turns.looks.note(item)


def wait_for_threads(turns: Turns) -> None:
    """Wait a while for threads that tests left running: they may still ask a gate.

    The interpreter waits for these at its end, after the run was decided. What still runs then is
    remembered as late.
    """
    until = time.monotonic() + MOST_SECONDS
    while (busy := _busy(turns)) and time.monotonic() < until:
        time.sleep(0.01)
    turns.late += [f"a thread of {nodeid} still runs and may ask a gate" for nodeid in busy]


def _busy(turns: Turns) -> list[str]:
    """Return the node ids of the tests whose threads still run."""
    busy = (
        item.nodeid
        for thread, (of, item) in list(_left.items())
        if of is turns and thread.is_alive() and not (thread.daemon or _idle(thread))
    )
    return list(dict.fromkeys(busy))


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
