"""The examples of the documentation, read from its pages.

The convention, which readers of the pages see too:

- A block that is a file names it in its first line, as a comment (``# distill.yaml``), or, where
  the format has no comments, in the line above the block (```gold.jsonl`:``).
- A ``console`` block holds commands after ``$`` and what they print. A line ``...`` stands for any
  lines. All blocks of one page share one folder, from top to bottom.
- ``<!-- parse only: why -->`` above a block: it is checked, but not run.
- ``<!-- numbers of one machine -->`` above a ``console`` block: what a real model answers hangs on
  the last digits of a machine's arithmetic, so that numbers are not compared.
- ``sh`` and ``text`` blocks are for reading.
- ``<!-- generated: NAME -->`` begins a part that is made of what the code declares: `generated.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^(?P<indent> *)```(?P<language>\w*)$")
_NAME_INSIDE = re.compile(r"^# (?P<name>[\w./-]+\.\w+)$")
_NAME_ABOVE = re.compile(r"^`(?P<name>[\w./-]+\.\w+)`:$")
_PARSE_ONLY = re.compile(r"^<!-- parse only: .+ -->$")
_ONE_MACHINE = "<!-- numbers of one machine -->"
_PROMPT = "$ "

FOR_READING = ("sh", "text")


@dataclass(frozen=True)
class Block:
    """One fenced block.

    Parameters
    ----------
    place : str
        Page and line, for messages.
    language : str
        What stands behind the fence.
    text : str
        What it holds.
    name : str, optional
        The file that it is.
    parse_only : bool
        Whether it is marked as not to be run.
    of_one_machine : bool
        Whether it is marked as having numbers that another machine may not print.
    """

    place: str
    language: str
    text: str
    name: str | None
    parse_only: bool
    of_one_machine: bool


@dataclass(frozen=True)
class Step:
    """A command of a ``console`` block and the lines that it prints."""

    command: str
    expected: tuple[str, ...]


def pages_with_examples() -> list[Path]:
    """Return the pages whose examples are run."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def all_pages() -> list[Path]:
    """Return every page of the project."""
    return [*pages_with_examples(), ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page, from top to bottom."""
    lines = page.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        opened = _FENCE.match(lines[number])
        if opened is None:
            number += 1
            continue
        indent, start = opened["indent"], number + 1
        end = next((i for i in range(start, len(lines)) if lines[i] == f"{indent}```"), None)
        place = f"{page.relative_to(ROOT)}:{start}"
        assert end is not None, f"{place}: the block is never closed"
        inside = [line.removeprefix(indent) for line in lines[start:end]]
        above = [line for line in lines[max(0, number - 4) : number] if line.strip()][-2:]
        yield Block(
            place,
            opened["language"],
            "\n".join(inside) + "\n",
            _name(inside, above),
            any(map(_PARSE_ONLY.match, above[-1:])),
            above[-1:] == [_ONE_MACHINE],
        )
        number = end + 1


def _name(inside: list[str], above: list[str]) -> str | None:
    found = [_NAME_INSIDE.match(line) for line in inside[:1]]
    found += [_NAME_ABOVE.match(line) for line in above[-1:]]
    return next((match["name"] for match in found if match), None)


def steps(block: Block) -> list[Step]:
    """Return the commands of a ``console`` block."""
    found: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith(_PROMPT):
            found.append((line.removeprefix(_PROMPT), []))
        else:
            assert found, f"{block.place}: a console block starts with '{_PROMPT}'"
            found[-1][1].append(line)
    return [Step(command, tuple(expected)) for command, expected in found]


def write(block: Block, folder: Path, places: Mapping[str, str] | None = None) -> None:
    """Put a block where the page says it stands.

    Parameters
    ----------
    block : Block
        A file of a page.
    folder : Path
        Where the page's files are.
    places : mapping, optional
        What the page says -> what is true here, such as where its server is.
    """
    file = folder / str(block.name)
    file.parent.mkdir(parents=True, exist_ok=True)
    text = block.text
    for told, true in (places or {}).items():
        text = text.replace(told, true)
    file.write_text(text, encoding="utf-8")
