"""Draws the chart of the first page: ``python -m tests.docs.picture``.

It is the one that ``--distill-html`` writes for the tests of that page, wide and for a phone, on
light and on dark paper: a picture of a page is told no colours by it.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pytest_distill.report.html.drawing import COLOURS

from .console import Console
from .models import provide
from .pages import ROOT, blocks, write

INDEX = ROOT / "docs" / "index.md"
IMAGES = ROOT / "docs" / "images"
CHART = re.compile(r'<figure class="chart" id="size-0">.*?</figure>', re.DOTALL)
DRAWING = re.compile(r"<svg .*?</svg>", re.DOTALL)
COLOUR = re.compile(r"var\(--(\w+)\)")


def pictures(folder: Path) -> Mapping[Path, str]:
    """Return what each file of the chart holds; the tests are run in a folder of their own."""
    console = Console(folder)
    provide(INDEX, folder)
    for block in blocks(INDEX):
        if block.name:
            write(block, folder)
    printed = console.run("pytest --distill-html report.html")
    assert console.status == 0, printed
    chart = CHART.search((folder / "report.html").read_text(encoding="utf-8"))
    assert chart, "the page has no chart of size and quality"
    wide, narrow = DRAWING.findall(chart[0])
    return {
        IMAGES / f"size-{room}-{theme}.svg": coloured(drawing, place)
        for room, drawing in (("wide", wide), ("narrow", narrow))
        for place, theme in enumerate(("light", "dark"))
    }


def coloured(drawing: str, place: int) -> str:
    """Return a drawing with colours in place of a page's variables, on paper of its own."""
    head, closed, rest = drawing.partition(">")
    paper = '<rect width="100%" height="100%" fill="var(--paper)"/>'
    return COLOUR.sub(lambda name: COLOURS[name[1]][place], f"{head}{closed}\n{paper}{rest}\n")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        for path, drawn in pictures(Path(made)).items():
            path.write_text(drawn, encoding="utf-8")
