"""A Chromium that is installed, without a network, and axe-core: what looks at a page for us."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import pytest
from filelock import FileLock
from playwright.sync_api import Browser, Page

NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
"""Commands that are one; Debian's is the first."""
AXE = "4.14.1"
"""Which axe-core; newer ones have more rules, so that a red run is a change of ours."""
AXE_SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
FOLDER = Path(__file__).parents[2] / ".axe"
"""Where npm puts it."""

Scheme = Literal["light", "dark"]
PHONE, DESK = 400, 1400
"""Widths in pixels."""


def chromium() -> str:
    """Return the path of a Chromium; without one the test is skipped."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("no Chromium or Chrome is installed: apt-get install chromium")
    return found


def axe() -> str:
    """Return axe-core's script, which npm fetches once; without npm or its registry: skipped."""
    script = FOLDER / "node_modules" / "axe-core" / "axe.min.js"
    FOLDER.mkdir(exist_ok=True)
    with FileLock(FOLDER / "lock"):  # one process fetches it
        if not script.exists():
            _install()
    written = script.read_bytes()
    assert hashlib.sha256(written).hexdigest() == AXE_SHA256, f"{script} is not axe-core {AXE}"
    return written.decode()


def _install() -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("axe-core is not here, and npm, which would fetch it, is not installed")
    quietly = ("--no-save", "--no-audit", "--no-fund", "--ignore-scripts")
    command = [npm, "install", "--prefix", str(FOLDER), *quietly, f"axe-core@{AXE}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        pytest.skip(f"npm cannot fetch axe-core: {done.stderr.strip()[-300:]}")


@contextmanager
def opened(
    browser: Browser, path: Path, *, width: int = DESK, scheme: Scheme = "light"
) -> Iterator[Page]:
    """Open a file as a page that must stay silent: no message, no error, and no request at all.

    Parameters
    ----------
    browser : Browser
        That of the session.
    path : Path
        The file.
    width : int
        Of the window, in pixels.
    scheme : {"light", "dark"}
        Which colours its reader prefers.
    """
    context = browser.new_context(
        offline=True,
        color_scheme=scheme,
        viewport={"width": width, "height": 900},
        accept_downloads=False,
    )
    context.set_default_timeout(20_000)
    heard: list[str] = []
    page = context.new_page()
    page.on("console", lambda message: heard.append(f"console: {message.text}"))
    page.on("pageerror", lambda error: heard.append(f"error: {error}"))
    page.on("popup", lambda other: heard.append(f"window: {other.url}"))
    page.on("download", lambda file: heard.append(f"download: {file.url}"))
    context.on("request", lambda request: heard.append(f"request: {request.url}"))
    try:
        page.goto(path.as_uri())
        yield page
        assert [told for told in heard if told != f"request: {path.as_uri()}"] == []
    finally:
        context.close()
