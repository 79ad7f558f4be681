from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

import pytest_distill

from .pages import ROOT
from .picture import pictures
from .site import problems

INDEX = ROOT / "docs" / "index.md"
SECTION = re.compile(r"^## (?P<title>.+)$", re.MULTILINE)
LISTED = re.compile(r"^- \[(?P<title>[^\]]+)\]\((?P<page>[\w-]+\.md)\)", re.MULTILINE)
PROJECT = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]


def navigation() -> Iterator[str]:
    """Yield the pages in the order in which a reader of the site is led through them."""
    for section in PROJECT["nav"]:
        for pages in section.values():
            yield from pages


def test_every_page_is_in_the_navigation_once() -> None:
    """A page that nobody is led to is lost, and one of two places would be the wrong one."""
    assert sorted(navigation()) == sorted(page.name for page in (ROOT / "docs").glob("*.md"))


def test_the_first_page_lists_the_others_as_the_navigation_does() -> None:
    """Readers of the files, who have no navigation, find each page under the same heading."""
    first, *sections = SECTION.split(INDEX.read_text(encoding="utf-8"))
    assert not LISTED.findall(first)
    told = [
        {title: [page for _, page in LISTED.findall(text)]}
        for title, text in zip(sections[::2], sections[1::2], strict=True)
        if LISTED.search(text)
    ]
    assert [
        {title: [p for p in pages if p != "index.md"] for title, pages in section.items()}
        for section in PROJECT["nav"]
    ] == told


def test_the_first_page_calls_the_others_by_their_titles() -> None:
    """What a reader clicks on is what the page that opens is called."""
    listed = dict(map(reversed, LISTED.findall(INDEX.read_text(encoding="utf-8"))))
    titles = {page: (INDEX.parent / page).read_text("utf-8").partition("\n")[0] for page in listed}
    assert {page: f"# {title}" for page, title in listed.items()} == titles


def test_the_chart_of_the_first_page_tells_what_its_tests_find(tmp_path: Path) -> None:
    """Its models and numbers are those of the run that the page shows: else it is drawn anew."""
    drawn = pictures(tmp_path)
    kept = {path: read_aloud(path.read_text(encoding="utf-8")) for path in drawn}
    assert kept == {path: read_aloud(drawing) for path, drawing in drawn.items()}


def read_aloud(drawing: str) -> str:
    """Return what stands for a drawing where it is not seen."""
    return ElementTree.fromstring(drawing).attrib["aria-label"]  # noqa: S314 (our own)


def test_every_public_name_stands_in_the_reference_once() -> None:
    """What can be imported from the package can be looked up."""
    pages = [page.read_text(encoding="utf-8") for page in INDEX.parent.glob("api-*.md")]
    told = re.findall(r"^::: pytest_distill\.(\w+)$", "\n".join(pages), re.MULTILINE)
    assert sorted(told) == vars(pytest_distill)["__all__"]


def test_the_site_asks_no_server_for_fonts() -> None:
    """The theme's default is a font of Google's."""
    assert PROJECT["theme"]["font"] is False


@pytest.mark.parametrize(
    ("page", "said"),
    [
        ('<script src="https://x.test/a.js">', "fetches from another server: https://x.test/a.js"),
        ('<script src="//x.test/a.js">', "fetches from another server: //x.test/a.js"),
        (
            '<link rel="stylesheet" href="https://x.test/a.css">',
            "fetches from another server: https://x.test/a.css",
        ),
        (
            '<img src="a.png" srcset="a.png 1x, https://x.test/b.png 2x">',
            "fetches from another server: https://x.test/b.png",
        ),
        (
            '<p style="background: url(https://x.test/a.png)">',
            "fetches from another server: https://x.test/a.png",
        ),
        ('<img src="b.png">', "fetches what is not there: b.png"),
        ('<a href="../away/">', "leads nowhere: ../away/"),
        ('<a href="#away">', "leads to no heading: #away"),
        ('<a href="other/#away">', "leads to no heading: other/#away"),
    ],
)
def test_what_a_reader_would_stumble_upon_is_told(page: str, said: str, tmp_path: Path) -> None:
    """Neither a request to another server nor a link that leads nowhere passes the check."""
    _write(tmp_path, page)
    assert list(problems(tmp_path)) == [f"index.html: {said}"]


def test_a_font_of_a_style_sheet_is_fetched_from_the_site_alone(tmp_path: Path) -> None:
    """What a style sheet names is fetched as what a page names."""
    _write(tmp_path, '<link rel="stylesheet" href="a.css">')
    (tmp_path / "a.css").write_text(
        '@import "https://x.test/b.css"; p { src: url("https://x.test/c.woff2"), url(a.png) }'
    )
    assert list(problems(tmp_path)) == [
        "a.css: fetches from another server: https://x.test/b.css",
        "a.css: fetches from another server: https://x.test/c.woff2",
    ]


def test_a_sound_page_has_no_problem(tmp_path: Path) -> None:
    """Links to other sites, headings, neighbours and pictures are what pages are made of."""
    _write(
        tmp_path,
        '<a href="https://x.test/">a</a> <a href="#top">b</a> <a href="other/#there">c</a>'
        '<img src="data:image/png;base64,AA=="> <img src="/a.png"> <a href=".">d</a>',
    )
    assert list(problems(tmp_path)) == []


def test_no_page_at_all_is_a_problem(tmp_path: Path) -> None:
    """A site that was built elsewhere, or not at all, doesn't pass."""
    assert list(problems(tmp_path)) == [f"{tmp_path}: no page is there"]


def _write(site: Path, page: str) -> None:
    """Write a page of a site that has another one and a picture."""
    (site / "other").mkdir()
    (site / "other" / "index.html").write_text('<h1 id="there">Other</h1>', encoding="utf-8")
    (site / "a.png").write_bytes(b"")
    (site / "index.html").write_text(f'<h1 id="top">Page</h1>{page}', encoding="utf-8")
