"""The table of families in docs/engines.md: ``python -m tests.engines.family_table [FAMILY]...``.

It runs all families, or those named, and writes their rows into the page. Take the newest
transformers, which has the most families. With ``--again`` all is asked a second time of another
engine, in small batches.
"""

from __future__ import annotations

import math
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from .comparing import Outcome, compare
from .families import FAMILIES, Family, Head, heads
from .tiny import hf

PAGE = Path(__file__).resolve().parents[2] / "docs" / "engines.md"
BEGIN, END = "<!-- families -->", "<!-- end of families -->"
TASKS = ("multiple_choice", "perplexity", "generation", "classification")

Cells = dict[str, str]
"""By task: how it is run and how far off it is; no entry where the family can't do it."""


def row_name(family: Family, head: Head) -> str:
    """Return which row tells of a head; the two that generate have one each."""
    both = head == "seq2seq" and family.class_of("causal") is not None
    return f"{family.name}, seq2seq" if both else family.name


def cells(outcomes: Sequence[Outcome]) -> Cells:
    """Return the cells of a family."""
    return {outcome.task: _cell(outcome) for outcome in outcomes}


def _cell(outcome: Outcome) -> str:
    if outcome.error:
        return outcome.path
    if outcome.differing:
        return f"{outcome.path}: {len(outcome.differing)} other texts"
    above = math.ceil(math.log10(outcome.difference)) if outcome.difference else -7
    return f"{outcome.path}: 1e{max(-7, above)}"


def path(cell: str) -> str:
    """Return how a task is run."""
    return cell.partition(":")[0]


def documented() -> dict[str, Cells]:
    """Return the cells of the page, by family."""
    text = PAGE.read_text(encoding="utf-8")
    lines = text.partition(BEGIN)[2].partition(END)[0].strip().splitlines()[2:]
    rows = {}
    for line in lines:
        name, *told = (cell.strip() for cell in line.strip("|").split("|"))
        rows[name] = {task: cell for task, cell in zip(TASKS, told, strict=True) if cell}
    return rows


def write(rows: Mapping[str, Cells]) -> None:
    """Put the table between its marks in the page, sorted by family."""
    lines = [f"| family | {' | '.join(TASKS)} |", "| --- " * (len(TASKS) + 1) + "|"]
    lines += [
        f"| {name} | {' | '.join(rows[name].get(task, '') for task in TASKS)} |"
        for name in sorted(rows)
    ]
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text("\n".join([before + BEGIN, *lines, END + after]), encoding="utf-8")


def main(names: Sequence[str], *, again: bool) -> None:
    """Run the families of these names, or all, and write down what comes of them."""
    hf.utils.logging.disable_progress_bar()
    hf.utils.logging.set_verbosity_error()
    rows = {name: row for name, row in documented().items() if names}
    for family in FAMILIES:
        own = heads(family)
        if not own or (names and family.name not in names):
            continue
        for name in {row_name(family, head) for head in own}:
            rows[name] = {}
        for head in own:
            with tempfile.TemporaryDirectory() as folder:
                outcomes = compare(family, head, Path(folder, "model"), again=again)
            rows[row_name(family, head)] |= cells(outcomes)
            sys.stdout.write(f"{row_name(family, head)}: {cells(outcomes)}\n")
            told = dict.fromkeys(x for one in outcomes for x in (one.error, *one.notes) if x)
            sys.stdout.writelines(f"  {text}\n" for text in told)
            sys.stdout.flush()
    write(rows)


if __name__ == "__main__":
    chosen = [name for name in sys.argv[1:] if name != "--again"]
    main(chosen, again="--again" in sys.argv)
