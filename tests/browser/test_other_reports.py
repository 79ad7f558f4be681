"""The tables of gates in the report of pytest-html, as a browser shows them."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser

from .chromium import opened
from .hostile import EVAL, SMALLER


def test_the_gates_stand_below_their_tests_as_text(browser: Browser, hostile: Path) -> None:
    """A table a gate test; no name in it is an element, and nothing runs."""
    with opened(browser, hostile.with_name("tests.html")) as page:
        page.get_by_role("button", name="Show all details").click()
        tables = page.get_by_role("table", name="Gates (pytest-distill)")
        assert tables.count() == 6
        shown = tables.all_inner_texts()
        for told in (EVAL, SMALLER, "ValueError: <script>window.ran='test'</script>"):
            assert any(told in text for text in shown)
        assert tables.locator(":is(script, img, iframe, svg, i, u)").count() == 0
        assert page.evaluate("window.ran") is None
