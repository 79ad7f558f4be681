"""The report as JSON, for machines: unrounded numbers. ``schema.json`` describes it."""

from __future__ import annotations

import json
from dataclasses import asdict

from pytest_distill.report.records import Report


def text(report: Report) -> str:
    """Return the file; ValueError for a NaN, TypeError where JSON has no word for a value."""
    return json.dumps(asdict(report), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
