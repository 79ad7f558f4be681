"""What every assertion does: ask a gate, record its verdict, raise if it did not pass."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from pytest_distill._util.files import make_folder, write_atomically
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.errors import printable
from pytest_distill.evals.groups import EvalGroup
from pytest_distill.evals.tasks.repeats import budget_text
from pytest_distill.gates.doubts import with_remarks
from pytest_distill.gates.gate import Gate
from pytest_distill.gates.verdict import Outcome, Verdict
from pytest_distill.plugin.session import running_test


@dataclass(frozen=True, slots=True)
class _Test:
    """The running test, as a gate asks for its comparisons."""

    evals: Sequence[str]
    groups: Mapping[str, EvalGroup]
    comparison: Callable[..., Comparison]


def ask(gate: Gate, comparison: Comparison | None = None) -> None:
    """Judge what is meant, record the verdict, and raise if it did not pass.

    Parameters
    ----------
    gate : Gate
        With its arguments.
    comparison : Comparison, optional
        The one whose method was called; None where a function of the DSL was.
    """
    __tracebackhide__ = True
    shortfall = record(gate, *judge(gate, comparison))
    if shortfall is not None:
        raise AssertionError(shortfall)


def judge(
    gate: Gate,
    comparison: Comparison | None = None,
    *,
    finish: bool = True,
    criterion: str | None = None,
) -> tuple[Verdict, Comparison]:
    """Return a gate's verdict, and the comparison that it is about, the first of several."""
    __tracebackhide__ = True
    session, item = running_test(f"assert_{gate.name}")
    with session.asking(item, gate.name, criterion):
        test = _Test(
            session.evals(item),
            session.project(item).config.groups,
            partial(session.comparison, item, kind=Comparison),
        )
        if comparison is None:
            judged = gate.comparisons(test)
        else:
            judged = gate.as_method_of(comparison, test)
        verdict = replace(with_remarks(gate.judge_all(judged), gate, judged), criterion=criterion)
        if gate.answers:
            session.project(item).looks.add(verdict.model, judged)
        return gate.finish(verdict, judged[0]) if finish else verdict, judged[0]


def record(gate: Gate, judged: Verdict, comparison: Comparison) -> str | None:
    """Record a verdict on the running test; return what to say where the test may not go on."""
    session, item = running_test(f"assert_{gate.name}")
    verdict = session.record(item, judged)
    if verdict.stands:
        return None
    part = [part for part in (verdict.slice, budget_text(verdict.at_tokens)) if part]
    name = "-".join([item.name, verdict.eval, verdict.model, verdict.metric, gate.name, *part])
    examples = gate.lost(comparison)
    session.note_lost(item, examples)
    lost = _write_lost(examples, session.project(item).config.folder, name)
    where = [f"  lost examples: {_from_here(lost)}"] if lost else []
    return printable("\n".join([*_told(verdict), *where]))


def _told(verdict: Verdict) -> list[str]:
    if verdict.outcome is not Outcome.INCONCLUSIVE:
        return [verdict.message]
    return [verdict.message, "  INCONCLUSIVE: the examples do not tell, which is not a pass"]


def _from_here(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def _write_lost(rows: Sequence[Mapping[str, Any]], project: Path, name: str) -> Path | None:
    """Write lost examples as JSON lines into the project's ``.distill/lost``.

    Parameters
    ----------
    rows : sequence of mapping
        One an example.
    project : Path
        The folder of ``distill.yaml``.
    name : str
        What tells this list from others; becomes the file's name.

    Returns
    -------
    Path or None
        The file; None where there is nothing to write or the folder cannot be written to, since
        a read-only checkout must not hide why the gate failed.
    """
    if not rows:
        return None
    text = "".join(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)
    try:
        folder = project / ".distill"
        make_folder(folder)
        path = folder / "lost" / f"{re.sub(r'[^A-Za-z0-9.=-]+', '-', name)}.jsonl"
        write_atomically(path, text)
    except OSError:
        return None
    return path
