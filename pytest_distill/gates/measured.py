"""What gates on times and memory have in common: the examples, and where a figure was taken."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pytest_distill.comparison.comparison import Comparison
from pytest_distill.errors import ComparisonError
from pytest_distill.evals.eval import Eval

EXAMPLES = 100


def examples_of(comparison: Comparison) -> Eval:
    """Return the eval with the examples to measure with; ComparisonError where it has none."""
    if isinstance(comparison.on, Eval):
        return comparison.on
    raise ComparisonError(
        f"eval '{comparison.eval}' has only reported scores, and so no examples to measure with"
    )


def setting_text(setting: Mapping[str, Any], made: float, earlier: bool) -> str:
    """Return where, with what and when a figure was taken, and whether before this run."""
    where = {key: value for key, value in setting.items() if value is not None}
    device = f"{where.pop('device', 'unknown')} ({where.pop('device_name', 'unknown')})"
    threads, dtype = where.pop("threads", None), where.pop("dtype", None)
    parts = [
        device,
        *([f"{threads} thread{'s' if threads != 1 else ''}"] if threads else []),
        *([str(dtype)] if dtype else []),
        *(f"{package} {version}" for package, version in where.items()),
    ]
    taken = datetime.fromtimestamp(made, UTC).strftime("%Y-%m-%d %H:%M UTC")
    stored = " (stored; --distill-refresh measures anew)" if earlier else ""
    return f"measured on {', '.join(parts)}, {taken}{stored}"
