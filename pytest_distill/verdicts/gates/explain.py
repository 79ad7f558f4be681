"""The lines under a failing gate: the numbers, the models, the flips, the worst slices."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_distill.evals.metrics import Metric
from pytest_distill.evaluation.evaluation import Reported
from pytest_distill.verdicts.comparison import Comparison, Slice, worst_slices
from pytest_distill.verdicts.numbers import floor_text

MOST_SLICES = 3
"""A failing message stays short; the rest is in the file of lost examples."""


def slice_name(slice: Slice | None) -> str | None:
    """Return a slice as it is written in a test: ``lang=de``."""
    if slice is None or isinstance(slice, str):
        return slice
    return ",".join(f"{field}={value}" for field, value in slice.items())


def notes(comparison: Comparison, metric: Metric, roles: Sequence[str]) -> tuple[str, ...]:
    """Return what a reader must know of the numbers."""
    reported = [
        comparison.model(role).name
        for role in roles
        if isinstance(comparison.evaluation(role), Reported)
    ]
    found = []
    if reported:
        found.append(f"reported, not measured: {', '.join(reported)}")
    if not metric.higher_is_better:
        found.append(f"lower {metric.name} is better: retained = teacher / student")
    return tuple(found)


def models(
    comparison: Comparison, metric: Metric, slice: Slice | None, names: Sequence[str]
) -> list[str]:
    """Return one line for the eval and one for each model: role, score, parameters."""
    n = comparison.n(slice)
    about = [
        f"eval {comparison.eval}",
        *([f"slice {slice_name(slice)}"] if slice is not None else []),
        f"n = {n:,}" if n is not None else "reported scores",
        *([] if metric.higher_is_better else ["lower is better"]),
    ]
    width = max(map(len, names))
    lines = [f"  {', '.join(about)}"]
    for name in names:
        model = comparison.model(name)
        size = model.info.parameters
        parameters = f", {size:,} parameters" if size is not None else ""
        score = floor_text(comparison.exact_score(name, metric, slice))
        role = "" if model.role == name else f" ({model.role})"
        lines.append(f"  {name:<{width}}{role}  {metric.name} {score}{parameters}")
    return lines


def flips(comparison: Comparison, metric: Metric, slice: Slice | None) -> list[str]:
    """Return a line with the number of lost and won examples."""
    if not comparison.measured():
        return []
    found = comparison.flips_by(metric, slice)
    return [f"  flips: {len(found.lost):,} lost (student worse), {len(found.won):,} won"]


def slices(comparison: Comparison, metric: Metric) -> list[str]:
    """Return a line for each of the worst slices: n, both scores, retained."""
    worst = worst_slices(comparison, metric, MOST_SLICES)
    if not worst:
        return []
    width = max(len(row[0]) for row in worst)
    return [
        "  worst slices (n, teacher, student, retained):",
        *(
            f"    {name:<{width}}  {n:>6,}  {floor_text(t)}  {floor_text(s)}  {floor_text(ratio)}"
            for name, n, t, s, ratio in worst
        ),
    ]
