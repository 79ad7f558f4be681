"""The formats of a file: ``--distill-NAME PATH`` writes the report as module ``NAME_file`` does.

Such a module has ``text(report)``, which computes nothing, and begins with the standard library
alone: a report that says that the run did not end is written when pytest starts.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_distill.report.records import Report

FORMATS = {
    "json": "write the report as JSON",
    "codequality": "write the gates that did not pass as GitLab's code quality report",
    "markdown": "write the report as Markdown, for a pull request: under 60,000 bytes",
}
"""Name -> what ``pytest --help`` says."""


def as_text(format: str, report: Report) -> str:
    """Return the contents of the file; ValueError where a number cannot be told, such as NaN."""
    text: str = import_module(f"pytest_distill.report.{format}_file").text(report)
    return text
