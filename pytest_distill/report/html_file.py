"""The report as one HTML page, which asks nothing of any network."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING

from pytest_distill.report.records.report import Report

if TYPE_CHECKING:
    from pytest_distill.report.examples import ExampleTable

UNFINISHED = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
<title>{outcome}: {reason}</title>
<main>
<h1>{outcome}</h1>
<p>{reason}</p>
</main>
</html>
"""


def text(report: Report, examples: Sequence[ExampleTable] = ()) -> str:
    """Return the page; where the run did not end, one that says so."""
    if report == Report():
        return UNFINISHED.format(outcome=escape(report.outcome), reason=escape(report.reason))
    from pytest_distill.report.html.page import page  # knows the gates, numpy, altair and all

    return page(report, examples)
