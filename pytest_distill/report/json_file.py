"""The report as JSON, for machines: unrounded numbers. ``schema.json`` describes it."""

from __future__ import annotations

import json
import re
from dataclasses import asdict

from pytest_distill.report.records.report import Report

_HALF = re.compile("[\ud800-\udfff]")
"""What Python makes of a byte of a file's name that is no letter; most readers refuse it."""


def text(report: Report) -> str:
    """Return the file; ValueError for a NaN, TypeError where JSON has no word for a value."""
    told = json.dumps(asdict(report), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    return _HALF.sub(lambda half: rf"\\u{ord(half[0]):04x}", told)
