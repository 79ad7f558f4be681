"""Verdicts and test results of one run -> may the student ship? Built-in types only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

from pytest_distill._util.numbers import retained_share, rounded_down
from pytest_distill.errors import some_of
from pytest_distill.gates.verdict import Evidence, Outcome
from pytest_distill.report.attempt import Attempt, TestRun


@dataclass(frozen=True)
class Decision:
    """What a run comes to.

    Parameters
    ----------
    outcome : {"SHIP", "DO NOT SHIP", "INCOMPLETE"}
        SHIP only when every gate ran and passed, and nothing else went wrong.
    parts : tuple of (str, tuple of str)
        Everything that stands in its way, in words, with the node ids or files that it is about.
        Of a SHIP: what it is of, and how many failures are waived.
    """

    outcome: Literal["SHIP", "DO NOT SHIP", "INCOMPLETE"]
    parts: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def reason(self) -> str:
        """The words of all parts."""
        return "; ".join(text for text, _ in self.parts)

    @property
    def culprits(self) -> list[str]:
        """The node ids and files of all parts."""
        return [name for _, names in self.parts for name in names]


SUMMARY = ("models", "comparisons", "evaluations", "figures", "recommendations")
"""What each process tells of its models, beside the reports of its tests."""

NOT_PASSED = (Outcome.FAILED, Outcome.INCONCLUSIVE)

OWN_ASSERTION = "own_assertion"
"""The gate of a gate test that asserts something of its own of a model, and asks no gate."""

ASKED_NOTHING = "asked no gate and looked at no model"
"""Why a gate test that passed did not run: it asserted nothing that a student must meet."""


@dataclass
class TestRecord:
    """What is known of one test.

    Parameters
    ----------
    gate_test : bool
        Whether it carries the marker, requests `comparison`, or asked a gate.
    result : str, optional
        How it ended by pytest's reports: ``passed``, ``failed`` (an assertion), ``error`` (anything
        else that went wrong), ``skipped``, ``xfailed``; None as long as it has not ended.
    runs : dict
        What it asked by its own record, one for each turn: another worker's, an item of the same
        node id.
    position : float
        Which of the collected gate tests it is; infinite where collection did not know it as one.
    """

    __test__ = False

    gate_test: bool = False
    result: str | None = None
    runs: dict[str, TestRun] = field(default_factory=dict)
    position: float = math.inf

    def take(self, name: str, run: TestRun) -> None:
        """Take in what one turn of the test has come to so far."""
        known = self.runs.get(name, TestRun())
        if run.attempts and len(run.attempts) >= len(known.attempts):
            self.gate_test = True
            self.runs[name] = run


@dataclass
class Ledger:
    """Everything that one run found out.

    The gates stand in the order in which their tests were collected, whoever ran them.
    """

    tests: dict[str, TestRecord] = field(default_factory=dict)
    collection_errors: list[str] = field(default_factory=list)
    skipped_files: list[str] = field(default_factory=list)
    """Files under a ``distill.yaml`` of which nobody knows what gates they have."""
    remarks: list[str] = field(default_factory=list)
    """What to know of files that were skipped or left out."""
    named: list[str] = field(default_factory=list)
    """The files, folders and tests that the command line names, where it names any."""
    models: list[dict[str, Any]] = field(default_factory=list)
    comparisons: list[dict[str, Any]] = field(default_factory=list)
    """As processes tell them, scores as exact fractions in text; `compared` is for reports."""
    evaluations: list[dict[str, Any]] = field(default_factory=list)
    figures: list[dict[str, Any]] = field(default_factory=list)
    """What was measured of a model on an eval's examples: latency, throughput, memory."""
    recommendations: list[dict[str, Any]] = field(default_factory=list)
    """The smallest student that meets a criterion, where a test asked for it."""
    required: dict[str, list[str]] = field(default_factory=dict)
    """Path of a ``distill.yaml`` -> gate names and node ids that must have passed."""
    unreadable: list[str] = field(default_factory=list)
    """Paths of ``distill.yaml`` files of which nobody knows what they require."""
    allow_reruns: dict[str, bool | list[str]] = field(default_factory=dict)
    """Path of a ``distill.yaml`` -> what a later attempt may excuse: all gates, or these."""
    limit: int | None = None
    """At most how many examples of each gold set were looked at."""
    lost_workers: list[str] = field(default_factory=list)
    """xdist workers that ended without a word of what they found out."""
    troubles: list[str] = field(default_factory=list)
    """What else kept the run from being whole: an interruption, a gate that was asked too late."""

    def test(self, nodeid: str) -> TestRecord:
        """Return the record of a test, a new one where there is none yet."""
        return self.tests.setdefault(nodeid, TestRecord())

    def expect(self, nodeids: Iterable[str]) -> None:
        """Remember that these are gate tests, whether they run or not."""
        for position, nodeid in enumerate(nodeids):
            test = self.test(nodeid)
            test.gate_test = True
            test.position = position

    def add_remarks(self, skipped: Iterable[str], remarks: Iterable[str]) -> None:
        """Take in what one process did not look into; each of several tells the same."""
        self.skipped_files = list(dict.fromkeys([*self.skipped_files, *skipped]))
        self.remarks = list(dict.fromkeys([*self.remarks, *remarks]))

    def add_summary(self, summary: Mapping[str, Any]) -> None:
        """Take in what one process found out; what another one told already is not told twice.

        Rows stand in the order of ``distill.yaml``, whichever process ends first.
        """
        for key in SUMMARY:
            rows: list[dict[str, Any]] = getattr(self, key)
            for row in summary.get(key, ()):
                same = next((r for r in rows if _same_row(r, row)), None)
                if same is None:
                    rows.append(row)
                else:
                    if key == "models" and _other_bytes(same, row):
                        self.troubles.append(f"model '{row['name']}' not the same in all workers")
                    _merge(same, row)
            rows.sort(key=lambda row: (row["config"], row["order"]))

    def compared(self) -> list[dict[str, Any]]:
        """Return the comparisons with their scores as floats, and what each student retained.

        That may be infinite, where lower is better and a student makes no error.

        Only here, since one process may have evaluated the teacher and another one the student.
        """
        return [self._with_retained(row) for row in self.comparisons]

    def _with_retained(self, row: dict[str, Any]) -> dict[str, Any]:
        roles = {m["name"]: m["role"] for m in self.models if m["config"] == row["config"]}
        order = {name: position for position, name in enumerate(roles)}
        given = sorted(row["scores"].items(), key=lambda pair: order.get(pair[0], len(order)))
        scores = {name: Fraction(score) for name, score in given}
        teacher = next((s for name, s in scores.items() if roles.get(name) == "teacher"), None)
        ratios = {
            name: retained_share(score, teacher, row["higher_is_better"])
            for name, score in scores.items()
            if teacher is not None and roles.get(name) != "teacher"
        }
        return row | {
            "scores": {name: float(score) for name, score in scores.items()},
            "retained": {
                n: rounded_down(ratio) for n, ratio in ratios.items() if ratio is not None
            },
        }

    def gates(self) -> list[dict[str, Any]]:
        """Return a row for every gate that was asked, and for every gate test without one."""
        rows: list[dict[str, Any]] = []
        for nodeid, test in sorted(self.tests.items(), key=lambda pair: pair[1].position):
            for run in test.runs.values():
                rows += [{"nodeid": nodeid, **row} for row in self._run_rows(nodeid, run)]
            if test.gate_test and not test.runs:
                ended = ASKED_NOTHING if test.result == "passed" else test.result
                rows.append({"nodeid": nodeid, **_end_row(ended, None)})
        return rows

    def _run_rows(self, nodeid: str, run: TestRun) -> list[dict[str, Any]]:
        """Return the rows of a test's last attempt; what failed in an earlier one stays failed."""
        *earlier, last = (_attempt_rows(attempt, run.config) for attempt in run.attempts)
        if not earlier:
            return list(last.values())
        n = len(run.attempts)
        broke = any(r["outcome"] == Outcome.NOT_RUN for rows in earlier for r in rows.values())
        on_last = f"on attempt {n} of {n}{', NOT RUN before' if broke else ''}"
        rows = {key: _noted(row, f"{_word(row)} {on_last}") for key, row in last.items()}
        for number, rows_before in enumerate(earlier, start=1):
            for key, row in rows_before.items():
                now = rows.get(key)
                if not _short(row) or (now is not None and _short(now)):
                    continue
                excused = self._excused(nodeid, row)
                if now is not None:
                    note = f"{_word(last[key])} {on_last}, {row['outcome']} before"
                    rows[key] = _noted(last[key] if excused else row, note)
                elif not excused:
                    rows[key] = _noted(row, f"{row['outcome']} on attempt {number} of {n}")
        return list(rows.values())

    def _excused(self, nodeid: str, row: Mapping[str, Any]) -> bool:
        """Return whether a later attempt counts in place of this one."""
        allowed = self.allow_reruns.get(row["config"] or "", False)
        if isinstance(allowed, bool):
            return allowed
        return bool({nodeid, *_names(row)} & set(allowed))

    def decision(self) -> Decision:
        """Return what the run comes to; the reason names everything that stands in its way."""
        gates = self.gates()
        waived = sum(1 for g in gates if g["waived"])
        bad = [g for g in gates if _short(g)]
        problems = list(self._problems(gates))
        if bad:
            failed = f"{_count(bad, 'gate')} of {len(gates)} did not pass{self._whose(bad, gates)}"
            problems.insert(0, (failed, [g["nodeid"] for g in bad]))
        if not problems and not any(g["relation"] for g in gates):
            problems.append(("no gate gave a verdict", []))
        if problems:
            parts = tuple((text, tuple(names)) for text, names in problems)
            return Decision("DO NOT SHIP" if bad else "INCOMPLETE", parts)
        whose = self._whose(gates, gates).strip(" ()")
        said = [some_of(self.named), whose, f"{waived} waived" if waived else ""]
        return Decision("SHIP", tuple((text, ()) for text in said if text))

    def _problems(self, gates: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, list[str]]]:
        """Yield what keeps a run from being whole beside gates that failed: words, and names."""
        for trouble in dict.fromkeys(self.troubles):
            yield trouble, []
        not_run = [g for g in gates if g["outcome"] == Outcome.NOT_RUN]
        # That a file could not be collected says already that its gates did not run.
        missing = [g for g in not_run if not _inside(g["nodeid"], self.collection_errors)]
        if missing:
            text = f"{_count(missing, 'gate')} did not run{self._whose(missing, gates)}"
            yield text, [g["nodeid"] for g in missing]
        if self.skipped_files:
            yield f"{_count(self.skipped_files, 'file')} skipped unread", self.skipped_files
        if self.collection_errors:
            errors = list(dict.fromkeys(self.collection_errors))
            yield f"{_count(errors, 'file')} not collected", errors
        if self.unreadable:
            yield f"{_count(self.unreadable, 'distill.yaml')} not readable", self.unreadable
        tests = [name for name in self.named if "::" in name]
        if tests:
            yield "only the tests named", tests
        lacking = self._lacking(gates)
        if lacking:
            yield f"{_count(lacking, 'required gate')} did not pass", lacking
        partial = next((e for e in self.evaluations if e["left_out"]), None)
        if partial is not None:
            yield f"PARTIAL: {partial['n']} of {partial['n'] + partial['left_out']}", []
        elif self.limit is not None:
            yield f"PARTIAL: at most {self.limit} examples a gold set", []
        if self.lost_workers:
            yield f"{_count(self.lost_workers, 'worker')} lost", self.lost_workers
        told = {g["nodeid"] for g in gates if g in not_run or _short(g)}
        broken = [
            n for n, t in self.tests.items() if t.result in ("failed", "error") and n not in told
        ]
        if broken:
            yield f"{_count(broken, 'test')} failed", broken

    def _whose(self, some: Sequence[Mapping[str, Any]], gates: Sequence[Mapping[str, Any]]) -> str:
        """Return whose gates some are, where a run has several projects or several students."""
        students = {(m["config"], m["name"]) for m in self.models if m["role"] == "student"}
        projects = {g["config"] for g in gates if g["config"]}
        judged = {g["model"] for g in gates if (g["config"], g["model"]) in students}
        parts = []
        if len(projects) > 1:
            parts.append(some_of(sorted({g["config"] for g in some if g["config"]})))
        if len(judged) > 1:
            names = sorted({g["model"] for g in some} & judged)
            several = "s" if len(names) > 1 else ""
            parts.append(f"student{several} {some_of(names)}" if names else "")
        found = "; ".join(part for part in parts if part)
        return f" ({found})" if found else ""

    def _lacking(self, gates: Sequence[Mapping[str, Any]]) -> list[str]:
        """Return the required gates that have no verdict that passed."""
        return [
            name
            for config, names in self.required.items()
            for name in names
            if not any(
                (g["nodeid"] == name or (g["config"] == config and name in _names(g)))
                and (g["waived"] or g["outcome"] == Outcome.PASSED)
                for g in gates
            )
        ]


def _names(gate: Mapping[str, Any]) -> tuple[str, str]:
    """Return what a requirement may call a gate: its name, with its eval or without."""
    return gate["gate"], f"{gate['gate']}({gate['eval']})"


Key = tuple[object, ...]


def _attempt_rows(attempt: Attempt, config: str | None) -> dict[Key, dict[str, Any]]:
    """Return a row for every gate that was asked, and for an end that no gate explains."""
    rows: dict[Key, dict[str, Any]] = {}
    for verdict in attempt.verdicts:
        _add(rows, tuple(verdict[part] for part in _IDENTITY), verdict)
    for error in attempt.errors:
        _add(rows, (error["gate"],), _row(error["gate"], Outcome.NOT_RUN, config, [error["why"]]))
    ended, why = attempt.ended
    explained = bool(attempt.errors) or any(_short(verdict) for verdict in attempt.verdicts)
    if ended == "passed" and not attempt.verdicts and not attempt.errors:
        _add(rows, (OWN_ASSERTION,), _end_row(ended if attempt.looked else ASKED_NOTHING, config))
    elif ended != "passed" and (ended in (None, "skipped") or not explained):
        _add(rows, (OWN_ASSERTION,), _end_row(ended, config, why))
    return rows


_IDENTITY = ("gate", "eval", "metric", "model", "slice", "criterion")
"""What tells a test's gates apart, and finds them again in another attempt."""


def _add(rows: dict[Key, dict[str, Any]], key: Key, row: dict[str, Any]) -> None:
    """Add a row; a test may ask the same gate twice."""
    asked = sum(1 for known in rows if known[:-1] == key)
    rows[*key, asked] = row


def _end_row(ended: str | None, config: str | None, why: str = "") -> dict[str, Any]:
    """Return the row of a gate test whose own end counts."""
    outcomes = {"passed": Outcome.PASSED, "failed": Outcome.FAILED}
    outcome = outcomes.get(ended or "", Outcome.NOT_RUN)
    own = outcome != Outcome.NOT_RUN
    notes = [why] if own else [ended or "did not run", why]
    return _row(OWN_ASSERTION if own else None, outcome, config, [note for note in notes if note])


def _row(
    gate: str | None, outcome: Outcome, config: str | None, notes: list[str]
) -> dict[str, Any]:
    known = ("eval", "metric", "model", "observed", "required", "relation", "n", "slice")
    return {
        "config": config,
        "gate": gate,
        **dict.fromkeys((*known, "confidence", *Evidence().to_dict())),
        "infinite": False,
        "notes": notes,
        "basis": "",
        "message": "",
        "waived": None,
        "unit": "",
        "criterion": None,
        "outcome": str(outcome),
    }


def _inside(nodeid: str, collectors: Iterable[str]) -> bool:
    return any(nodeid == name or nodeid.startswith(f"{name}::") for name in collectors)


def _short(row: Mapping[str, Any]) -> bool:
    """Return whether a gate failed or was inconclusive, and nobody answers for it."""
    return row["outcome"] in NOT_PASSED and not row["waived"]


def _word(row: Mapping[str, Any]) -> str:
    return "passed" if row["outcome"] == Outcome.PASSED else str(row["outcome"])


def _noted(row: Mapping[str, Any], note: str) -> dict[str, Any]:
    return {**row, "notes": [*row["notes"], note]}


def _same_row(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    names = ("config", "name", "model", "eval", "metric", "criterion")
    keys = [k for k in names if k in a or k in b]
    return all(a.get(k) == b.get(k) for k in keys)


def _other_bytes(model: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Return whether two processes loaded other bytes as one model of ``distill.yaml``."""
    digests = {row.get("digest") for row in (model, other)} - {None}
    return len(digests) > 1 and "fixture" not in (model.get("engine"), other.get("engine"))


def _merge(row: dict[str, Any], other: Mapping[str, Any]) -> None:
    """Add what another process knows of the same comparison: its models need not be the same."""
    if row.get("evaluated") is not None and other.get("evaluated") is not None:
        # What one worker made, the others found in the store.
        row["evaluated"] = max(row["evaluated"], other["evaluated"])
        row["from_store"] = (row["n"] or 0) - row["evaluated"]
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(row.get(key), dict):
            row[key] |= value
        elif key == "notes":
            row[key] = list(dict.fromkeys((*row[key], *value)))
        elif row.get(key) is None:
            row[key] = value


def _count(found: Sequence[object], what: str) -> str:
    return f"{len(found)} {what}{'' if len(found) == 1 else 's'}"
