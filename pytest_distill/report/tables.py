"""Plain tables and wrapped notes for the terminal."""

from __future__ import annotations

import textwrap

from tabulate import tabulate

from pytest_distill._util.format import INFINITE, floor_text
from pytest_distill.errors import one_line

Columns = dict[str, list[str]]


def table(columns: Columns) -> list[str]:
    """Return the lines of a table; texts stand left, numbers right."""
    columns = {one_line(name): [*map(one_line, cells)] for name, cells in columns.items()}
    words = ("model", "role", "gate", "on", "outcome", "test", "required")
    align = ["left" if name in words else "right" for name in columns]
    # Headers and rule as rows of their own: tabulate pads a header by two columns, which 80 lack.
    rules = ["-" * max(map(len, [name, *cells])) for name, cells in columns.items()]
    rows = [list(columns), rules, *zip(*columns.values(), strict=True)]
    lines = tabulate(rows, tablefmt="plain", disable_numparse=True, colalign=align)
    return [line.rstrip() for line in lines.splitlines()]


def retained_text(retained: float | None, *, infinite: bool, without: str = "") -> str:
    """Return a share of the teacher's quality; `without` stands where there is no ratio."""
    if retained is not None:
        return floor_text(retained)
    return INFINITE if infinite else without


def wrapped(note: str, width: int) -> list[str]:
    """Return a note as lines of at most `width` columns."""
    return textwrap.wrap(note, width, subsequent_indent="  ", break_on_hyphens=False)


def shortened(text: str, room: int) -> str:
    """Return `text`, its middle left out where it is longer than `room`."""
    if len(text) <= room:
        return text
    head = (room - 2) // 2
    return f"{text[:head]}..{text[len(text) - (room - 2 - head) :]}"
