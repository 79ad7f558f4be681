"""Whether distilling was worth it: in words, and on the frontier of size and quality."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_distill.report.ledger import Ledger

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Point:
    """One model by size and quality.

    Parameters
    ----------
    model, role : str
        Which one.
    parameters : int
        Its size.
    score : float
        By the eval's headline metric.
    retained : float, optional
        Share of the teacher's quality; infinite where lower is better and it makes no error.
    dominated : str
        By whom and how, e.g. ``sft is as good and as small``; empty on the frontier.
    """

    model: str
    role: str
    parameters: int
    score: float
    retained: float | None
    dominated: str


@dataclass(frozen=True, slots=True)
class Frontier:
    """The models of one eval, the smallest first."""

    config: str
    eval: str
    metric: str
    higher_is_better: bool
    points: tuple[Point, ...]


def words(ledger: Ledger) -> list[str]:
    """Return sentences: whether SFT is beaten, where it does alone, what is recommended."""
    beaten = [
        f"{gate['eval']}: {gate['details']['in_words']}"
        for gate in ledger.gates()
        if gate["gate"] == "beats_sft" and gate["relation"] and not gate["slice"]
    ]
    recommended = [line for row in ledger.recommendations for line in _recommended(row)]
    return list(dict.fromkeys((*beaten, *_sft_alone(ledger), *recommended)))


def _recommended(row: Row) -> Iterator[str]:
    """Yield what is recommended, and which smaller students are not, and why."""
    yield f"recommended for {row['criterion']}: {row['model']}"
    if row["ended_by"] is not None:
        rest = row["not_tried"]
        told = f"; not tried after it: {', '.join(rest)}" if rest else ""
        yield f"{row['criterion']}: {row['ended_by']} is not shown to keep the quality{told}"


def _sft_alone(ledger: Ledger) -> Iterator[str]:
    """Yield a sentence for every retention gate whose floor the SFT student meets alone.

    As the gate is judged: by the observed ratio, or with a confidence only where a `beats_sft` gate
    shows with that confidence that the SFT student meets the floor.
    """
    compared = ledger.compared()
    gates = [gate for gate in ledger.gates() if gate["relation"] and not gate["slice"]]
    for gate in gates:
        if gate["gate"] != "quality_retained":
            continue
        if gate["confidence"] is None:
            roles = _roles(ledger, gate["config"])
            meets = any(
                roles.get(name) == "sft" and ratio >= gate["required"]
                for row in compared
                if _same_scores(row, gate)
                for name, ratio in row["retained"].items()
            )
        else:
            meets = any(_shows(other, gate) for other in gates if _same_scores(other, gate))
        if meets:
            yield (
                f"SFT alone meets the floor {gate['required']:g} ({gate['eval']}, "
                f"{gate['metric']}): drop the teacher"
            )


def _same_scores(one: Row, other: Row) -> bool:
    return all(one[key] == other[key] for key in ("config", "eval", "metric"))


def _shows(beats_sft: Row, gate: Row) -> bool:
    """Return whether a gate shows that SFT alone meets another one's floor, as surely as asked."""
    bound = beats_sft.get("details", {}).get("sft_retained")
    return (
        bound is not None
        and bound["confidence"] >= gate["confidence"]
        and bound["lower"] >= gate["required"]
    )


def frontiers(ledger: Ledger) -> list[Frontier]:
    """Return the frontier of every eval on which at least two models beside the teacher ran."""
    found = []
    seen: set[tuple[str, str]] = set()
    for row in ledger.compared():
        key = (row["config"], row["eval"])
        if key in seen:  # the first metric of an eval is its headline metric
            continue
        seen.add(key)
        models = {m["name"]: m for m in ledger.models if m["config"] == row["config"]}
        sized = [n for n in row["scores"] if models.get(n, {}).get("parameters") is not None]
        if sum(models[n]["role"] == "student" for n in sized) < 2:
            continue
        points = sorted(
            (_point(name, sized, models, row) for name in sized),
            key=lambda point: (point.parameters, bool(point.dominated)),
        )
        higher = row["higher_is_better"]
        found.append(Frontier(*key, row["metric"], higher, tuple(points)))
    return found


def _point(name: str, others: Sequence[str], models: Mapping[str, Row], row: Row) -> Point:
    size, score = models[name]["parameters"], row["scores"][name]
    sign = 1 if row["higher_is_better"] else -1
    dominated = ""
    for other in others:
        smaller = models[other]["parameters"] - size
        better = sign * (row["scores"][other] - score)
        if smaller <= 0 <= better and (smaller, better) != (0, 0):
            quality = "better" if better > 0 else "as good"
            dominated = f"{other} is {quality} and {'smaller' if smaller < 0 else 'as small'}"
            break
    role = models[name]["role"]
    return Point(name, role, size, score, row["retained"].get(name), dominated)


def _roles(ledger: Ledger, config: str) -> dict[str, str]:
    return {m["name"]: m["role"] for m in ledger.models if m["config"] == config}
