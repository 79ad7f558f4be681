"""The formats of a file: ``--distill-NAME PATH`` writes the report as module ``NAME_file`` does.

Such a module has ``text(report)``, or ``text(report, examples)`` where it shows what the models
answered. It computes nothing, and begins with the standard library alone: a report that says that
the run did not end is written when pytest starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

from pytest_distill._util.packages import Package

if TYPE_CHECKING:
    from pytest_distill.report.examples import ExampleTable
    from pytest_distill.report.records.report import Report


@dataclass(frozen=True, slots=True)
class FileFormat:
    """One format.

    Parameters
    ----------
    help : str
        What ``pytest --help`` says.
    shows_examples : bool
        Whether it shows what the models answered.
    packages : tuple of Package
        What it needs beside this package.
    """

    help: str
    shows_examples: bool = False
    packages: tuple[Package, ...] = ()


FORMATS = {
    "json": FileFormat("write the report as JSON"),
    "codequality": FileFormat("write the gates that did not pass as GitLab's code quality report"),
    "markdown": FileFormat("write the report as Markdown, for a pull request: under 60,000 bytes"),
    "html": FileFormat(
        "write the report as one HTML page, with charts and the answers side by side",
        shows_examples=True,
        packages=(
            Package("altair", "altair", "html"),
            Package("vl_convert", "vl-convert-python", "html"),
        ),
    ),
}
"""By name."""


def as_text(format: str, report: Report, examples: Sequence[ExampleTable] = ()) -> str:
    """Return the contents of the file; ValueError where a number cannot be told, such as NaN."""
    module = import_module(f"pytest_distill.report.{format}_file")
    shown = (examples,) if FORMATS[format].shows_examples else ()
    text: str = module.text(report, *shown)
    return text
