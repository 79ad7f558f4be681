"""The gates that did not pass as GitLab's code quality report, which a merge request shows.

https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pytest_distill.errors import one_line
from pytest_distill.report.records.report import Reason, Report

if TYPE_CHECKING:
    from pytest_distill.report.records.gates import GateRow

SEVERITIES = {"FAILED": "blocker", "INCONCLUSIVE": "critical", "NOT RUN": "major"}
ANSWERED_FOR = "info"
OF_THE_RUN = "major"
NO_FILE = "distill.yaml"
"""Where an entry about the whole run stands: GitLab asks for a file."""
LONGEST = 1000


@dataclass(frozen=True)
class _Entry:
    """One entry; `about` tells it apart from all others, and is the same in the next run."""

    about: tuple[str | None, ...]
    check: str
    description: str
    severity: str
    file: str
    line: int | None = None


def text(report: Report) -> str:
    """Return the file; it has no entry only for a SHIP without a gate that is answered for."""
    found = [*_of_the_run(report)]
    if report.gates:
        from pytest_distill.report.outcomes import did_not_pass  # knows the gates, numpy and all

        found += map(_of_a_gate, did_not_pass(report.gates))
    seen: Counter[tuple[str | None, ...]] = Counter()
    told = []
    for entry in found:
        told.append(
            {
                "description": one_line(entry.description)[:LONGEST],
                "check_name": one_line(entry.check)[:LONGEST],
                "fingerprint": _digest(entry.about, seen[entry.about]),
                "severity": entry.severity,
                "location": {
                    "path": one_line(entry.file),
                    "lines": {"begin": entry.line or 1},
                },
            }
        )
        seen[entry.about] += 1  # a test may ask the same gate twice
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def _of_the_run(report: Report) -> Iterator[_Entry]:
    """Yield what stands in the way of a SHIP and is no gate of the report."""
    if report.outcome == "SHIP":
        return
    gates = {row.nodeid for row in report.gates}
    file = next((row.config for row in report.gates if row.config), NO_FILE)
    for reason in report.reasons or (Reason(report.reason),):
        for name in reason.names or ("",):
            if name not in gates:
                told = ": ".join(part for part in (report.outcome, reason.text, name) if part)
                about = ("run", name or reason.text)
                yield _Entry(about, "pytest-distill", told, OF_THE_RUN, file)


def _of_a_gate(row: GateRow) -> _Entry:
    from pytest_distill.report.annotations import message
    from pytest_distill.report.outcomes import answered_for

    budget = [str(row.at_tokens)] if row.at_tokens else []
    of = (row.nodeid, row.gate, row.eval, row.metric, row.model, row.slice, row.criterion)
    about = (*of, *budget)
    return _Entry(
        about,
        row.gate or "pytest-distill",
        f"{'waived' if row.waived else row.outcome}: {message(row)}",
        ANSWERED_FOR if answered_for(row) else SEVERITIES[row.outcome],
        row.file or row.nodeid.partition("::")[0],
        row.line,
    )


def _digest(about: tuple[str | None, ...], number: int) -> str:
    told = json.dumps([*(part and one_line(part) for part in about), number])
    return hashlib.sha256(told.encode()).hexdigest()
