"""The answers of evals of several kinds: graded, better when lower, of one model alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from pytest_distill.report.examples import ExampleTable, ModelAnswers
from pytest_distill.report.html_file import text
from pytest_distill.report.records.report import Report

from .chromium import opened

TEACHER = (2.0, 3.00004, 1.0, 5.0, 4.0)
STUDENT = (4.0, 3.00001, 1.0, math.inf, 3.5)
"""Of a metric that is better when lower: two are lost, one is as good, and two are won, one of
them by less than is shown."""


def model(name: str, role: str, scores: tuple[float, ...], answers: int = 5) -> ModelAnswers:
    """Return a model's scores, with answers to tell them by."""
    gains = () if role == "teacher" else tuple(b - a for a, b in zip(scores, TEACHER, strict=True))
    return ModelAnswers(name, role, tuple(f"{name} {i}" for i in range(answers)), scores, gains)


GRADED = ExampleTable(
    config="distill.yaml",
    eval="graded",
    metric="perplexity",
    higher_is_better=False,
    right_or_wrong=False,
    ids=("a", "b", "c", "d", "e"),
    inputs=("one\n  two\n    three", "x" * 500, "", "four", "five"),
    targets=("", "2", "3", "4", "5"),
    slices={"lang": ("en", "", "de", "en", "de")},
    models=(
        model("big", "teacher", TEACHER),
        model("small", "student", STUDENT),
        model("tiny", "student", TEACHER, answers=0),
        model("fewer", "student", STUDENT),
        model("plain", "sft", STUDENT),
    ),
)
ALONE = ExampleTable(
    config="distill.yaml",
    eval="alone",
    metric="accuracy",
    higher_is_better=True,
    right_or_wrong=True,
    ids=("z", "y"),
    inputs=("1", "2"),
    targets=("1", "2"),
    slices={},
    models=(ModelAnswers("student", "student", ("1", "1"), (1.0, 0.0)),),
)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page as a file."""
    file = tmp_path_factory.mktemp("kinds") / "page.html"
    file.write_text(text(Report(outcome="SHIP", reason=""), (GRADED, ALONE)), encoding="utf-8")
    return file


@pytest.fixture
def page(browser: Browser, path: Path) -> Iterator[Page]:
    """Return the page when its first rows are there."""
    with opened(browser, path) as found:
        found.locator("#answers tbody tr").first.wait_for()
        yield found


def ids(page: Page) -> list[str]:
    """Return the ids of the rows that are shown, from the top."""
    return page.locator("#answers tbody th button").all_inner_texts()


def heads(page: Page) -> list[str]:
    """Return the heads of the columns."""
    return page.locator("#answers thead th").all_inner_texts()


def test_the_largest_loss_comes_first(page: Page) -> None:
    """Infinitely worse before worse; what differs by less than is shown is won all the same."""
    chosen = page.locator("#answers-eval option:checked")
    assert chosen.inner_text() == "graded, perplexity (lower is better)"
    assert ids(page) == ["d", "a"]
    first = page.locator("#answers tbody tr").first
    assert "5.0000" in first.inner_text()
    assert "infinite" in first.inner_text()
    part = page.locator("#answers")
    expect(part.get_by_role("button", name="Both wrong")).to_have_count(0)
    part.get_by_role("button", name="Won").click()
    assert sorted(ids(page)) == ["b", "e"]
    part.get_by_role("button", name="All").first.click()
    assert ids(page)[:3] == ["d", "a", "c"]


def test_scores_and_texts_sort(page: Page) -> None:
    """By the score of a model and by a text, up and down; equal ones as in the gold set."""
    part = page.locator("#answers")
    part.get_by_role("button", name="All").first.click()
    head = part.locator("thead th", has_text="small").get_by_role("button")
    head.click()
    assert ids(page) == ["c", "b", "e", "a", "d"]
    head.click()
    assert ids(page) == ["d", "a", "e", "b", "c"]
    part.locator("thead th", has_text="Input").get_by_role("button").click()
    assert ids(page) == ["c", "e", "d", "a", "b"]


def test_of_many_models_the_chosen_one_stands_in_the_row(page: Page) -> None:
    """The row opens to all of them, with lines as they are; without answers a score is left."""
    assert heads(page) == [
        "Example", "Outcome", "Input", "Target", "big (teacher)", "small (student)", "plain (sft)",
    ]  # fmt: skip
    page.get_by_role("button", name="a", exact=True).click()
    told = page.locator("#answers tbody dl").inner_text()
    assert "one\n  two\n    three" in told
    for part in ("big 0", "small 0", "fewer 0", "plain 0", "tiny (student)", "2.0000"):
        assert part in told
    assert "tiny 0" not in told
    page.get_by_label("Model", exact=True).select_option(label="tiny (student)")
    # It loses nothing, and what it loses is still asked for.
    expect(page.get_by_role("status")).to_have_text("0 of 5 examples (lost), 0 shown")
    page.get_by_label("lang").select_option(label="(empty)")
    page.get_by_role("button", name="All").first.click()
    assert ids(page) == ["b"]


def test_a_model_alone_has_answers_too(page: Page) -> None:
    """Nobody to be held against: all examples as in the gold set, right or wrong."""
    page.get_by_label("Eval").select_option(label="alone, accuracy")
    expect(page.locator("#answers tbody tr")).to_have_count(2)
    assert ids(page) == ["z", "y"]
    assert heads(page) == ["Example", "Input", "Target", "student"]
    assert page.locator("#answers-filters button").all_inner_texts() == ["All 2"]
    assert page.get_by_label("Compared with").is_hidden()
    assert page.locator("#answers tbody .score").all_inner_texts() == ["✓ right", "✗ wrong"]
