"""The shape of the JSON report. The standard library alone: pytest's start needs it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

SCHEMA = 1

TOLD = (
    *("models", "comparisons", "evaluations", "figures"),
    *("frontiers", "recommendations", "gates", "remarks"),
)
"""The lists of the report, in their order."""

UNFINISHED = "the run did not end"
"""What a report says from the start of a run to its end."""


def report(
    outcome: str,
    reason: str,
    culprits: Sequence[str] = (),
    told: Mapping[str, Sequence[Any]] | None = None,
) -> dict[str, Any]:
    """Return a report; a list of `TOLD` that is not given is empty."""
    about = {"schema": SCHEMA, "outcome": outcome, "reason": reason, "culprits": list(culprits)}
    return about | {name: list((told or {}).get(name, ())) for name in TOLD}


def as_text(report: Mapping[str, Any]) -> str:
    """Return a report as JSON; ValueError or TypeError where JSON has no word for a value."""
    return json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
