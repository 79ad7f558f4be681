"""The page of ``--distill-html`` in a browser: nothing in it runs, and everybody can read it."""

from __future__ import annotations

import itertools
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

LOOK = "{0[0]}-{0[1]}".format
"""What a look is called."""

LEFT_TO_PEOPLE = {
    "nonBmp",  # the sign beside the outcome's words, hidden from screen readers
    "elmPartiallyObscured",  # in a table that scrolls by itself: seen whole in the wider window
    "shortTextContent",  # a number of one digit, in the colour of the others beside it
}
"""What axe cannot tell of colours, and why somebody who looks can."""


@pytest.fixture(scope="module")
def open_page(browser: Browser, hostile: Path) -> Iterator[Page]:
    """Return the page with nothing folded; it must stay silent."""
    with opened(browser, hostile) as found:
        found.locator("#answers tbody tr").first.wait_for()
        found.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
        yield found


@pytest.fixture(scope="module", params=LOOKS, ids=LOOK)
def page(request: pytest.FixtureRequest, open_page: Page) -> Page:
    """Return the page in one of its looks."""
    scheme, width = request.param
    open_page.emulate_media(color_scheme=scheme)
    open_page.set_viewport_size({"width": width, "height": 900})
    return open_page


def test_nothing_sticks_out(page: Page) -> None:
    """The page is as wide as its window: what is wider scrolls by itself."""
    wide, window = page.evaluate(
        "[document.scrollingElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide == window


def test_names_and_reasons_are_text(open_page: Page) -> None:
    """Each stands there as it is, and nothing that came from data is an element."""
    page, shown = open_page, open_page.locator("main").inner_text()
    for name in (EVAL, SMALLER, "ValueError: <script>window.ran='test'</script>", "lang=<i>de"):
        assert name in shown
    assert page.locator("main :is(script, img, iframe, i, u, b, link, object, base)").count() == 0
    assert page.evaluate("window.ran") is None


@pytest.mark.parametrize("page", [LOOKS[0], LOOKS[-1]], ids=LOOK, indirect=True)
def test_axe_finds_nothing(page: Page, axe_script: str) -> None:
    """No rule is broken; of what axe cannot tell it is known why."""
    page.evaluate(axe_script)
    told_of = '{ resultTypes: ["violations", "incomplete"] }'  # of the others one node each
    found: dict[str, list[dict[str, Any]]] = page.evaluate(f"axe.run({told_of})")
    assert len(found["passes"]) > 20
    assert told(found["violations"]) == []
    unclear = [
        (rule["id"], check["data"]["messageKey"])
        for rule in found["incomplete"]
        for node in rule["nodes"]
        if not node["html"].startswith("<text ")  # of a chart: see the next test
        for check in node["any"] + node["all"] + node["none"]
    ]
    assert {rule for rule, _ in unclear} <= {"color-contrast"}, told(found["incomplete"])
    assert {why for _, why in unclear} <= LEFT_TO_PEOPLE


CHART_TEXTS = """() => {
    const rgb = (colour) => colour.match(/[\\d.]+/g).slice(0, 3).map(Number);
    const paper = getComputedStyle(document.body).backgroundColor;
    return [...document.querySelectorAll("main svg")]
        .filter((svg) => svg.checkVisibility())
        .map((svg) => [...svg.querySelectorAll("text")].map((text) => {
            const { left, top, right, bottom } = text.getBoundingClientRect();
            const box = [left, top, right, bottom], fill = rgb(getComputedStyle(text).fill);
            return { told: text.textContent, box, fill, paper: rgb(paper) };
        }));
}"""
"""The texts of each chart that is seen: where they stand and in which colours."""


def test_charts_can_be_read(page: Page) -> None:
    """No text of a chart stands on another one, and each can be told from the page's ground."""
    charts = page.evaluate(CHART_TEXTS)
    assert len(charts) > 5
    for texts in charts:
        for text in texts:
            assert contrast(text["fill"], text["paper"]) >= 4.5, text["told"]
        for one, other in itertools.combinations(texts, 2):
            if one["told"] != other["told"]:  # a halo is the same text below itself
                assert not meet(one["box"], other["box"]), (one["told"], other["told"])


def contrast(one: list[float], other: list[float]) -> float:
    """Return the contrast of two colours, as WCAG 2.2 defines it."""
    light, dark = sorted(map(luminance, (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: list[float]) -> float:
    """Return the relative luminance of red, green and blue from 0 to 255."""
    shares = [each / 255 for each in colour]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def meet(one: list[float], other: list[float]) -> bool:
    """Return whether two boxes (left, top, right, bottom) share more than half a pixel."""
    left, top = map(max, one[:2], other[:2])
    right, bottom = map(min, one[2:], other[2:])
    return right - left > 0.5 and bottom - top > 0.5


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
        colours = "[document.body].map((each) => getComputedStyle(each))"
        ((ink, paper),) = page.evaluate(
            f"{colours}.map((each) => [each.color, each.backgroundColor])"
        )
        assert luminance(rgb(ink)) < 0.1
        assert luminance(rgb(paper)) > 0.9
        page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert page.locator("details:not([open])").count() > 0


def rgb(colour: str) -> list[float]:
    """Return red, green and blue of ``rgb(...)``; what is transparent is white."""
    numbers = [float(part) for part in colour[colour.index("(") + 1 : -1].split(",")]
    return [255.0] * 3 if numbers[3:] == [0] else numbers[:3]
