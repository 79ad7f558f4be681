"""What every assertion does: ask a gate, record its verdict, raise if it did not pass."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from pathlib import Path

from pytest_distill.errors import printable
from pytest_distill.report.lost import write_lost
from pytest_distill.session import running_test
from pytest_distill.verdicts.comparison import Comparison
from pytest_distill.verdicts.gates import Gate
from pytest_distill.verdicts.verdict import Outcome, Verdict

subject: ContextVar[Comparison | None] = ContextVar("subject", default=None)
"""The comparison whose method was called; None where a function of the DSL was."""


Keep = Callable[[Verdict, Comparison, Path], Verdict]
"""Writes what is to stay of a verdict below the folder of ``distill.yaml``; returns the verdict."""


def ask(gate: Gate, eval: str | None, student: str | None, keep: Keep | None = None) -> None:
    """Judge the comparison that is meant, record the verdict, and raise if it did not pass."""
    __tracebackhide__ = True
    session, item = running_test(f"assert_{gate.name}")
    comparison = subject.get()
    with session.asking(item):
        if comparison is None or eval is not None or student is not None:
            comparison = session.comparison(item, eval, student)
        judged = gate.judge(comparison)
        if keep is not None:
            judged = keep(judged, comparison, session.project(item).config.folder)
    settle(gate, judged, comparison)


def settle(gate: Gate, judged: Verdict, comparison: Comparison) -> None:
    """Record a verdict, and raise where the test may not go on."""
    __tracebackhide__ = True
    session, item = running_test(f"assert_{gate.name}")
    verdict = session.record(item, judged)
    if verdict.stands:
        return
    slice = [verdict.slice] if verdict.slice else []
    name = "-".join([item.name, verdict.eval, verdict.model, verdict.metric, gate.name, *slice])
    lost = write_lost(gate.lost(comparison), session.project(item).config.folder, name)
    where = [f"  lost examples: {_from_here(lost)}"] if lost else []
    raise AssertionError(printable("\n".join([*_told(verdict), *where])))


def _told(verdict: Verdict) -> list[str]:
    if verdict.outcome is not Outcome.INCONCLUSIVE:
        return [verdict.message]
    return [verdict.message, "  INCONCLUSIVE: the examples do not tell, which is not a pass"]


def _from_here(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
