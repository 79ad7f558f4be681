"""A page with 100,000 examples: every one of them is there, and it stays a small file."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from pytest_distill.report.examples import ExampleTable, ModelAnswers
from pytest_distill.report.html_file import text
from pytest_distill.report.records.report import Report

from .chromium import opened

N = 100_000
WORDS = 20
MOST_BYTES = 5_000_000
ROWS = """async () => {
    const packed = document.querySelector("script.rows").textContent;
    const bytes = Uint8Array.from(atob(packed), (each) => each.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const rows = JSON.parse(await new Response(stream).text());
    return [new Set(rows.ids).size, ...rows.scores.map((scores) => scores.length)];
}"""
"""Counts what the page carries, by itself."""


def examples() -> ExampleTable:
    """Return examples that are hard to pack: random words, and models that err at random."""
    draw = random.Random(7)  # noqa: S311 (no secret)
    words = [f"{draw.getrandbits(32):x}" for _ in range(20_000)]
    scores = {
        name: [float(draw.random() < share) for _ in range(N)]
        for name, share in (("teacher", 0.9), ("student", 0.87), ("sft", 0.8))
    }
    teacher = scores["teacher"]
    return ExampleTable(
        config="distill.yaml",
        eval="reviews",
        metric="accuracy",
        higher_is_better=True,
        right_or_wrong=True,
        ids=tuple(f"review-{i:05}" for i in range(N)),
        inputs=tuple(" ".join(draw.choices(words, k=WORDS)) for _ in range(N)),
        targets=("positive",) * N,
        slices={"lang": tuple(draw.choices(("de", "en", "fr"), k=N))},
        models=tuple(
            ModelAnswers(
                name,
                name,
                tuple("positive" if score else "negative" for score in told),
                tuple(told),
                ()
                if name == "teacher"
                else tuple(a - b for a, b in zip(told, teacher, strict=True)),
            )
            for name, told in scores.items()
        ),
    )


@pytest.fixture(scope="module")
def table() -> ExampleTable:
    """Return the examples."""
    return examples()


@pytest.fixture(scope="module")
def path(table: ExampleTable, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page as a file."""
    file = tmp_path_factory.mktemp("large") / "page.html"
    file.write_text(text(Report(outcome="SHIP", reason=""), (table,)), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def page(browser: Browser, path: Path) -> Iterator[Page]:
    """Return the page when its first rows are there."""
    with opened(browser, path) as found:
        found.locator("#answers tbody tr").first.wait_for()
        yield found


def test_the_file_is_small(path: Path) -> None:
    """Under 5 MB, whatever the texts are like."""
    assert path.stat().st_size < MOST_BYTES


def test_every_row_is_there(page: Page) -> None:
    """Each id once and each model's scores, and the page says so."""
    assert page.evaluate(ROWS) == [N, N, N, N]
    page.locator("#answers").get_by_role("button", name="All").first.click()
    expect(page.locator("#answers").get_by_role("status")).to_contain_text(f"{N:,} of {N:,}")


def test_each_can_be_found(page: Page, table: ExampleTable) -> None:
    """The first, the last and others by their ids, with what is right and who was."""
    part = page.locator("#answers")
    part.get_by_role("button", name="All").first.click()
    for i in (0, 1, 49_999, 77_777, N - 1):
        part.get_by_role("searchbox").fill(f"review-{i:05}")
        found = part.locator(
            "tbody tr", has=page.get_by_role("button", name=f"review-{i:05}", exact=True)
        )
        expect(found).to_have_count(1)
        assert found.get_by_text("✓ right").count() == sum(
            model.scores[i] == 1 for model in table.models
        )
        assert table.inputs[i].startswith(found.locator("td.input").inner_text().rstrip("…"))


def test_lost_and_won_are_counted(page: Page, table: ExampleTable) -> None:
    """As the models' scores have it."""
    gains = table.models[1].gains
    part = page.locator("#answers")
    part.get_by_role("searchbox").fill("")
    for name, n in (("Lost", sum(g < 0 for g in gains)), ("Won", sum(g > 0 for g in gains))):
        part.get_by_role("group", name="Outcome").get_by_role("button", name=name).click()
        expect(part.get_by_role("status")).to_contain_text(f"{n:,} of {N:,}")
