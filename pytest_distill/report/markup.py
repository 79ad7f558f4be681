"""HTML inside of Markdown, for what comes from data: names, notes, reasons, gold texts.

GitHub and GitLab read no Markdown inside of an HTML block, which ends at the next empty line, and
make no link, mention or reference of what stands in ``<code>``. So nothing that comes from data
stands anywhere else. The standard library alone, as for every module that a format begins with.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pytest_distill.errors import one_line

Row = TypeVar("Row")

LONGEST_NAME = 300
"""Characters of a name; of a longer one the middle is left out."""
LONGEST_NOTE = 1000


def code(text: str, most: int = LONGEST_NAME) -> str:
    """Return text from data as HTML on one line, whatever it holds; nothing for no text."""
    return f"<code>{plain(text, most)}</code>" if text else ""


def plain(text: str, most: int = LONGEST_NAME) -> str:
    """Return a text of our own, such as a number, as HTML on one line."""
    shown = one_line(text[: 2 * most + 1])  # enough to see that it is too long
    if len(shown) > most:
        shown = f"{shown[: most // 2]}..{one_line(text[-most:])[-(most // 2) :]}"
    return html.escape(shown, quote=False)  # it never stands in an attribute


@dataclass
class MarkdownPart(Generic[Row]):
    """A part of the document, which is cut where there is no room for all of its rows.

    Parameters
    ----------
    before : str
        What stands before the rows; it may hold Markdown of our own.
    rows : sequence
        What it tells, one after the other.
    tell : callable
        Returns a row as HTML, without empty lines; only of those that there is room for.
    more : str
        What stands for the rows that are left out: ``{}`` is how many these are.
    after : str
        What stands behind the rows.
    share : int
        Bytes that the part may take, beside those that the parts before it left.
    """

    before: str
    rows: Sequence[Row]
    tell: Callable[[Row], str]
    more: str
    after: str = ""
    share: int = 1000

    def cut(self, room: int) -> str:
        """Return as much as `room` bytes hold; nothing where that is no row and no count."""
        left = room - size(self.before) - size(self.after) - size(self._rest(len(self.rows)))
        if left < 0:
            return ""
        chosen: list[str] = []
        for row in self.rows:
            chosen.append(self.tell(row))
            left -= size(chosen[-1])
            if left < 0:
                chosen.pop()
                break
        rest = len(self.rows) - len(chosen)
        return "".join([self.before, *chosen, self._rest(rest) if rest else "", self.after])

    def _rest(self, n: int) -> str:
        return self.more.format(f"{n:,}")


def cells(values: Iterable[str], kind: str = "td") -> str:
    """Return a row of a table; the values are HTML."""
    return f"<tr>{''.join(f'<{kind}>{value}</{kind}>' for value in values)}</tr>\n"


def table(
    names: Sequence[str],
    rows: Sequence[Row],
    tell: Callable[[Row], Iterable[str]],
    before: str,
    after: str,
    share: int,
) -> MarkdownPart[Row]:
    """Return a table as a part; `tell` returns the cells of a row as HTML."""
    head = f"{before}<table>\n{cells(map(plain, names), 'th')}"
    return MarkdownPart(
        head,
        rows,
        lambda row: cells(tell(row)),
        cells(["and {} more"]),
        f"</table>\n{after}",
        share,
    )


def items(texts: Sequence[str], before: str, after: str, share: int) -> MarkdownPart[str]:
    """Return a list of texts from data as a part."""

    def tell(text: str) -> str:
        return f"<li>{code(text, LONGEST_NOTE)}</li>\n"

    return MarkdownPart(
        f"{before}<ul>\n", texts, tell, "<li>and {} more</li>\n", f"</ul>\n{after}", share
    )


def fitted(parts: Iterable[MarkdownPart[Any]], room: int) -> str:
    """Return the parts in at most `room` bytes; what one doesn't take is left to the next ones."""
    told: list[str] = []
    may_take = 0
    for part in parts:
        may_take += part.share
        text = part.cut(min(may_take, room) - 1)
        if text:
            told.append(text)
            may_take -= size(text) + 1
            room -= size(text) + 1
    return "\n".join(told)


def size(text: str) -> int:
    """Return how many bytes a text takes."""
    return len(text.encode())
