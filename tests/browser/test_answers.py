"""The answers side by side, as somebody uses them: filtered, searched, sorted, by keyboard."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from .chromium import opened
from .hostile import LANGUAGES, SFT, STUDENT, TEACHER, TEXTS, N, answer_of, id_of, language, text_of

LOST = TEACHER - STUDENT
WON = STUDENT - TEACHER
BOTH_WRONG = {*range(N)} - STUDENT - TEACHER


class Answers:
    """The part of the page with the answers.

    Parameters
    ----------
    page : Page
        The page.
    """

    def __init__(self, page: Page) -> None:
        self.page = page
        self.part = page.locator("#answers")
        self.rows = self.part.locator("tbody tr:has(th)")

    def button(self, name: str) -> Locator:
        """Return a button by the beginning of its name."""
        return self.part.get_by_role("button", name=name)

    def press(self, name: str) -> None:
        """Press one of the outcomes."""
        self.part.get_by_role("group", name="Outcome").get_by_role("button", name=name).click()

    def show_all(self) -> None:
        """Show all rows that there are of what is asked for."""
        more = self.part.locator("#answers-more")
        while more.is_visible():
            more.click()

    @property
    def ids(self) -> list[str]:
        """The ids of the rows that are shown, from the top."""
        return self.rows.locator("th button").all_inner_texts()

    def head(self, name: str) -> Locator:
        """Return a column's head."""
        return self.part.locator("thead th").filter(has_text=name).first


@pytest.fixture(scope="module")
def page(browser: Browser, hostile: Path) -> Iterator[Page]:
    """Return the page; it must stay silent, whatever is done with it."""
    with opened(browser, hostile) as found:
        yield found


@pytest.fixture
def answers(page: Page) -> Answers:
    """Return the answers as they are when the page opens."""
    page.reload()
    found = Answers(page)
    found.rows.first.wait_for()
    return found


def ids(examples: set[int]) -> list[str]:
    """Return the ids of examples in the order of the gold set."""
    return [id_of(i) for i in sorted(examples)]


def test_what_was_lost_comes_first(answers: Answers) -> None:
    """The page opens with the examples that the student lost against the teacher."""
    assert answers.ids == ids(LOST)
    assert answers.button("Lost").get_attribute("aria-pressed") == "true"


def shown(text: str) -> str:
    """Return a text as the page shows it."""
    hidden = r"[^\S\n\t ]|[\x00-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e\ufeff]"
    return re.sub(hidden, lambda found: f"\\u{ord(found[0]):04x}", text)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Won", WON), ("Both wrong", BOTH_WRONG), ("All", {*range(N)}), ("Lost", LOST)],
)
def test_an_outcome_filters(answers: Answers, name: str, expected: set[int]) -> None:
    """Its button says how many there are, and shows them."""
    answers.press(name)
    answers.show_all()
    assert sorted(answers.ids) == ids(expected)
    expect(answers.button(name).first).to_contain_text(str(len(expected)))
    expect(answers.part.get_by_role("status")).to_contain_text(f"{len(expected)} of {N}")


def test_all_begin_with_the_regressions(answers: Answers) -> None:
    """Sorted by regression: lost ones, those that are as good, won ones; then the reverse."""
    answers.press("All")
    answers.show_all()
    expected = [*ids(LOST), *ids({*range(N)} - LOST - WON), *ids(WON)]
    assert answers.ids == expected
    answers.head("Outcome").get_by_role("button").click()
    answers.show_all()
    assert answers.ids[: len(WON)] == ids(WON)
    assert answers.ids[-len(LOST) :] == ids(LOST)


def test_a_slice_filters(answers: Answers) -> None:
    """Its values are those of the gold set, as text."""
    answers.press("All")
    select = answers.part.get_by_label("lang")
    told = select.locator("option").all_inner_texts()
    assert len(told) == len(LANGUAGES) + 1
    select.select_option("<i>de")
    answers.show_all()
    assert sorted(answers.ids) == ids({i for i in range(N) if language(i) == "<i>de"})


def test_a_search_finds_each_text_as_it_is(answers: Answers) -> None:
    """Input, target and what each model answered, to the letter, whatever it holds.

    What cannot be seen, or turns the direction of text, is shown as an escape.
    """
    answers.press("All")
    for i in range(len(TEXTS)):
        answers.part.get_by_role("searchbox").fill(id_of(i))
        assert answers.ids == [id_of(i)]
        answers.button(id_of(i)).click()
        told = answers.part.locator("tbody dd").all_text_contents()
        assert told[:2] == [shown(text_of(i))] * 2
        assert {shown(answer_of(i, right)) for right in (TEACHER, STUDENT, SFT)} <= {*told[2:]}
    assert answers.page.evaluate("window.ran") is None


def test_a_search_looks_at_answers_too(answers: Answers) -> None:
    """What only the SFT student answered is found, in whatever case it is written."""
    answers.press("All")
    answers.part.get_by_role("searchbox").fill("NOT </TD>")
    assert {*answers.ids} == {id_of(i) for i in range(N) if i % len(TEXTS) == 6 and i not in SFT}


def test_other_models_can_be_compared(answers: Answers) -> None:
    """The student against the SFT student, and the SFT student against the teacher."""
    answers.part.get_by_label("Compared with").select_option(label="sft")
    answers.press("Won")
    answers.show_all()
    assert answers.ids == ids(STUDENT - SFT)
    answers.part.get_by_label("Model").select_option(label="sft")
    answers.press("Lost")
    answers.show_all()
    assert answers.ids == ids(TEACHER - SFT)


def test_a_gate_leads_to_what_it_lost(answers: Answers) -> None:
    """From the verdict on another eval back to the examples that its student lost."""
    answers.part.get_by_label("Eval").select_option(label="labels, accuracy")
    answers.rows.first.wait_for()
    gate = answers.page.locator("#gates details", has_text="test_keeps").first
    gate.get_by_role("link", name="lost examples").click()
    expect(answers.rows).to_have_count(len(LOST))
    assert answers.ids == ids(LOST)


def test_the_keyboard_alone_is_enough(answers: Answers) -> None:
    """From the top of the page to the answers: search, filter, sort, open and close a row."""
    page, keys = answers.page, answers.page.keyboard
    keys.press("Tab")
    keys.press("Enter")  # the link that leads there
    assert page.evaluate("document.activeElement.closest('#answers') !== null")
    tab_to(page, answers.part.get_by_role("searchbox"))
    keys.type(id_of(min(WON)))
    tab_to(page, answers.button("Won").first)
    keys.press("Enter")
    assert answers.ids == [id_of(min(WON))]
    head = answers.head("Example")
    tab_to(page, head.get_by_role("button"))
    keys.press("Space")
    expect(head).to_have_attribute("aria-sort", "ascending")
    keys.press("Space")
    expect(head).to_have_attribute("aria-sort", "descending")
    row = answers.rows.first.locator("th button")
    tab_to(page, row)
    keys.press("Enter")
    expect(row).to_have_attribute("aria-expanded", "true")
    assert answers.part.locator("tbody dd").first.inner_text() == text_of(min(WON))
    keys.press("Enter")
    expect(row).to_have_attribute("aria-expanded", "false")
    assert answers.part.locator("tbody dd").count() == 0


def tab_to(page: Page, target: Locator, most: int = 40) -> None:
    """Press Tab until something has the focus, which must be seen there."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if target.evaluate("each => each === document.activeElement"):
            outline = target.evaluate("each => getComputedStyle(each).outlineStyle")
            assert outline != "none", "the focus cannot be seen"
            return
    pytest.fail(f"{most} times Tab, and {target} has no focus")
