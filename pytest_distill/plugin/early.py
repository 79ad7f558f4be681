"""The file of ``--distill-json``, from before the options are checked to the end of the run.

The plugin imports this at every start: the standard library and pytest alone.
"""

from __future__ import annotations

import os
import shlex
from argparse import ArgumentError, ArgumentParser, Namespace
from contextlib import suppress
from pathlib import Path

import pytest

from pytest_distill._util.files import is_stream, write_atomically, write_stream
from pytest_distill.report.shape import UNFINISHED, as_text, report

TELLS_ONLY = (
    *("help", "version", "markers", "cacheshow"),
    *("showfixtures", "show_fixtures_per_test"),
)
"""Destinations of the options with which pytest tells something and runs nothing."""


class JsonReport:
    """The report's file.

    Parameters
    ----------
    given : str
        As ``--distill-json`` names it.
    folder : Path
        Where relative paths start.
    """

    def __init__(self, given: str, folder: Path) -> None:
        self.given = given
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
        try:
            self._replace(as_text(report("INCOMPLETE", UNFINISHED)))
        except OSError:
            self._empty()
            raise

    def end(self, text: str) -> None:
        """Write the report of the run; OSError where that fails."""
        if is_stream(self.path):
            write_stream(self.path, text)
        else:
            self._replace(text)

    def _empty(self) -> None:
        """Take away an older report in a place where a new one cannot be put, as on a full disk."""
        with suppress(OSError):
            if self.path.is_file():
                os.truncate(self.path, 0)

    def _replace(self, text: str) -> None:
        write_atomically(Path(os.path.realpath(self.path)), text)  # a link stays, its target goes


REPORT = pytest.StashKey[JsonReport]()


def tells_only(options: Namespace) -> bool:
    """Return whether pytest will tell something and run nothing, as for ``--help``."""
    return any(getattr(options, name, None) for name in TELLS_ONLY)


def begin_report(config: pytest.Config, given: str | None) -> None:
    """Let the file say that the run did not end, where it is asked for; at the first call only.

    Parameters
    ----------
    config : pytest.Config
        Its stash keeps the file.
    given : str, optional
        What ``--distill-json`` says.

    Raises
    ------
    pytest.UsageError
        Where it cannot be written.
    """
    if REPORT in config.stash or given is None:
        return
    if tells_only(config.known_args_namespace) or tells_only(config.option):
        return
    if not given:
        raise pytest.UsageError("--distill-json: names no file")
    file = JsonReport(given, config.invocation_params.dir)
    try:
        file.begin()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise pytest.UsageError(f"--distill-json {given}: cannot be written: {reason}") from None
    config.stash[REPORT] = file


def path_among(config: pytest.Config) -> str | None:
    """Return what ``--distill-json`` says where pytest has not read the plugins' options yet.

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
    only.add_argument("--distill-json")
    try:
        given: str | None = only.parse_known_args(args)[0].distill_json
    except (ArgumentError, SystemExit):  # its value is missing, as pytest will say
        return None
    return given
