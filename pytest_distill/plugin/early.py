"""The files of the report, from before the options are checked to the end of the run.

The plugin imports this at every start: the standard library and pytest alone.
"""

from __future__ import annotations

import os
import shlex
from argparse import ArgumentError, ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_distill._util.files import is_stream, write_atomically, write_stream
from pytest_distill.report.formats import FORMATS, as_text

if TYPE_CHECKING:
    from pytest_distill.report.examples import ExampleTable
    from pytest_distill.report.records.report import Report

TELLS_ONLY = (
    *("help", "version", "markers", "cacheshow"),
    *("showfixtures", "show_fixtures_per_test"),
)
"""Destinations of the options with which pytest tells something and runs nothing."""


class ReportFile:
    """A file of the report.

    Parameters
    ----------
    format : str
        One of `FORMATS`.
    given : str
        As the option names it.
    folder : Path
        Where relative paths start.
    """

    def __init__(self, format: str, given: str, folder: Path) -> None:
        self._format = format
        self.path = folder / given

    def begin(self) -> None:
        """Replace an older report: whatever happens next, it is not taken for this run's.

        A device or a FIFO holds nothing that could be taken for it.

        Raises
        ------
        OSError
            Where it cannot be written.
        """
        if is_stream(self.path):
            return
        from pytest_distill.report.records.report import (
            Report,  # costs the start of those alone who ask
        )

        try:
            self._replace(as_text(self._format, Report()))
        except OSError:
            with suppress(OSError):  # as on a full disk: the older report goes all the same
                if self.path.is_file():
                    os.truncate(self.path, 0)
            raise

    def end(self, report: Report, examples: Sequence[ExampleTable] = ()) -> None:
        """Write the report of the run; OSError where that fails."""
        text = as_text(self._format, report, examples)
        if is_stream(self.path):
            write_stream(self.path, text)
        else:
            self._replace(text)

    def replaces(self, other: ReportFile) -> bool:
        """Return whether it would be written over another one; a stream takes both."""
        mine, theirs = os.path.realpath(self.path), os.path.realpath(other.path)
        return mine == theirs and not is_stream(self.path)

    def _replace(self, text: str) -> None:
        write_atomically(Path(os.path.realpath(self.path)), text)  # a link stays, its target goes


FILES = pytest.StashKey[dict[str, ReportFile]]()
"""Format -> the file that has begun."""


def tells_only(options: Namespace) -> bool:
    """Return whether pytest will tell something and run nothing, as for ``--help``."""
    return any(getattr(options, name, None) for name in TELLS_ONLY)


def begin_reports(config: pytest.Config, options: Mapping[str, Any]) -> None:
    """Let the files say that the run did not end, where they are asked for; each once.

    Parameters
    ----------
    config : pytest.Config
        Its stash keeps the files.
    options : mapping
        ``distill_json`` and its like -> what the option says.

    Raises
    ------
    pytest.UsageError
        Where one cannot be written, or what it needs is not installed.
    """
    files = config.stash.setdefault(FILES, {})
    if tells_only(config.known_args_namespace) or tells_only(config.option):
        return
    for name in FORMATS:
        given = options.get(f"distill_{name}")
        if name in files or given is None:
            continue
        if not given:
            raise pytest.UsageError(f"--distill-{name}: names no file")
        lacking = next((p for p in FORMATS[name].packages if not p.is_installed), None)
        if lacking is not None:
            raise pytest.UsageError(lacking.lacking(f"--distill-{name}"))
        file = ReportFile(name, given, config.invocation_params.dir)
        for other, begun in files.items():
            if file.replaces(begun):
                raise pytest.UsageError(
                    f"--distill-{name} {given}: is the file of --distill-{other}"
                )
        try:
            file.begin()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise pytest.UsageError(
                f"--distill-{name} {given}: cannot be written: {reason}"
            ) from None
        files[name] = file


def paths_among(config: pytest.Config) -> dict[str, Any]:
    """Return what the options say where pytest has not read those of plugins yet.

    A wrong value of any plugin's option ends the run there.
    """
    args = [
        *config.getini("addopts"),
        *shlex.split(os.environ.get("PYTEST_ADDOPTS", "")),
        *map(str, config.invocation_params.args),
    ]
    only = ArgumentParser(
        add_help=False, allow_abbrev=False, exit_on_error=False, fromfile_prefix_chars="@"
    )
    for name in FORMATS:
        only.add_argument(f"--distill-{name}")
    try:
        return vars(only.parse_known_args(args)[0])
    except (ArgumentError, SystemExit):  # a value is missing, as pytest will say
        return {}
