"""Verdicts and test results of one run -> may the student ship? Built-in types only."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Literal

from pytest_distill.errors import some_of
from pytest_distill.verdicts.numbers import kept, rounded_down
from pytest_distill.verdicts.verdict import Evidence, Outcome


@dataclass(frozen=True)
class Decision:
    """What a run comes to.

    Parameters
    ----------
    outcome : {"SHIP", "DO NOT SHIP", "INCOMPLETE"}
        SHIP only when every gate ran and passed, and nothing else went wrong.
    reason : str
        Why it is not SHIP.
    culprits : list of str
        The node ids that are the reason.
    """

    outcome: Literal["SHIP", "DO NOT SHIP", "INCOMPLETE"]
    reason: str = ""
    culprits: list[str] = field(default_factory=list)


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
        How it ended: ``passed``, ``failed`` (an assertion), ``error`` (anything else that went
        wrong), ``skipped``, ``xfailed``; None as long as it has not ended.
    verdicts : list of dict
        As `Verdict.to_dict` gives them.
    looked : bool
        Whether it took something of a model, its own assertions then being about that.
    position : float
        Which of the collected gate tests it is; infinite where collection did not know it as one.
    """

    __test__ = False

    gate_test: bool = False
    result: str | None = None
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    looked: bool = False
    position: float = math.inf


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
                    _merge(same, row)
            rows.sort(key=lambda row: (row["config"], row["order"]))

    def compared(self) -> list[dict[str, Any]]:
        """Return the comparisons with their scores as floats, and what each student retained.

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
            name: kept(score, teacher, row["higher_is_better"])
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
        """Return one row a verdict, and one for every gate test without: what it came to."""
        rows: list[dict[str, Any]] = []
        for nodeid, test in sorted(self.tests.items(), key=lambda pair: pair[1].position):
            rows += [{"nodeid": nodeid, **verdict} for verdict in test.verdicts]
            if test.gate_test and not test.verdicts:
                rows.append(_without_verdict(nodeid, test))
        return rows

    def decision(self) -> Decision:
        """Return what the run comes to."""
        gates = self.gates()
        waived = sum(1 for g in gates if g["waived"])
        bad = [g["nodeid"] for g in gates if not g["waived"] and g["outcome"] in NOT_PASSED]
        if bad:
            return Decision(
                "DO NOT SHIP", f"{_count(bad, 'gate')} of {len(gates)} did not pass", bad
            )
        missing = [g["nodeid"] for g in gates if g["outcome"] == Outcome.NOT_RUN]
        if missing:
            return Decision("INCOMPLETE", f"{_count(missing, 'gate')} did not run", missing)
        if self.skipped_files:
            count = _count(self.skipped_files, "file")
            return Decision("INCOMPLETE", f"{count} skipped unread", self.skipped_files)
        if self.collection_errors:
            count = _count(self.collection_errors, "file")
            return Decision("INCOMPLETE", f"{count} not collected", self.collection_errors)
        if self.unreadable:
            count = _count(self.unreadable, "distill.yaml")
            return Decision("INCOMPLETE", f"{count} not readable", self.unreadable)
        tests = [name for name in self.named if "::" in name]
        if tests:
            return Decision("INCOMPLETE", "only the tests named", tests)
        lacking = self._lacking(gates)
        if lacking:
            count = _count(lacking, "required gate")
            return Decision("INCOMPLETE", f"{count} did not pass", lacking)
        partial = next((e for e in self.evaluations if e["left_out"]), None)
        if partial is not None:
            whole = partial["n"] + partial["left_out"]
            return Decision("INCOMPLETE", f"PARTIAL: {partial['n']} of {whole}")
        broken = [n for n, t in self.tests.items() if t.result in ("failed", "error")]
        if broken:
            return Decision("INCOMPLETE", f"{_count(broken, 'test')} failed", broken)
        if not any(test.verdicts for test in self.tests.values()):
            return Decision("INCOMPLETE", "no gate gave a verdict")
        about = [some_of(self.named), f"{waived} waived" if waived else ""]
        return Decision("SHIP", "; ".join(part for part in about if part))

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


def _without_verdict(nodeid: str, test: TestRecord) -> dict[str, Any]:
    outcomes = {"passed": Outcome.PASSED if test.looked else None, "failed": Outcome.FAILED}
    outcome = outcomes.get(test.result or "") or Outcome.NOT_RUN
    known = ("config", "eval", "metric", "model", "observed", "required", "relation", "n", "slice")
    nothing = dict.fromkeys((*known, "confidence", *Evidence().to_dict()))
    why = ASKED_NOTHING if test.result == "passed" else test.result or "did not run"
    return {
        "nodeid": nodeid,
        "gate": OWN_ASSERTION if outcome != Outcome.NOT_RUN else None,
        **nothing,
        "notes": [] if outcome != Outcome.NOT_RUN else [why],
        "basis": "",
        "message": "",
        "waived": None,
        "unit": "",
        "criterion": None,
        "outcome": str(outcome),
    }


def _same_row(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    names = ("config", "name", "model", "eval", "metric", "criterion")
    keys = [k for k in names if k in a or k in b]
    return all(a.get(k) == b.get(k) for k in keys)


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


def _count(found: Sequence[str], what: str) -> str:
    return f"{len(found)} {what}{'' if len(found) == 1 else 's'}"
