"""Errors of the user's to mend, without the frames of this package."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from types import TracebackType

import pluggy
import pytest

from pytest_distill._util.user_code import PACKAGE, user_frames
from pytest_distill.errors import DistillError

PYTEST_HOMES = (
    *(Path(pytest.__file__).parent, Path(pytest.__file__).parent.parent / "_pytest"),
    Path(pluggy.__file__).parent,
)


def without_own_frames(error: DistillError) -> pytest.ExceptionInfo[DistillError]:
    """Leave only the user's own frames of an error that is the user's to mend.

    Where a metric or an engine raised, its own frames follow those of the test. The chain of
    frames is rebuilt, since pytest follows the chain again after filters of its own.
    """
    frames = [*_before_ours(error.__traceback__)]
    if error.__cause__ is not None:
        frames += user_frames(error.__cause__.__traceback__)
    chain = None
    for tb in reversed(frames):
        chain = TracebackType(chain, tb.tb_frame, tb.tb_lasti, tb.tb_lineno)
    error.__cause__ = None
    error.__suppress_context__ = True
    if chain is not None:  # none is the user's where a file is at fault, not a test
        error = error.with_traceback(chain)
    return pytest.ExceptionInfo.from_exception(error)


def _before_ours(tb: TracebackType | None) -> Iterator[TracebackType]:
    """Yield the frames up to the call of ours that raised, without our hooks around the test."""
    first = next(user_frames(tb), None)
    around = [*takewhile(lambda frame: frame is not first, _chain(tb))]
    yield from (frame for frame in around if not _is_own(frame))
    yield from takewhile(lambda frame: not _is_own(frame), _chain(first))


def say_it_alone_in_fixtures(
    item: pytest.Item, excinfo: pytest.ExceptionInfo[BaseException], report: pytest.TestReport
) -> None:
    """Show the message alone where no frame is the user's, as in a fixture of this package."""
    frames = (Path(tb.tb_frame.f_code.co_filename) for tb in user_frames(excinfo.tb))
    only_pytest = all(any(home in frame.parents for home in PYTEST_HOMES) for frame in frames)
    if only_pytest and not item.config.getoption("fulltrace", False):
        report.longrepr = excinfo.getrepr(style="value")


def _is_own(tb: TracebackType) -> bool:
    return PACKAGE in Path(tb.tb_frame.f_code.co_filename).parents


def _chain(tb: TracebackType | None) -> Iterator[TracebackType]:
    while tb is not None:
        yield tb
        tb = tb.tb_next
