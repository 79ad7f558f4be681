"""Plain tables and wrapped notes for the terminal, by the columns that a terminal needs."""

from __future__ import annotations

from collections.abc import Collection

from tabulate import tabulate
from wcwidth import wcswidth, wrap

from pytest_distill._util.format import INFINITE, floor_text
from pytest_distill.errors import one_line

Columns = dict[str, list[str]]

MOST_ROWS = 5
"""Of a list; the rest is counted."""


def table(columns: Columns, left: Collection[str] = ("", "role")) -> list[str]:
    """Return the lines of a table: header and rows; the columns named stand left, others right."""
    columns = {one_line(name): [*map(one_line, cells)] for name, cells in columns.items()}
    align = ["left" if name in left else "right" for name in columns]
    # Headers as a row of their own: tabulate pads a header by two columns, which 60 lack.
    rows = [list(columns), *zip(*columns.values(), strict=True)]
    lines = tabulate(rows, tablefmt="plain", disable_numparse=True, colalign=align)
    return [line.rstrip() for line in lines.splitlines()]


def cells(text: str) -> int:
    """Return how many columns a line takes: Chinese characters take two."""
    return max(0, wcswidth(text))


def retained_text(retained: float | None, *, infinite: bool, without: str = "") -> str:
    """Return a share of the teacher's quality; `without` stands where there is no ratio."""
    if retained is not None:
        return floor_text(retained)
    return INFINITE if infinite else without


def wrapped(note: str, width: int, indent: str = "", hanging: str = "  ") -> list[str]:
    """Return a note as lines of at most `width` columns, those after the first indented more."""
    return wrap(
        one_line(note),
        width,
        initial_indent=indent,
        subsequent_indent=indent + hanging,
        break_on_hyphens=False,
    )


def shortened(text: str, room: int) -> str:
    """Return `text`, its middle left out where it needs more than `room` columns."""
    if cells(text) <= room:
        return text
    head, tail = text[: room // 2], text[-(room // 2) :]
    while cells(head) + cells(tail) > room - 2:
        head, tail = (head[:-1], tail) if len(head) >= len(tail) else (head, tail[1:])
    return f"{head}..{tail}"


def few_lines(lines: list[str]) -> list[str]:
    """Return the first lines of a list, and how many more there are."""
    rest = len(lines) - MOST_ROWS
    return [*lines[:MOST_ROWS], *([f"and {rest:,} more"] if rest > 0 else [])]


def encodable(text: str, encoding: str, width: int) -> list[str]:
    """Return a line with what the terminal cannot show escaped; several where it grew too long."""
    shown = text.encode(encoding, "backslashreplace").decode(encoding)
    lines = [shown] if cells(shown) <= width else wrap(shown, width, subsequent_indent="  ")
    return [*map(one_line, lines)]  # a part may begin like a command of a CI service
