"""One browser, and each page written once, for all tests of a session."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock
from playwright.sync_api import Browser, sync_playwright

from .chromium import axe, chromium
from .hostile import write_project

OTHERS = ("--html", "tests.html", "--self-contained-html")
"""The report of pytest-html, beside the page."""


@pytest.fixture(scope="package")  # as long as it is open, nothing else runs an event loop
def browser() -> Iterator[Browser]:
    """Return a Chromium that is installed; none is downloaded."""
    path = chromium()
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path)
        yield started
        started.close()


@pytest.fixture(scope="session")
def axe_script() -> str:
    """Return axe-core."""
    return axe()


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of a run whose names and texts all try to be more than text."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # the workers' own folders stand there: one writes it for all
    page = folder / "hostile" / "page.html"
    with FileLock(folder / "hostile.lock"):
        if not page.parent.exists():
            page.parent.mkdir()
            _run(page)
    assert page.exists(), "another worker's run wrote no page"
    return page


def _run(page: Path) -> None:
    """Run pytest in a process of its own, so that the page is what a user gets."""
    write_project(page.parent)
    surroundings = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_XDIST")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", "."]
    done = subprocess.run(
        [*command, "--distill-report", "--distill-html", page.name, *OTHERS],
        cwd=page.parent,
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert page.exists(), f"{done.stdout}\n{done.stderr}"
    assert "DO NOT SHIP" in done.stdout, done.stdout
