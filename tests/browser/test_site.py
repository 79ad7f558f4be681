"""The site of the pages as `.ci/docs` has built it: without one its tests are skipped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from playwright.sync_api import Browser, Page, expect

from .chromium import DESK, PHONE, Scheme

SITE = Path(__file__).parents[2] / "build" / "site"

pytestmark = pytest.mark.skipif(not SITE.exists(), reason="no site is built: .ci/docs makes it")


class Quiet(SimpleHTTPRequestHandler):
    """Hands out the site's files, and says nothing of it."""

    def log_message(self, *_: object) -> None:
        """Leave the log out."""


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Return where the site is served: on this machine alone."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=SITE)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@contextmanager
def visited(
    browser: Browser, address: str, *, width: int = DESK, scheme: Scheme = "light"
) -> Iterator[Page]:
    """Open the first page; whatever is asked of another server, and every error, is heard."""
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 900})
    context.set_default_timeout(20_000)
    heard: list[str] = []
    page = context.new_page()
    page.on("console", lambda told: heard.append(told.text) if told.type == "error" else None)
    page.on("pageerror", lambda error: heard.append(f"error: {error}"))
    context.on("request", lambda request: heard.append(request.url))
    try:
        page.goto(address)
        yield page
        assert [told for told in heard if not told.startswith(address)] == []
    finally:
        context.close()


@pytest.mark.parametrize(("width", "scheme"), [(PHONE, "dark"), (DESK, "light")])
def test_the_site_asks_no_other_server_and_fits_the_window(
    browser: Browser, address: str, width: int, scheme: Scheme
) -> None:
    """A page of text, one of tables and one of signatures are as wide as the window at most."""
    with visited(browser, address, width=width, scheme=scheme) as page:
        for path in ("", "tasks-and-metrics/", "api-assertions/"):
            page.goto(address + path)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, path


def test_the_search_leads_to_what_an_assertion_takes(browser: Browser, address: str) -> None:
    """The index is the site's own, and what is found first is what was asked for."""
    with visited(browser, address) as page:
        page.locator("button.md-search__button").click()
        page.get_by_role("combobox", name="Search").fill("assert_inherited_errors")
        page.get_by_role("option", name="assert_inherited_errors").first.click()
        page.wait_for_url(f"{address}api-assertions/**")
        expect(page.get_by_role("heading", name="assert_inherited_errors")).to_be_in_viewport()
