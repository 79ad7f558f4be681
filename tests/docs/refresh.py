"""Write what the commands of a page print now into the page: ``python -m tests.docs.refresh PAGE``.

And what the code declares into its generated parts. Read the difference before it is committed: an
output that changed may be a defect. An output with ``...`` in its middle is left as it is, and
named.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from .console import ANYTHING, Console, difference
from .generated import with_parts
from .models import STAND_IN, beside, provide
from .pages import Block, Step, blocks, steps, write


def refreshed(page: Path, folder: Path) -> str:
    """Return the text of a page with the outputs, and the generated parts, of now."""
    with beside(page) as server:
        return _refreshed(page, folder, {STAND_IN: server})


def _refreshed(page: Path, folder: Path, places: Mapping[str, str]) -> str:
    lines = page.read_text(encoding="utf-8").splitlines()
    console = Console(folder, places)
    provide(page, folder)
    edits: list[tuple[Block, list[str]]] = []
    for block in blocks(page):
        if block.parse_only:
            continue
        if block.language == "console":
            shown = [line for step in steps(block) for line in output(step, console, block)]
            edits.append((block, shown))
        elif block.name:
            write(block, folder, places)
    for block, shown in reversed(edits):
        start = int(block.place.rpartition(":")[2])
        indent = lines[start - 1].partition("```")[0]
        lines[start : start + len(block.text.splitlines())] = [indent + line for line in shown]
    return with_parts("\n".join(lines) + "\n")


def output(step: Step, console: Console, block: Block) -> list[str]:
    """Return the lines of a command and what it prints, as they stand in a page."""
    command = f"$ {step.command}"
    printed = console.run(step.command)
    if not difference(step.expected, printed, of_one_machine=block.of_one_machine):
        return [command, *step.expected]
    if ANYTHING in step.expected[1:]:
        sys.stderr.write(f"{block.place}: {command}: not rewritten\n")
        return [command, *step.expected]
    lines = [line.rstrip() for line in printed.rstrip().splitlines()]
    collected = [number for number, line in enumerate(lines) if line.startswith("collected ")]
    return [command, *([ANYTHING, *lines[collected[0] :]] if collected else lines)]


if __name__ == "__main__":
    for name in sys.argv[1:]:
        with tempfile.TemporaryDirectory() as made:
            text = refreshed(Path(name).resolve(), Path(made))
        Path(name).write_text(text, encoding="utf-8")
