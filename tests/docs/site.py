"""What is wrong with the site built of the pages: ``python -m tests.docs.site build/site``.

The builder's strict mode follows links to pages. This follows every link inside the site, and
refuses whatever a reader's browser would fetch from somewhere else.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

FOLLOWED = {"a", "area"}
"""Elements whose link a reader follows; all others fetch what they name."""
SAID = {("link", "canonical"), ("link", "next"), ("link", "prev")}
"""Links that are told, and not fetched."""
NAMED_IN_CSS = re.compile(r"""(?:url\(|@import)\s*["']?(?P<target>[^"')\s;]+)""")


@dataclass
class Page(HTMLParser):
    """What a page names.

    Parameters
    ----------
    anchors : set of str
        The ids that a link can lead to.
    fetched, followed : list of str
        What a browser fetches by itself, and what a reader may go to.
    """

    anchors: set[str] = field(default_factory=set)
    fetched: list[str] = field(default_factory=list)
    followed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the names of one element."""
        given = {name: value for name, value in attrs if value}
        self.anchors.add(given.get("id", ""))
        if tag in FOLLOWED or (tag, given.get("rel", "")) in SAID:
            self.followed += [given["href"]] if "href" in given else []
            return
        named = [given[name] for name in ("src", "href", "data", "poster") if name in given]
        named += [each.split()[0] for each in given.get("srcset", "").split(",") if each.strip()]
        self.fetched += named + NAMED_IN_CSS.findall(given.get("style", ""))


@cache
def page_of(path: Path) -> Page:
    """Return what a page of the site names."""
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def problems(site: Path) -> Iterator[str]:
    """Yield what a reader would stumble upon, with the page where it stands."""
    pages = sorted(site.rglob("*.html"))
    if not pages:
        yield f"{site}: no page is there"
    for path in pages:
        page = page_of(path)
        where = path.relative_to(site)
        yield from (f"{where}: {said}" for said in fetching(site, path, page.fetched))
        yield from (f"{where}: {said}" for said in following(site, path, page.followed))
    for path in sorted(site.rglob("*.css")):
        named = NAMED_IN_CSS.findall(path.read_text(encoding="utf-8"))
        yield from (f"{path.relative_to(site)}: {said}" for said in fetching(site, path, named))


def fetching(site: Path, path: Path, targets: list[str]) -> Iterator[str]:
    """Yield what is wrong with the things that a browser fetches for a file."""
    for target in targets:
        parts = urlsplit(target)
        if parts.scheme == "data" or target.startswith("#"):
            continue
        if parts.scheme or parts.netloc:
            yield f"fetches from another server: {target}"
        elif not place(site, path, parts.path).is_file():
            yield f"fetches what is not there: {target}"


def following(site: Path, path: Path, targets: list[str]) -> Iterator[str]:
    """Yield what is wrong with the links that a reader of a page may follow."""
    for target in targets:
        parts = urlsplit(target)
        if parts.scheme or parts.netloc:
            continue
        there = place(site, path, parts.path) if parts.path else path
        there = there / "index.html" if there.is_dir() else there
        if not there.is_file():
            yield f"leads nowhere: {target}"
        elif parts.fragment and unquote(parts.fragment) not in page_of(there).anchors:
            yield f"leads to no heading: {target}"


def place(site: Path, path: Path, target: str) -> Path:
    """Return the file of the site that a path in another one means."""
    start = site if target.startswith("/") else path.parent
    return (start / unquote(target).lstrip("/")).resolve()


if __name__ == "__main__":
    found = "\n".join(problems(Path(sys.argv[1])))
    sys.exit(found or 0)
