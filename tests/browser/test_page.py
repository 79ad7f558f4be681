"""The page of ``--distill-html`` in a browser: nothing in it runs, and everybody can read it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from .chromium import DESK, PHONE, Scheme, opened
from .hostile import EVAL, SMALLER

LOOKS: list[tuple[Scheme, int]] = [
    ("light", PHONE),
    ("light", DESK),
    ("dark", PHONE),
    ("dark", DESK),
]

LEFT_TO_PEOPLE = {
    "nonBmp",  # the sign beside the outcome's words, hidden from screen readers
    "elmPartiallyObscured",  # in a table that scrolls by itself: seen whole in the wider window
    "shortTextContent",  # a number of one digit, in the colour of the others beside it
}
"""What axe cannot tell of colours, and why somebody who looks can."""


@pytest.fixture(scope="module", params=LOOKS, ids=lambda look: f"{look[0]}-{look[1]}")
def page(request: pytest.FixtureRequest, browser: Browser, hostile: Path) -> Iterator[Page]:
    """Return the page in one of its looks; it must stay silent."""
    scheme, width = request.param
    with opened(browser, hostile, width=width, scheme=scheme) as found:
        found.locator("#answers tbody tr").first.wait_for()
        found.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
        yield found


def test_nothing_sticks_out(page: Page) -> None:
    """The page is as wide as its window: what is wider scrolls by itself."""
    wide, window = page.evaluate(
        "[document.scrollingElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide == window


def test_names_and_reasons_are_text(page: Page) -> None:
    """Each stands there as it is, and nothing that came from data is an element."""
    shown = page.locator("main").inner_text()
    for name in (EVAL, SMALLER, "ValueError: <script>window.ran='test'</script>", "lang=<i>de"):
        assert name in shown
    assert page.locator("main :is(script, img, iframe, i, u, b, link, object, base)").count() == 0
    assert page.evaluate("window.ran") is None


def test_axe_finds_nothing(page: Page, axe_script: str) -> None:
    """No rule is broken; of what axe cannot tell it is known why."""
    page.evaluate(axe_script)
    found: dict[str, list[dict[str, Any]]] = page.evaluate("axe.run()")
    assert len(found["passes"]) > 20
    assert told(found["violations"]) == []
    unclear = [
        (rule["id"], check["data"]["messageKey"])
        for rule in found["incomplete"]
        for node in rule["nodes"]
        if not node["html"].startswith("<text ")  # of a chart, in colours that other text has too
        for check in node["any"] + node["all"] + node["none"]
    ]
    assert {rule for rule, _ in unclear} <= {"color-contrast"}, told(found["incomplete"])
    assert {why for _, why in unclear} <= LEFT_TO_PEOPLE


def told(rules: list[dict[str, Any]]) -> list[str]:
    """Return the rules that are broken, how often, and where first."""
    return [
        f"{rule['impact']}: {rule['id']}: {len(rule['nodes'])}, {rule['nodes'][0]['html'][:200]}"
        for rule in rules
    ]


def test_a_printed_page_is_whole(browser: Browser, hostile: Path) -> None:
    """Dark on white, nothing folded, without what only a mouse can use."""
    with opened(browser, hostile, scheme="dark") as page:
        page.locator("#answers tbody tr").first.wait_for()
        page.emulate_media(media="print")
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator("details:not([open])").count() == 0
        assert page.locator("form:visible, nav:visible").count() == 0
        colours = "[getComputedStyle(document.body).color, getComputedStyle(document.body)"
        ink, paper = page.evaluate(f"{colours}.backgroundColor]")
        assert brightness(ink) < 80
        assert brightness(paper) > 240
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.locator("details:not([open])").count() > 0


def brightness(colour: str) -> float:
    """Return the mean of red, green and blue of ``rgb(...)``; what is transparent is white."""
    numbers = [float(part) for part in colour[colour.index("(") + 1 : -1].split(",")]
    return 255.0 if numbers[3:] == [0] else sum(numbers[:3]) / 3
