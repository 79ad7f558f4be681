"""From a test's attempts to the rows of its gates: what failed once stays failed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

from pytest_distill.evals.tasks.repeats import budget_text
from pytest_distill.gates.verdict import Outcome, called
from pytest_distill.report.attempt import Attempt, TestRun
from pytest_distill.report.records.gates import GateRow

OWN_ASSERTION = "own_assertion"
"""The gate of a gate test that asserts something of its own of a model, and asks no gate."""

ASKED_NOTHING = "asked no gate and looked at no model"
"""Why a gate test that passed did not run: it asserted nothing that a student must meet."""

Rows = dict[tuple[object, ...], GateRow]
"""What tells a test's gates apart, and finds them again in another attempt -> the gate."""


def fell_short(row: GateRow) -> bool:
    """Return whether a gate failed or was inconclusive, and is not waived."""
    return row.outcome in (Outcome.FAILED, Outcome.INCONCLUSIVE) and not row.waived


def answered_for(row: GateRow) -> bool:
    """Return whether a gate that did not pass is waived or excused, and so in no SHIP's way."""
    return row.waived is not None or row.excused is not None


def did_not_pass(gates: Iterable[GateRow]) -> list[GateRow]:
    """Return the gates that did not pass, the worst first, else as they stand.

    FAILED first, and of those last the ones that are within noise; then INCONCLUSIVE, NOT RUN, and
    those that somebody answers for.
    """
    worse = (Outcome.FAILED, Outcome.INCONCLUSIVE, Outcome.NOT_RUN)

    def place(row: GateRow) -> tuple[bool, int, bool]:
        return answered_for(row), worse.index(row.outcome), row.firm is False

    return sorted((row for row in gates if row.outcome in worse), key=place)


def subject_of(row: GateRow) -> str:
    """Return what a gate looked at."""
    parts = (row.eval, row.metric, budget_text(row.at_tokens), row.slice, row.model)
    return ", ".join(part for part in parts if part)


def why(row: GateRow) -> list[str]:
    """Return who answers for a failure, what it rests on, what is suspicious about it.

    Of a gate that did not run, why.
    """
    notes = row.doubts if row.relation else row.notes
    return [part for part in (row.waived, ", ".join(row.facts), *notes) if part]


def names_of(row: GateRow) -> set[str]:
    """Return what a requirement may call a gate: its name, with its eval or without."""
    names = (str(row.gate), f"{row.gate}({row.eval})")
    return {called(name, row.at_tokens) for name in names}


def may_be_repeated(row: GateRow, allowed: bool | Collection[str]) -> bool:
    """Return whether `allow_reruns` lets a later attempt count in place of this one."""
    return allowed if isinstance(allowed, bool) else bool({row.nodeid, *names_of(row)} & {*allowed})


def run_rows(run: TestRun, excused: Callable[[GateRow], bool]) -> list[GateRow]:
    """Return the rows of a test's last attempt; what failed in an earlier one stays failed.

    Parameters
    ----------
    run : TestRun
        With at least one attempt.
    excused : callable
        Whether a later attempt counts in place of one that fell short.
    """
    *earlier, last = (_attempt_rows(attempt, run) for attempt in run.attempts)
    if not earlier:
        return list(last.values())
    n = len(run.attempts)
    broke = any(r.outcome is Outcome.NOT_RUN for rows in earlier for r in rows.values())
    on_last = f"on attempt {n} of {n}{', NOT RUN before' if broke else ''}"
    rows = {key: _noted(row, f"{_word(row)} {on_last}") for key, row in last.items()}
    for number, rows_before in enumerate(earlier, start=1):
        for key, row in rows_before.items():
            now = rows.get(key)
            if not fell_short(row) or (now is not None and fell_short(now)):
                continue
            if now is not None:
                note = f"{_word(last[key])} {on_last}, {row.outcome} before"
                rows[key] = _noted(last[key] if excused(row) else row, note)
            elif not excused(row):
                rows[key] = _noted(row, f"{row.outcome} on attempt {number} of {n}")
    return list(rows.values())


def end_row(run: TestRun, ended: str | None, why: str = "") -> GateRow:
    """Return the row of a gate test whose own end counts."""
    own = {"passed": Outcome.PASSED, "failed": Outcome.FAILED}
    outcome = own.get(ended or "", Outcome.NOT_RUN)
    notes = (why,) if ended in own else (ended or "did not run", why)
    gate = OWN_ASSERTION if ended in own else None
    return GateRow(
        run.nodeid,
        run.config,
        gate,
        outcome,
        file=run.file,
        line=run.line,
        notes=tuple(note for note in notes if note),
    )


def _attempt_rows(attempt: Attempt, run: TestRun) -> Rows:
    """Return a row for every gate that was asked, and for an end that no gate explains."""
    rows: Rows = {}
    for row in attempt.verdicts:
        key = (row.gate, row.eval, row.metric, row.model, row.slice, row.criterion, row.at_tokens)
        _add(rows, key, replace(row, nodeid=run.nodeid))
    for error in attempt.errors:
        row = GateRow(
            run.nodeid,
            run.config,
            error.gate,
            Outcome.NOT_RUN,
            criterion=error.criterion,
            file=run.file,
            line=error.line or run.line,
            notes=(error.why,),
        )
        _add(rows, (error.gate, error.criterion), row)
    ended, why = attempt.ended
    explained = bool(attempt.errors) or any(map(fell_short, attempt.verdicts))
    if ended == "passed" and not attempt.verdicts and not attempt.errors:
        ended, why = (ended if attempt.looked else ASKED_NOTHING), ""
    elif ended == "passed" or (ended not in (None, "skipped") and explained):
        return rows
    _add(rows, (OWN_ASSERTION,), end_row(run, ended, why))
    return rows


def _add(rows: Rows, key: tuple[object, ...], row: GateRow) -> None:
    """Add a row; a test may ask the same gate twice."""
    asked = sum(1 for known in rows if known[:-1] == key)
    rows[*key, asked] = row


def _word(row: GateRow) -> str:
    return "passed" if row.outcome is Outcome.PASSED else str(row.outcome)


def _noted(row: GateRow, note: str) -> GateRow:
    return replace(row, notes=(*row.notes, note))
