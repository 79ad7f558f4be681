"""``python -m pytest_distill report``: draw a JSON report again, in every form that a run has."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pytest_distill.errors import ConfigError
from pytest_distill.plugin.early import ReportFile
from pytest_distill.report.formats import FORMATS
from pytest_distill.report.reading import read_report
from pytest_distill.report.records.report import Report
from pytest_distill.report.tables import encodable
from pytest_distill.report.terminal import last_line, remark_lines, report_lines, terminal_width


def add_to(commands: Any) -> None:
    """Add the command to the subparsers of ``python -m pytest_distill``."""
    command = commands.add_parser("report", help="draw a JSON report", description=__doc__)
    command.add_argument("report", type=Path, metavar="PATH", help="a file of --distill-json")
    for name, format in FORMATS.items():
        command.add_argument(f"--{name}", metavar="PATH", help=format.help)
    command.add_argument(
        "-v", "--verbose", action="count", default=0, help="also how each verdict was reached"
    )
    command.add_argument(
        "--width", type=int, metavar="N", help="columns of the terminal's form; default: as it has"
    )


def run(given: argparse.Namespace) -> Iterator[str]:
    """Write the files that are asked for; yield the terminal's form where none is."""
    report = read_report(given.report)
    wanted = {name: path for name in FORMATS if (path := getattr(given, name)) is not None}
    files = {"the report": ReportFile("json", str(given.report), Path.cwd())}
    for name, path in wanted.items():
        for package in FORMATS[name].packages:
            package.require(f"--{name}")
        file = ReportFile(name, path, Path.cwd())
        for other, written in files.items():
            if file.replaces(written):
                raise ConfigError(f"--{name} {path}: is the file of {other}")
        files[f"--{name}"] = file
    for name, file in list(files.items())[1:]:
        try:
            file.end(report)
        except OSError as error:
            raise ConfigError(f"{name} {file.path}: cannot be written: {error.strerror}") from None
    if not wanted:
        yield from _printed(report, terminal_width(given.width), given.verbose)


def _printed(report: Report, width: int, verbosity: int) -> Iterator[str]:
    """Yield what the terminal shows of a run."""
    told = [line.text for line in report_lines(report, width, verbosity)]
    encoding = sys.stdout.encoding or "ascii"
    for line in (*told, *remark_lines(report, width), last_line(report, width)):
        yield from encodable(line, encoding, width) or [""]
