"""What a reader must know of the numbers of an eval, a sentence each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_distill._util.format import ceil_text, interval_text, plain_text
from pytest_distill.gates.times import setting_text
from pytest_distill.report.records.models import FiguresRow, ModelRow
from pytest_distill.report.records.report import LooksRow


def looks_text(row: LooksRow) -> str:
    """Return how often a gold set was looked at, and what that asks of each verdict."""
    confidence = ceil_text(row.confidence, 6).rstrip("0")  # no less than it takes
    return (
        f"at least {row.students:,} students were judged on this gold set: to be wrong about any "
        f"of them at most one time in 20, judge each with confidence={confidence}"
    )


def declared_notes(models: Sequence[ModelRow]) -> Iterator[str]:
    """Yield what ``distill.yaml`` says of models where nothing was measured."""
    stars = [m.name for m in models if {"parameters", "bytes"} & set(m.declared)]
    if stars:
        yield f"* declared, not measured: {', '.join(stars)}"
    for model in models:
        latency, cost = model.latency_ms, model.cost_per_1k
        figures = {
            "latency": "" if latency is None else f"{plain_text(latency)} ms",
            "cost": "" if cost is None else f"{plain_text(cost)} per 1,000",
        }
        told = [f"{name} {figure}" for name, figure in figures.items() if figure]
        if told:
            yield f"{model.name}: {', '.join(told)}, declared, not measured"


def unlike_notes(models: Sequence[ModelRow]) -> Iterator[str]:
    """Yield what differs in how the models were run, which may differ in the scores too."""
    settings = {"engine": "answered_by", **{n: n for n in ("device", "dtype", "batch_tokens")}}
    for setting, field in settings.items():
        values = {m.name: getattr(m, field) for m in models}
        known = {name: value for name, value in values.items() if value is not None}
        if len(set(known.values())) > 1:
            at = {m.name: f" ({m.asked_at})" for m in models if setting == "engine" and m.asked_at}
            each = ", ".join(f"{name} {value}{at.get(name, '')}" for name, value in known.items())
            yield f"run under another {setting}: {each}"


def interval_notes(rows: Sequence[FiguresRow]) -> Iterator[str]:
    """Yield the 95 % intervals of the quantiles of whole answers."""
    for row in rows:
        found = (row.latency or {}).get("example")
        if found:
            each = ", ".join(
                f"{name} {interval_text(interval.lower, interval.upper, 's')}"
                for name, interval in found.items()
            )
            yield f"{row.model}, 95 % intervals over {found['p50'].n}: {each}"


def setting_notes(rows: Sequence[FiguresRow]) -> Iterator[str]:
    """Yield on what, with what and when it was measured; told once where it is the same."""
    told: dict[str, list[str]] = {}
    for row in rows:
        for taken in row.taken.values():
            setting = setting_text(taken.setting, taken.made, taken.earlier)
            names = told.setdefault(setting, [])
            if row.model not in names:
                names.append(row.model)
    yield from (f"{', '.join(names)}: {setting}" for setting, names in told.items())
