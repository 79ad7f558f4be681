"""Reports of tests that other plugins write: pytest-html and Allure show each test's gates too."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from pytest_distill.errors import DistillError
from pytest_distill.plugin.records import state_of
from pytest_distill.plugin.session import SESSION

if TYPE_CHECKING:
    from pytest_distill.report.records.gates import GateRow

NAME = "gates"
"""What the table is called there."""


def show_gates(item: pytest.Item, report: pytest.TestReport) -> None:
    """Show a test's gates in the reports that are written, when its last phase has ended.

    Both know a test's attempts as one test, and tell all that stands on its last report. Under
    xdist the report carries the table to pytest-html; Allure's files are the worker's own.

    Parameters
    ----------
    item : pytest.Item
        The test.
    report : pytest.TestReport
        Of one of its phases; for pytest-html the table is added to it.
    """
    if report.when != "teardown" or not state_of(item).has_something:
        return
    html, allure = _writes_html(item.config), item.config.pluginmanager.hasplugin(_ALLURE)
    if not html and not allure:
        return
    from pytest_distill.report import gates_table

    rows = _rows(item)
    if html:
        told: Any = report
        told.extras = [*getattr(report, "extras", ()), _extra(gates_table.gates_table(rows))]
    if allure:
        from allure import attach, attachment_type

        attach(gates_table.gates_page(rows), NAME, attachment_type.HTML)


_ALLURE = "allure_listener"
"""What Allure registers where it writes files."""


def _writes_html(config: pytest.Config) -> bool:
    """Return whether pytest-html writes a report: installed, it is there without one too."""
    active = config.pluginmanager.hasplugin("html")
    return active and bool(getattr(config.option, "htmlpath", None))


def _extra(table: str) -> dict[str, str | None]:
    """Return what `pytest_html.extras.html` makes of it: built-in types, as xdist needs them."""
    keys = {"format_type": "html", "mime_type": None, "extension": None}
    return {"name": NAME, "content": table, **keys}


def _rows(item: pytest.Item) -> Sequence[GateRow]:
    """Return what the report will tell of the test."""
    from pytest_distill.report.outcomes import may_be_repeated, run_rows

    allowed: bool | Sequence[str] = False
    with suppress(DistillError):  # the test's own error says so
        allowed = item.config.stash[SESSION].project(item).config.settings.allow_reruns
    return run_rows(state_of(item).run, lambda row: may_be_repeated(row, allowed))
