"""The report as JSON, for machines: unrounded numbers, written whole or not at all."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pytest_distill.files import write_atomically
from pytest_distill.verdicts.ledger import Ledger
from pytest_distill.verdicts.worth import frontiers

SCHEMA = 1


def as_dict(ledger: Ledger) -> dict[str, Any]:
    """Return the report in the shape that ``docs/report.md`` describes."""
    decision = ledger.decision()
    return {
        "schema": SCHEMA,
        "outcome": decision.outcome,
        "reason": decision.reason,
        "culprits": decision.culprits,
        "models": _told(ledger.models),
        "comparisons": _told(ledger.compared()),
        "evaluations": _told(ledger.evaluations),
        "figures": _told(ledger.figures),
        "frontiers": [asdict(frontier) for frontier in frontiers(ledger)],
        "recommendations": _told(ledger.recommendations),
        "gates": ledger.gates(),
        "remarks": ledger.remarks,
    }


def _told(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "order"} for row in rows]


def write_json(path: Path, ledger: Ledger) -> None:
    """Write the report to `path`; OSError where that fails."""
    text = json.dumps(as_dict(ledger), indent=2, ensure_ascii=False, allow_nan=False)
    write_atomically(path, text + "\n")
