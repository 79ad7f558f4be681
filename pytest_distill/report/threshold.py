"""The threshold of a routed pair, as a file that a serving stack reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pytest_distill._util.files import write_atomically
from pytest_distill.gates.verdict import Verdict

SCHEMA = 1
RULE = (
    "answer with the student where its confidence (by) is >= threshold, else with the teacher; "
    "where threshold is null, always with the teacher"
)


def write_threshold(
    path: Path, verdict: Verdict, models: Mapping[str, Mapping[str, str | None]]
) -> None:
    """Write the threshold of a verdict on routing; OSError where that fails.

    Parameters
    ----------
    path : Path
        The file; it is whole or as it was before.
    verdict : Verdict
        Of the gate `routable`.
    models : mapping
        Role -> name and digest.
    """
    details = verdict.details
    told = {
        "schema": SCHEMA,
        "eval": verdict.eval,
        **models,
        "by": details["by"],
        "threshold": details["threshold"],
        "rule": RULE,
        "outcome": verdict.outcome,
        "handled": details["handled"],
        "retained_at_least": details["retained_required"],
        "confidence": verdict.confidence,
        "metric": verdict.metric,
        "n": verdict.n,
    }
    write_atomically(path, json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
