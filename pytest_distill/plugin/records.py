"""What a gate test is, what it recorded, and how that travels on its reports."""

from __future__ import annotations

import datetime
import json
import mmap
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from types import FrameType
from typing import TYPE_CHECKING, Any

import pytest

from pytest_distill.errors import ConfigError, DistillError, refuse_unknown
from pytest_distill.report.attempt import Attempt, GateError, TestRun

if TYPE_CHECKING:
    from pytest_distill.config.schema import Waiver
    from pytest_distill.gates.verdict import Verdict

MARKER = "distill"
MARKER_ARGUMENTS = ("eval", "metric", "student", "confidence")
STUDENTS = "students"
"""The fixture that runs a test once for every student."""
PROPERTY = "distill"
"""Name of the user property that carries a gate test's record, also to JUnit XML."""


@dataclass
class TestState:
    """What one item recorded so far.

    Parameters
    ----------
    run : TestRun
        What its attempts asked and how they ended.
    gate_test : bool
        Whether its absence would be noticed.
    request : FixtureRequest, optional
        The test's own, where its assertions need it.
    pid : int
        The process that runs it.
    """

    __test__ = False

    run: TestRun = field(default_factory=TestRun)
    gate_test: bool = False
    request: pytest.FixtureRequest | None = None
    pid: int = field(default_factory=os.getpid)
    phase: str | None = None
    """Which phase runs now."""
    published: tuple[str, str] | None = None
    heard: tuple[int, int] = (0, 0)
    """How many verdicts and errors pytest knows of."""

    def heard_all(self) -> None:
        """Remember that pytest knows of every verdict and error so far, since the test is red."""
        self.heard = len(self.attempt.verdicts), len(self.attempt.errors)

    @property
    def unheard(self) -> str | None:
        """What gates said that pytest does not know, since the test went on; None for nothing."""
        verdicts, errors = self.heard
        said = [
            f"did not pass:\n{verdict.message}"
            for verdict in self.attempt.verdicts[verdicts:]
            if verdict.outcome != "PASSED" and not (verdict.waived or verdict.excused)
        ]
        said += [f"gave no verdict:\n{e.gate}: {e.why}" for e in self.attempt.errors[errors:]]
        return "\n\n".join(f"the test went on after a gate that {what}" for what in said) or None

    @property
    def attempt(self) -> Attempt:
        """The attempt that runs, or ran last."""
        return self.run.last

    def note_error(
        self, function: str, why: str, criterion: str | None = None, line: int | None = None
    ) -> None:
        """Remember a gate that gave no verdict."""
        gate = function.removeprefix("assert_")
        self.attempt.errors.append(GateError(gate, why, criterion, line))

    @property
    def has_something(self) -> bool:
        """Whether there is anything to tell: it is a gate test, or it asked a gate."""
        return self.gate_test or any(a.verdicts or a.errors for a in self.run.attempts)


STATE = pytest.StashKey[TestState]()

_from_child = mmap.mmap(-1, 256)
"""Shared with forked children: the name of a gate that one of them asked."""


def tell_parent(function: str) -> None:
    """Tell the process that forked this one that a gate was asked here."""
    _from_child[:] = function.encode()[:256].ljust(256, b"\0")


def _asked_in_child() -> str | None:
    function = _from_child[:].rstrip(b"\0").decode(errors="replace")
    _from_child[:] = bytes(256)
    return function or None


def marker_arguments(item: pytest.Item) -> dict[str, Any]:
    """Return the arguments of a test's markers; those nearest to the test win.

    Where the test runs once for every student, it is about the one whose turn it is.
    """
    arguments: dict[str, Any] = {}
    for marker in item.iter_markers(MARKER):
        arguments = {**marker.kwargs, **arguments}
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    if isinstance(parameters.get(STUDENTS), str):
        arguments["student"] = parameters[STUDENTS]
    return arguments


def check_marker(item: pytest.Item) -> None:
    """Raise ConfigError where a test's marker has an argument that it does not know."""
    from pytest_distill._util.numbers import checked_confidence

    for marker in item.iter_markers(MARKER):
        with of_marker(item):
            if marker.args:
                raise ConfigError(f"arguments need names, e.g. distill(eval={marker.args[0]!r})")
            for name, value in marker.kwargs.items():
                refuse_unknown(name, MARKER_ARGUMENTS, f"unknown argument '{name}'")
                if name == "confidence":
                    checked_confidence(value)
                if name in ("eval", "student") and not isinstance(value, str | None):
                    raise ConfigError(f"{name}={value!r} is no name")


@contextmanager
def of_marker(item: pytest.Item) -> Iterator[None]:
    """Let an error say that it is in the marker of a test."""
    try:
        yield
    except ConfigError as error:
        raise ConfigError(f"marker distill of {item.name}: {error}") from None


def line_of_call(item: pytest.Item) -> int | None:
    """Return the line on which a test's file, which is being run, asks; None where it is not."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename != str(item.path):
        frame = frame.f_back
    return None if frame is None else frame.f_lineno


def state_of(item: pytest.Item) -> TestState:
    """Return what a test recorded so far."""
    return item.stash.setdefault(STATE, TestState())


def publish(item: pytest.Item) -> None:
    """Write a test's record into its user properties, which travel on every report of it."""
    state = state_of(item)
    if not state.has_something:
        return
    record = json.dumps({"run": asdict(state.run)}, allow_nan=False)
    item.user_properties[:] = [p for p in item.user_properties if p is not state.published]
    state.published = (PROPERTY, record)
    item.user_properties.append(state.published)


@contextmanager
def phase(item: pytest.Item, when: str) -> Iterator[None]:
    """Write down how a phase of a test ends, and fail it where it swallowed what a gate said.

    Not left to reports: plugins that repeat a test need not make or log one of each attempt.
    """
    state = state_of(item)
    if when == "setup":
        state.run.attempts.append(Attempt())
        state.pid = os.getpid()
    ends = state.attempt.ends
    state.phase = when
    state.heard_all()
    try:
        yield
    except BaseException as error:
        ends[when] = _end(error, when)
        if ends[when][0] not in _HIDING or state.unheard is None:
            raise
    else:
        # unittest keeps what was raised to itself, and tells it in its report
        held = getattr(item, "_excinfo", None) if when == "call" else None
        ends[when] = _end(held[-1].value, when) if held else ("passed", "")
        if held:
            return
    finally:
        if ends[when][0] not in (*_HIDING, "passed"):
            state.heard_all()
        if function := _asked_in_child():
            state.note_error(function, "asked in a child process, where its verdict is lost")
        state.phase = None
        publish(item)
    unheard = state.unheard
    if unheard is not None:
        ends[when] = ("failed", "went on after a gate that did not pass")
        state.heard_all()
        publish(item)
        pytest.fail(unheard, pytrace=False)


_HIDING = ("skipped", "xfailed")
"""Ends behind which a gate's own failure would not be seen."""


def saw_report(item: pytest.Item, report: pytest.TestReport, error: BaseException | None) -> None:
    """Take in what pytest makes of a phase, or of a subtest while its phase still runs."""
    state = state_of(item)
    ends, when = state.attempt.ends, str(report.when)
    if report.outcome not in ("passed", "skipped", "failed"):
        return  # a plugin's own word for an attempt that it repeats
    ended = how_it_ended(report)
    if state.phase is not None:
        if ended != "passed":
            ends[f"subtest {len(ends)}"] = _end(error, "call") if error else (ended, "")
        if ended == "failed":
            state.heard_all()
        return
    was, why = ends.get(when, ("passed", ""))
    if ended != "failed" or was in ("passed", *_HIDING):  # else it is known better
        ends[when] = (ended, in_one_line(error) if error else why)


def how_it_ended(report: pytest.TestReport) -> str:
    """Return how a phase ended by pytest's report: ``xfailed`` is one of its kinds of skipped."""
    return "xfailed" if report.skipped and hasattr(report, "wasxfail") else report.outcome


def _end(error: BaseException, when: str) -> tuple[str, str]:
    if isinstance(error, pytest.xfail.Exception):
        return "xfailed", in_one_line(error)
    unittest = sys.modules.get("unittest.case")  # who raises its skip has imported it
    if isinstance(error, pytest.skip.Exception) or (
        unittest is not None and isinstance(error, unittest.SkipTest)
    ):
        return "skipped", in_one_line(error)
    if isinstance(error, KeyboardInterrupt | pytest.exit.Exception):
        return "error", "interrupted"
    if when == "call" and isinstance(error, AssertionError | pytest.fail.Exception):
        return "failed", in_one_line(error)
    return "error", in_one_line(error)


def in_one_line(error: BaseException) -> str:
    """Return an error in one line."""
    try:
        told = str(error).strip().partition("\n")[0]
    except Exception:  # noqa: BLE001 (an exception of the user's may have any __str__)
        told = ""
    if isinstance(error, DistillError | AssertionError | pytest.skip.Exception) and told:
        return told
    return f"{type(error).__name__}: {told}" if told else type(error).__name__


def waived(verdict: Verdict, nodeid: str, waivers: Sequence[Waiver]) -> Verdict:
    """Return a verdict with the waiver that holds for it, or with a note why one does not."""
    about = [waiver for waiver in waivers if waiver.gate in (verdict.called, nodeid)]
    if verdict.passed or not about:
        return verdict
    broken = [(waiver, why_not(waiver, verdict)) for waiver in about]
    for waiver, why in broken:
        if why is None:
            return replace(verdict, waived=str(waiver))
    note = str(broken[0][1])
    return replace(verdict, notes=(*verdict.notes, note), message=f"{verdict.message}\n  {note}")


def why_not(waiver: Waiver, verdict: Verdict) -> str | None:
    """Return why a waiver does not hold for a failed verdict; None where it does."""
    if waiver.expires < datetime.date.today():
        return f"the waiver by {waiver.owner} expired on {waiver.expires}"
    if not verdict.reaches(waiver.floor):
        return f"worse than the floor {waiver.floor} of the waiver by {waiver.owner}"
    return None
