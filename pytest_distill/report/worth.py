"""Whether distilling was worth it: in words, and on the frontier of size and quality."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from pytest_distill.evaluation.figures import same_device
from pytest_distill.gates.all import GATES
from pytest_distill.report.records.comparisons import (
    ComparisonRow,
    Frontier,
    FrontierPoint,
    RecommendationRow,
)
from pytest_distill.report.records.gates import GateRow
from pytest_distill.report.records.models import FiguresRow, ModelRow
from pytest_distill.report.records.record import record_of


def sentences(
    gates: Sequence[GateRow],
    compared: Sequence[ComparisonRow],
    models: Sequence[ModelRow],
    recommendations: Sequence[RecommendationRow],
) -> list[str]:
    """Return whether SFT is beaten, where it does alone, and what is recommended."""
    whole = [gate for gate in gates if gate.relation and not gate.slice and not gate.at_tokens]
    told = [
        f"{gate.eval}: {gate.details['in_words']}" for gate in whole if "in_words" in gate.details
    ]
    sft = {(model.config, model.name) for model in models if model.role == "sft"}
    recommended = [line for row in recommendations for line in _recommended(row)]
    return list(dict.fromkeys((*told, *_sft_alone(whole, compared, sft), *recommended)))


def _recommended(row: RecommendationRow) -> Iterator[str]:
    """Yield what is recommended, and which smaller students are not, and why."""
    yield f"recommended for {row.criterion}: {row.model}"
    if row.ended_by is not None:
        told = f"; not tried after it: {', '.join(row.not_tried)}" if row.not_tried else ""
        yield f"{row.criterion}: {row.ended_by} is not shown to keep the quality{told}"


def _sft_alone(
    gates: Sequence[GateRow], compared: Sequence[ComparisonRow], sft: set[tuple[str, str]]
) -> Iterator[str]:
    """Yield a sentence for every retention gate whose floor the SFT student meets alone.

    As the gate is judged: by the observed ratio, or with a confidence only where another gate
    shows with that confidence that the SFT student meets the floor.
    """
    for gate in gates:
        floors = gate.gate is not None and GATES[gate.gate].retention_floor
        if gate.required is None or not floors:
            continue
        if gate.confidence is None:
            meets = any(
                (row.config, name) in sft and (ratio is None or ratio >= gate.required)
                for row in compared
                if _same_scores(row, gate)
                for name, ratio in row.retained.items()
            )
        else:
            meets = any(_shows(other, gate) for other in gates if _same_scores(other, gate))
        if meets:
            yield (
                f"SFT alone meets the floor {gate.required:g} ({gate.eval}, {gate.metric}): "
                "drop the teacher"
            )


def _same_scores(one: ComparisonRow | GateRow, other: GateRow) -> bool:
    return (one.config, one.eval, one.metric) == (other.config, other.eval, other.metric)


def _shows(other: GateRow, gate: GateRow) -> bool:
    """Return whether a gate shows that SFT alone meets another one's floor, as surely as asked."""
    bound = other.details.get("sft_retained")
    return (
        bound is not None
        and bound["confidence"] >= gate.confidence
        and bound["lower"] >= gate.required
    )


def frontiers(
    compared: Sequence[ComparisonRow],
    models: Sequence[ModelRow],
    figures: Sequence[FiguresRow] = (),
) -> list[Frontier]:
    """Return the frontier of every eval on which at least two models ran whose cost is known.

    That is their size, or else their latency.
    """
    headline: dict[tuple[str, str], ComparisonRow] = {}
    for row in compared:  # the first metric of an eval is its headline metric
        headline.setdefault((row.config, row.eval), row)
    found = []
    for row in headline.values():
        sizes = {
            model.name: model.parameters
            for model in models
            if model.config == row.config
            and model.name in row.scores
            and model.parameters is not None
        }
        roles = {model.name: model.role for model in models if model.config == row.config}
        latencies = _latencies(row, models, figures)
        timed = {name: time for name, time in latencies.items() if name in row.scores}
        if max(len(sizes), len(timed)) < 2:
            continue
        points = sorted(
            (_point(name, roles[name], sizes, timed, row) for name in {**sizes, **timed}),
            key=lambda point: (point.parameters or math.inf, bool(point.dominated)),
        )
        found.append(record_of(Frontier, row, points=tuple(points)))
    return found


def _latencies(
    row: ComparisonRow, models: Sequence[ModelRow], figures: Sequence[FiguresRow]
) -> dict[str, float]:
    """Return the median milliseconds of one example, of models measured alike; else as declared."""
    found = [
        (each.model, 1000 * each.latency["example"]["p50"].estimate, each.taken["latency"].setting)
        for each in figures
        if (each.config, each.eval) == (row.config, row.eval) and each.latency is not None
    ]
    if len(found) > 1 and all(same_device(found[0][2], setting) for *_, setting in found):
        return {name: median for name, median, _ in found}
    return {
        model.name: model.latency_ms
        for model in models
        if model.config == row.config and model.latency_ms is not None
    }


def _point(
    name: str,
    role: str,
    sizes: Mapping[str, int],
    latencies: Mapping[str, float],
    row: ComparisonRow,
) -> FrontierPoint:
    return FrontierPoint(
        model=name,
        role=role,
        parameters=sizes.get(name),
        score=row.scores[name],
        retained=row.retained.get(name),
        infinite=name in row.retained and row.retained[name] is None,
        dominated=_dominated(name, sizes, row, ("smaller", "as small")),
        latency_ms=latencies.get(name),
        outpaced=_dominated(name, latencies, row, ("faster", "as fast")),
    )


def _dominated(
    name: str, costs: Mapping[str, float], row: ComparisonRow, words: tuple[str, str]
) -> str:
    """Return which model is at least as good and costs no more, and how; empty where none is."""
    sign = 1 if row.higher_is_better else -1
    for other, cost in costs.items():
        if name not in costs or other not in row.scores:
            continue
        less = cost - costs[name]
        better = sign * (row.scores[other] - row.scores[name])
        if less <= 0 <= better and (less, better) != (0, 0):
            quality = "better" if better > 0 else "as good"
            return f"{other} is {quality} and {words[0] if less < 0 else words[1]}"
    return ""
