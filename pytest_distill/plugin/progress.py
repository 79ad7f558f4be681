"""How far an evaluation is: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import pytest

from pytest_distill.evaluation.model import Progress, silent

SECONDS_BETWEEN_LINES = 30.0


class _Uncaptured:
    """A stream that writes past pytest's capturing; tqdm's moving bar becomes lines in a log."""

    def __init__(self, capture: Any) -> None:
        self._capture = capture
        self._at_line_start = False
        with _released(capture):
            self.terminal = sys.stdout.isatty()

    def write(self, text: str) -> None:
        shown = text if self.terminal else text.strip("\r\n ")
        if not shown:
            return
        with _released(self._capture):
            if not self._at_line_start:
                sys.stdout.write("\n")
                self._at_line_start = True
            sys.stdout.write(shown if self.terminal else f"{shown}\n")
            sys.stdout.flush()

    def flush(self) -> None:
        """Nothing is held back."""


def _released(capture: Any) -> AbstractContextManager[None]:
    released: AbstractContextManager[None] = (
        capture.global_and_fixture_disabled() if capture else nullcontext()
    )
    return released


def teller(config: pytest.Config) -> Callable[[str], None]:
    """Return what writes a line on this session's terminal; on stderr in an xdist worker."""
    capture = config.pluginmanager.get_plugin("capturemanager")

    def tell(line: str) -> None:
        if hasattr(config, "workerinput"):
            with _released(capture):
                sys.stderr.write(f"{line}\n")
                sys.stderr.flush()
        else:
            _Uncaptured(capture).write(f"{line}\n")

    return tell


def progress_on(config: pytest.Config) -> Progress:
    """Return what tells progress on this session's terminal; nothing in an xdist worker."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput"):
        return silent
    capture = config.pluginmanager.get_plugin("capturemanager")

    @contextmanager
    def shown(what: str, total: int) -> Iterator[Callable[[int, str], None]]:
        from tqdm import tqdm

        stream = _Uncaptured(capture)
        bar = tqdm(
            total=total,
            desc=what,
            unit=" examples",
            file=stream,
            dynamic_ncols=True,
            leave=not stream.terminal,
            delay=1.0 if stream.terminal else SECONDS_BETWEEN_LINES / 3,
            mininterval=0.1 if stream.terminal else SECONDS_BETWEEN_LINES,
            miniters=1,
        )
        with bar:

            def advance(count: int, status: str) -> None:
                bar.set_postfix_str(status, refresh=False)
                bar.update(count)
                if not count and time.time() - bar.last_print_t >= bar.mininterval:
                    bar.refresh()
                    bar.last_print_t = time.time()

            yield advance

    return shown
