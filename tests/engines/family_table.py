"""The table of families in docs/engines.md: ``python -m tests.engines.family_table``.

It prints the table and writes it into the page. Run it with the newest transformers, which has the
most families.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from .comparing import Outcome, compare
from .families import FAMILIES, Family, heads
from .tiny import hf

PAGE = Path(__file__).resolve().parents[2] / "docs" / "engines.md"
BEGIN, END = "<!-- families -->", "<!-- end of families -->"
TASKS = ("multiple_choice", "perplexity", "generation", "classification")

Row = dict[str, str]
"""By task: how it is run, or empty where the family can't do it."""


def row_of(outcomes: Sequence[Outcome]) -> Row:
    """Return the path of every task."""
    return {outcome.task: outcome.path for outcome in outcomes}


def table(rows: Mapping[str, Sequence[Outcome]]) -> str:
    """Return the table in Markdown, sorted by family."""
    lines = ["| family | " + " | ".join(TASKS) + " |", "| --- " * (len(TASKS) + 1) + "|"]
    for name in sorted(rows):
        cells = {outcome.task: _cell(outcome) for outcome in rows[name]}
        lines.append(f"| {name} | " + " | ".join(cells.get(task, "") for task in TASKS) + " |")
    return "\n".join(lines)


def _cell(outcome: Outcome) -> str:
    if outcome.error:
        return outcome.path
    if outcome.differing:
        return f"{outcome.path}: {len(outcome.differing)} other texts"
    above = math.ceil(math.log10(outcome.difference)) if outcome.difference else -9
    return f"{outcome.path}: 1e{max(-7, above)}"


def documented() -> dict[str, Row]:
    """Return the paths that the page tells, by family."""
    text = PAGE.read_text(encoding="utf-8")
    lines = text.partition(BEGIN)[2].partition(END)[0].strip().splitlines()[2:]
    rows = {}
    for line in lines:
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        told = zip(TASKS, cells, strict=True)
        rows[name] = {task: cell.partition(":")[0] for task, cell in told if cell}
    return rows


def write(made: str) -> None:
    """Put the table between its marks in the page."""
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{made}\n{END}{after}", encoding="utf-8")


def outcomes_of(family: Family, folder: Path) -> list[Outcome]:
    """Return what comes of every task of every head of a family."""
    return [outcome for head in heads(family) for outcome in compare(family, head, folder / head)]


def main() -> None:
    """Run all families."""
    hf.utils.logging.disable_progress_bar()
    hf.utils.logging.set_verbosity_error()
    rows = {}
    for family in FAMILIES:
        if heads(family):
            with tempfile.TemporaryDirectory() as folder:
                rows[family.name] = outcomes_of(family, Path(folder))
            sys.stdout.write(f"{family.name}: {row_of(rows[family.name])}\n")
    made = table(rows)
    sys.stdout.write(f"\ntransformers {hf.__version__}\n\n{made}\n")
    write(made)


if __name__ == "__main__":
    main()
