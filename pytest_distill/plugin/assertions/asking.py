"""What every assertion does: ask a gate, record its verdict, raise if it did not pass."""

from __future__ import annotations

from contextvars import ContextVar
from pathlib import Path

from pytest_distill.comparison.comparison import Comparison
from pytest_distill.errors import printable
from pytest_distill.gates import Gate, Routable, SuiteRetained
from pytest_distill.gates.doubts import with_remarks
from pytest_distill.gates.verdict import Outcome, Verdict
from pytest_distill.plugin.assertions.threshold import keep_threshold
from pytest_distill.plugin.session import running_test
from pytest_distill.report.lost import write_lost

subject: ContextVar[Comparison | None] = ContextVar("subject", default=None)
"""The comparison whose method was called; None where a function of the DSL was."""


def ask(gate: Gate, eval: str | None, student: str | None) -> None:
    """Judge the comparison that is meant, record the verdict, and raise if it did not pass."""
    __tracebackhide__ = True
    shortfall = record(gate, *judge(gate, eval, student))
    if shortfall is not None:
        raise AssertionError(shortfall)


def judge(gate: Gate, eval: str | None, student: str | None) -> tuple[Verdict, Comparison]:
    """Return a gate's verdict, and the comparison that it is about: the method's, or the test's."""
    __tracebackhide__ = True
    session, item = running_test(f"assert_{gate.name}")
    comparison = subject.get()
    with session.asking(item, gate.name):
        if isinstance(gate, SuiteRetained):
            names = gate.names(list(session.project(item).config.evals))
            suite = [
                session.comparison(item, name, student, kind=Comparison, alone=True)
                for name in names
            ]
            return with_remarks(gate.judge_all(suite), gate, suite), suite[0]
        if comparison is None or eval is not None or student is not None:
            any_eval = not getattr(gate, "needs_eval", True)
            comparison = session.comparison(item, eval, student, kind=Comparison, any_eval=any_eval)
        verdict = with_remarks(gate.judge(comparison), gate, [comparison])
        if isinstance(gate, Routable):
            verdict = keep_threshold(gate.save, verdict, comparison)
        return verdict, comparison


def record(gate: Gate, judged: Verdict, comparison: Comparison) -> str | None:
    """Record a verdict on the running test; return what to say where the test may not go on."""
    session, item = running_test(f"assert_{gate.name}")
    verdict = session.record(item, judged)
    if verdict.stands:
        return None
    slice = [verdict.slice] if verdict.slice else []
    name = "-".join([item.name, verdict.eval, verdict.model, verdict.metric, gate.name, *slice])
    lost = write_lost(gate.lost(comparison), session.project(item).config.folder, name)
    where = [f"  lost examples: {_from_here(lost)}"] if lost else []
    return printable("\n".join([*_told(verdict), *where]))


def _told(verdict: Verdict) -> list[str]:
    if verdict.outcome is not Outcome.INCONCLUSIVE:
        return [verdict.message]
    return [verdict.message, "  INCONCLUSIVE: the examples do not tell, which is not a pass"]


def _from_here(path: Path) -> str:
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)
