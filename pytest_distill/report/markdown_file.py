"""The report as Markdown, for a pull request and for the summary of a CI job.

Parts that are too long are cut, the most important ones last. What comes from data is told as
`markup` does.
"""

from __future__ import annotations

from typing import Any

from pytest_distill.report.markup import MarkdownPart, fitted, items
from pytest_distill.report.records.report import Reason, Report

ROOM = 59_000
"""Bytes. GitHub takes 65,536 characters in a comment, and whoever posts one adds a few."""

MARKS = {"SHIP": "\N{CHECK MARK}"}
NO_SHIP = "\N{BALLOT X}"
SHARE = 8000

MOST_NAMES = 10
"""Behind a reason."""


def text(report: Report) -> str:
    """Return the document."""
    parts: list[MarkdownPart[Any]] = [_verdict(report)]
    if report != Report():  # not where the run did not end
        from pytest_distill.report.markdown_parts import parts_of  # knows the gates, numpy and all

        parts += parts_of(report)
    return fitted(parts, ROOM)


def _verdict(report: Report) -> MarkdownPart[Any]:
    mark = MARKS.get(report.outcome, NO_SHIP)
    title = f"## {mark} {report.outcome}\n"
    ships = report.outcome == "SHIP"
    reasons = report.reasons or (Reason(report.reason),)
    of, gates = "; ".join(report.scope), ", ".join(report.tally)
    told = [of, gates] if ships else [*map(_reason, reasons)]
    shown = [each for each in told if each]
    return (
        items(shown, f"{title}\n", "", SHARE)
        if shown
        else MarkdownPart(title, (), str, "", "", SHARE)
    )


def _reason(reason: Reason) -> str:
    names = list(dict.fromkeys(name.partition("::")[2] or name for name in reason.names))
    rest = [f"and {len(names) - MOST_NAMES:,} more"] if len(names) > MOST_NAMES else []
    told = ", ".join([*names[:MOST_NAMES], *rest])
    return f"{reason.text}: {told}" if told else reason.text
