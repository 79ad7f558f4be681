"""Which gates were added, removed, loosened or tightened since the accepted run."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Sequence
from dataclasses import replace

from pytest_distill._util.format import limit_text, percent_text
from pytest_distill.comparison.baseline.file import AcceptedGate
from pytest_distill.errors import one_line
from pytest_distill.evals.tasks.repeats import budget_text
from pytest_distill.gates.verdict import Outcome
from pytest_distill.report.records.gates import GateRow
from pytest_distill.report.records.record import grouped, record_of
from pytest_distill.report.records.since import GateChangeRow


def accepted_gates(rows: Sequence[GateRow]) -> list[AcceptedGate]:
    """Return the gates of some rows as an accepted run keeps them; without those that did not run.

    One that is excused asks all the same: its number alone was not there yet. Where a number is
    infinite or not known there is none.
    """
    return [
        record_of(AcceptedGate, row, waived=row.waived is not None, gate=str(row.gate))
        for row in rows
        if not _not_known(row)
    ]


def gate_changes(
    config: str,
    before: Sequence[AcceptedGate],
    now: Sequence[GateRow],
    scopes: Sequence[str] = (),
) -> list[GateChangeRow]:
    """Return what has changed of the gates.

    Parameters
    ----------
    config : str
        The shown path of the ``distill.yaml``.
    before : sequence of AcceptedGate
        Of the accepted run.
    now : sequence of GateRow
        Of this run, those that did not run too: of their tests nothing is told to be removed.
    scopes : sequence of str
        What this run was of, where it was not of all, as node ids begin.
    """
    unknown = {row.nodeid for row in now if _not_known(row)}

    def of_this_run(nodeid: str) -> bool:
        return not scopes or any(_inside(nodeid, scope) for scope in scopes)

    # Paired before any is left out: else a gate that asks less now would be told as a new one.
    return [
        replace(row, config=config)
        for row in changes_between(before, accepted_gates(now))
        if row.change != "removed" or (row.nodeid not in unknown and of_this_run(row.nodeid))
    ]


def changes_between(
    before: Sequence[AcceptedGate], now: Sequence[AcceptedGate]
) -> list[GateChangeRow]:
    """Return what has changed between the gates of two runs, the loosened and removed ones first.

    Gates are the same by their test, kind, eval, metric, slice, criterion and budget; of several
    such by what they ask, then by their model, else by their order.
    """
    olds, news = grouped(before, _key), grouped(now, _key)
    found = [
        row
        for key in dict.fromkeys((*olds, *news))
        for row in _changed(olds.get(key, []), news.get(key, []))
    ]
    order = ("removed", "lowered", "added", "raised")
    return sorted(found, key=lambda row: order.index(row.change))


def _not_known(row: GateRow) -> bool:
    """Return whether a test did not run, so that what it asks is not known."""
    return row.outcome is Outcome.NOT_RUN and row.excused is None


def _key(g: AcceptedGate) -> tuple[str | int | None, ...]:
    return (g.nodeid, g.gate, g.eval, g.metric, g.slice, g.criterion, g.at_tokens)


def _changed(olds: list[AcceptedGate], news: list[AcceptedGate]) -> Iterator[GateChangeRow]:
    for old in [gate for gate in olds if gate in news]:
        if old in news:
            olds.remove(old)
            news.remove(old)
    for old in list(olds):
        new = next((new for new in news if new.model == old.model), None)
        if new is not None:
            olds.remove(old)
            news.remove(new)
            yield from _compared(old, new)
    for old, new in zip(list(olds), list(news), strict=False):
        olds.remove(old)
        news.remove(new)
        yield from _compared(old, new)
    yield from (_row(old, "removed", required_text(old), "") for old in olds)
    yield from (_row(new, "added", "", required_text(new)) for new in news)


def _compared(old: AcceptedGate, new: AcceptedGate) -> Iterator[GateChangeRow]:
    steps = [*_steps(old, new)]
    if steps:
        change = "lowered" if min(steps) < 0 else "raised"
        yield _row(new, change, required_text(old), required_text(new))


def _steps(old: AcceptedGate, new: AcceptedGate) -> Iterator[int]:
    """Yield for each part of what is required that differs: -1 where it is looser now, else 1."""
    if old.waived != new.waived:
        yield -1 if new.waived else 1
    if (old.confidence or 0) != (new.confidence or 0):
        yield -1 if (new.confidence or 0) < (old.confidence or 0) else 1
    if old.required is None or new.required is None:
        return
    upward = old.relation in (">=", ">")
    if upward != (new.relation in (">=", ">")):
        yield -1  # another question: which of the two is stricter can't be told
    elif old.required != new.required:
        yield 1 if (new.required > old.required) is upward else -1
    elif old.relation != new.relation:
        yield 1 if new.relation == ">" else -1


def _row(gate: AcceptedGate, change: str, before: str, now: str) -> GateChangeRow:
    budget = budget_text(gate.at_tokens)
    of = [gate.eval, gate.metric, budget, gate.slice, gate.model, gate.criterion]
    about = ", ".join(one_line(part) for part in of if part)
    return GateChangeRow(
        config="",
        nodeid=gate.nodeid,
        about=f"{gate.gate}{f' ({about})' if about else ''}",
        change=change,  # type: ignore[arg-type]
        before=before,
        now=now,
    )


def required_text(gate: AcceptedGate) -> str:
    """Return what a gate requires: ``>= 0.95 at 95 % confidence``."""
    parts = []
    if gate.relation is not None and gate.required is not None:
        parts.append(f"{gate.relation} {limit_text(gate.required, gate.unit)}")
    if gate.confidence is not None:
        parts.append(f"at {percent_text(gate.confidence)} confidence")
    if gate.waived:
        parts.append("waived")
    return " ".join(parts) or "its own assertion"


def _inside(nodeid: str, name: str) -> bool:
    path, colons, test = name.partition("::")
    name = f"{posixpath.normpath(path)}{colons}{test}"
    return name in (".", nodeid) or nodeid.startswith((f"{name}::", f"{name}/", f"{name}["))
