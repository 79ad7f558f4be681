"""What a run comes to: whether the student may ship, and what stands in the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from pytest_distill.errors import some_of
from pytest_distill.gates.all import GATES
from pytest_distill.gates.verdict import Outcome
from pytest_distill.report.examples import pair_rows
from pytest_distill.report.findings import Findings
from pytest_distill.report.gate_changes import gate_changes
from pytest_distill.report.outcomes import fell_short, names_of
from pytest_distill.report.records.comparisons import RetainedRow
from pytest_distill.report.records.gates import GateRow
from pytest_distill.report.records.record import record_of
from pytest_distill.report.records.report import JudgedRow, LooksRow, Reason, Report, Shipping
from pytest_distill.report.records.since import BaselineRow, GateChangeRow
from pytest_distill.report.share import Share
from pytest_distill.report.since import drift_sentences
from pytest_distill.report.worth import frontiers, sentences
from pytest_distill.statistics.multiple import each_of


class Ledger(Findings):
    """What one run found out, and what it comes to."""

    def report(self) -> Report:
        """Return all that the run found out, and what it comes to."""
        # One process may have evaluated the student and another one the SFT student.
        self.known.add(Share(pairs=[*pair_rows(self.side_by_side())]))
        known, gates, compared = self.known, self.gates(), self.compared()
        told = {note for gate in gates for note in gate.notes}
        outcome, reasons = self._decision(gates)
        scope = self._scope(gates) if outcome == "SHIP" else ()
        return Report(
            outcome=outcome,
            reason="; ".join(reason.text for reason in reasons),
            culprits=tuple(name for reason in reasons for name in reason.names),
            reasons=tuple(reasons),
            scope=scope,
            tally=_tally(gates),
            models=tuple(known.models),
            comparisons=tuple(compared),
            budgets=tuple(self.within_budgets()),
            evaluations=tuple(known.evaluations),
            figures=tuple(known.figures),
            frontiers=tuple(frontiers(compared, known.models, known.figures)),
            retained=tuple(_with_floor(row, gates) for row in known.retained),
            pairs=tuple(known.pairs),
            calibration=tuple(known.calibration),
            recommendations=tuple(known.recommendations),
            gates=tuple(gates),
            baselines=tuple(self._baselines()),
            changes=tuple(known.changes),
            gold_changes=tuple(known.gold_changes),
            gate_changes=tuple(self._gate_changes(gates)),
            looks=tuple(map(_looks, known.judged)),
            worth=tuple(sentences(gates, compared, known.models, known.recommendations)),
            remarks=tuple(remark for remark in known.remarks if remark not in told),
        )

    def _baselines(self) -> Iterator[BaselineRow]:
        """Yield the accepted runs, with what a teacher that has changed did.

        Only here, since one process may have evaluated the teacher and another one the student.
        """
        for row in self.known.baselines:
            drift = drift_sentences(self.known.changes, row.config)
            yield replace(row, notes=(*row.notes, *drift))

    def _gate_changes(self, gates: Sequence[GateRow]) -> Iterator[GateChangeRow]:
        for config, before in self.known.accepted_gates.items():
            now = [gate for gate in gates if gate.config in (config, None)]
            yield from gate_changes(config, before, now, self.scopes)

    def _decision(self, gates: Sequence[GateRow]) -> tuple[Shipping, list[Reason]]:
        """Return what the run comes to, and everything that stands in the way of a SHIP.

        Of a SHIP: what it is of, and how many failures are waived.
        """
        bad = [g for g in gates if fell_short(g)]
        problems = list(self._problems(gates))
        if bad:
            failed = f"{_count(bad, 'gate')} of {len(gates)} did not pass{self._whose(bad, gates)}"
            problems.insert(0, Reason(failed, tuple(g.nodeid for g in bad)))
        if not problems and not any(g.relation and not g.excused for g in gates):
            problems.append(Reason("no gate gave a verdict"))
        if problems:
            return ("DO NOT SHIP" if bad else "INCOMPLETE"), problems
        waived = sum(1 for g in gates if g.waived)
        said = [*self._scope(gates), f"{waived} waived" if waived else ""]
        excused = Counter(g.excused for g in gates if g.excused)
        said += [f"{n} NOT RUN: {why}" for why, n in excused.items()]
        return "SHIP", [Reason(text) for text in said if text]

    def _scope(self, gates: Sequence[GateRow]) -> tuple[str, ...]:
        """Return what a SHIP is of, where that is not all: files, projects, students."""
        whose = self._whose(gates, gates).strip(" ()")
        return tuple(part for part in (some_of(self.named), whose) if part)

    def _problems(self, gates: Sequence[GateRow]) -> Iterator[Reason]:
        """Yield what keeps a run from being whole beside gates that failed."""
        known = self.known
        yield from (Reason(trouble) for trouble in dict.fromkeys((*self.troubles, *known.late)))
        not_run = [g for g in gates if g.outcome is Outcome.NOT_RUN and not g.excused]
        # That a file could not be collected says already that its gates did not run.
        missing = [g for g in not_run if not _inside(g.nodeid, self.collection_errors)]
        if missing:
            text = f"{_count(missing, 'gate')} did not run{self._whose(missing, gates)}"
            yield Reason(text, tuple(g.nodeid for g in missing))
        yield from _reasons(known.skipped_files, "file", "skipped unread")
        yield from _reasons(dict.fromkeys(self.collection_errors), "file", "not collected")
        yield from _reasons(known.unreadable, "distill.yaml", "not readable")
        yield from (Reason(trouble) for trouble in known.broken_baselines)
        tests = tuple(name for name in self.named if "::" in name)
        if tests:
            yield Reason("only the tests named", tests)
        yield from _reasons(self._lacking(gates), "required gate", "did not pass")
        partial = next((e for e in known.evaluations if e.left_out), None)
        if partial is not None:
            n = partial.n or 0
            yield Reason(f"PARTIAL: {n} of {n + partial.left_out}")
        elif self.limit is not None:
            yield Reason(f"PARTIAL: at most {self.limit} examples a gold set")
        yield from _reasons(self.lost_workers, "worker", "lost")
        told = {g.nodeid for g in gates if g in not_run or fell_short(g)}
        red = (test for test in self.tests.values() if test.result in ("failed", "error"))
        yield from _reasons([t.nodeid for t in red if t.nodeid not in told], "test", "failed")

    def _whose(self, some: Sequence[GateRow], gates: Sequence[GateRow]) -> str:
        """Return whose gates some are, where a run has several projects or several students."""
        students = {(m.config, m.name) for m in self.known.models if m.role == "student"}
        projects = {g.config for g in gates if g.config}
        judged = {g.model for g in gates if g.model and (g.config, g.model) in students}
        parts = []
        if len(projects) > 1:
            parts.append(some_of(sorted({g.config for g in some if g.config})))
        if len(judged) > 1:
            names = sorted(judged.intersection(g.model for g in some if g.model))
            several = "s" if len(names) > 1 else ""
            parts.append(f"student{several} {some_of(names)}" if names else "")
        found = "; ".join(part for part in parts if part)
        return f" ({found})" if found else ""

    def _lacking(self, gates: Sequence[GateRow]) -> list[str]:
        """Return the required gates that have no verdict that passed."""
        return [
            name
            for config, names in self.known.required.items()
            for name in names
            if not any(
                (g.nodeid == name or (g.config == config and name in names_of(g)))
                and (g.waived or g.outcome is Outcome.PASSED)
                for g in gates
            )
        ]


def _looks(row: JudgedRow) -> LooksRow:
    students = max(1, len(row.students))  # this run's may have no digest
    return record_of(LooksRow, row, students=students, confidence=each_of(students))


def _with_floor(row: RetainedRow, gates: Sequence[GateRow]) -> RetainedRow:
    """Return what a model kept, with the strictest floor that a gate set for just that."""
    floors = [
        gate.required
        for gate in gates
        if gate.required is not None
        and gate.at_tokens is None
        and (gate.config, gate.eval, gate.metric, gate.model)
        == (row.config, row.eval, row.metric, row.model)
        and _sets_a_floor(gate, row.slice)
    ]
    return replace(row, floor=max(floors, default=None))


def _sets_a_floor(gate: GateRow, slice: str | None) -> bool:
    """Return whether a gate asks something of what is retained on a slice, or on all examples."""
    if gate.gate is not None and GATES[gate.gate].retention_floor:
        return gate.slice == slice
    return any(each["slice"] == slice for each in gate.details.get("slices", ()))


def _tally(gates: Sequence[GateRow]) -> tuple[str, ...]:
    """Return how many gates passed, and what became of the others."""
    if not gates:
        return ()
    waived = [g for g in gates if g.waived]
    others = Counter(str(g.outcome) for g in gates if not g.waived)
    passed = f"{others.pop('PASSED', 0)} of {_count(gates, 'gate')} passed"
    rest = [f"{others[kind]} {kind}" for kind in map(str, Outcome) if kind in others]
    return passed, *rest, *([f"{len(waived)} waived"] if waived else [])


def _inside(nodeid: str, collectors: Iterable[str]) -> bool:
    return any(nodeid == name or nodeid.startswith(f"{name}::") for name in collectors)


def _reasons(names: Collection[str], what: str, happened: str) -> Iterator[Reason]:
    """Yield that something happened to these; nothing where there are none."""
    if names:
        yield Reason(f"{_count(names, what)} {happened}", tuple(names))


def _count(found: Collection[object], what: str) -> str:
    return f"{len(found)} {what}{'' if len(found) == 1 else 's'}"
