"""The report as JSON, for machines: unrounded numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from pytest_distill.gates.verdict import finite
from pytest_distill.report.ledger import Ledger
from pytest_distill.report.shape import report
from pytest_distill.report.worth import frontiers


def as_dict(ledger: Ledger) -> dict[str, Any]:
    """Return the report in the shape that ``docs/report.md`` describes."""
    decision = ledger.decision()
    told: dict[str, Sequence[Any]] = {
        "models": _told(ledger.models),
        "comparisons": [
            row | {"retained": {name: finite(ratio) for name, ratio in row["retained"].items()}}
            for row in _told(ledger.compared())
        ],
        "evaluations": _told(ledger.evaluations),
        "figures": _told(ledger.figures),
        "frontiers": [
            asdict(frontier)
            | {
                "points": [
                    asdict(point) | {"retained": finite(point.retained)}
                    for point in frontier.points
                ]
            }
            for frontier in frontiers(ledger)
        ],
        "recommendations": _told(ledger.recommendations),
        "gates": ledger.gates(),
        "remarks": ledger.remarks,
    }
    return report(decision.outcome, decision.reason, decision.culprits, told)


def _told(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key != "order"} for row in rows]
