"""The report for people: plain tables that fit the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_distill._util.format import floor_text, plain_text, score_text, size_text
from pytest_distill.errors import one_line
from pytest_distill.gates.verdict import observed_text, required_text
from pytest_distill.report.deferral import deferral_lines
from pytest_distill.report.figures import figure_lines
from pytest_distill.report.frontier import frontier_lines
from pytest_distill.report.ledger import Ledger
from pytest_distill.report.tables import (
    Columns,
    shortened,
    table,
    wrapped,
)
from pytest_distill.report.worth import frontiers, words

Row = Mapping[str, Any]


def report_lines(ledger: Ledger, width: int) -> list[str]:
    """Return the report without its last line, no line longer than `width` where that is possible.

    Parameters
    ----------
    ledger : Ledger
        What the run found out.
    width : int
        Columns; under 70 the tables no longer fit, and lines may be longer.
    """
    compared = ledger.compared()
    evals = dict.fromkeys((c["config"], c["eval"]) for c in compared)
    several = len({config for config, _ in evals}) > 1
    lines = []
    for config, eval in evals:
        rows = [c for c in compared if (c["config"], c["eval"]) == (config, eval)]
        models = [m for m in ledger.models if m["config"] == config]
        made = [e for e in ledger.evaluations if (e["config"], e["eval"]) == (config, eval)]
        lines += _eval_lines(eval, rows, models, made, width, config if several else None)
    lines += figure_lines(ledger.figures, width)
    for frontier in frontiers(ledger):
        lines += frontier_lines(frontier, width)
    lines += deferral_lines(ledger.gates(), width)
    gates = ledger.gates()
    if gates:
        lines += [*_gate_table(gates, width), "", *_bases(gates, width)]
        notes = [line for note in words(ledger) for line in wrapped(note, width)]
        lines += [*notes, *([""] if notes else [])]
    return [one_line(line) for line in lines]


def remark_lines(ledger: Ledger, width: int) -> list[str]:
    """Return what to know of files that were not looked into; nothing where all were."""
    parts = [part for remark in ledger.remarks for part in remark.splitlines()]
    # A line that is indented is to be copied.
    lines = [line for p in parts for line in ([p] if p.startswith(" ") else wrapped(p, width))]
    return [one_line(line) for line in [*lines, *([""] if lines else [])]]


def last_line(ledger: Ledger, width: int) -> str:
    """Return what the run comes to, with as many names behind each reason as fit."""
    decision = ledger.decision()
    if not decision.parts:
        return decision.outcome
    if decision.outcome == "SHIP":
        return one_line(f"SHIP ({decision.reason})")
    names = [list(dict.fromkeys(map(_test_name, found))) for _, found in decision.parts]
    if not any(names):
        return one_line(f"{decision.outcome} ({decision.reason})")
    shown = [0] * len(names)

    def line() -> str:
        told = [
            _named(text, found, n)
            for (text, _), found, n in zip(decision.parts, names, shown, strict=True)
        ]
        return one_line(f"{decision.outcome}: {'; '.join(told)}")

    for part, found in enumerate(names):
        for shown[part] in range(len(found), -1, -1):
            if len(line()) <= width:
                break
    return line()


def _named(text: str, names: Sequence[str], shown: int) -> str:
    rest = [f"and {len(names) - shown} more"] if shown < len(names) else []
    return f"{text}: {', '.join([*names[:shown], *rest])}" if shown else text


def _test_name(nodeid: str) -> str:
    return nodeid.rpartition("::")[2] or nodeid


def _eval_lines(
    eval: str,
    rows: Sequence[Row],
    models: Sequence[Row],
    evaluations: Sequence[Row],
    width: int,
    config: str | None,
) -> list[str]:
    scored = [m for m in models if any(m["name"] in row["scores"] for row in rows)]
    n = next((row["n"] for row in rows if row["n"] is not None), None)
    about = [eval, f"{n:,} examples" if n is not None else "reported scores"]
    title = ", ".join([*about, *([config] if config else [])])
    columns = [_metric_columns(row, scored, headline=row is rows[0]) for row in rows]
    lines = wrapped(title, width)
    for part in _that_fit(_model_columns(scored), columns, width):
        lines += [*table(part), ""]
    of_gold = dict.fromkeys(note for e in evaluations for note in e["notes"])
    for note in (*_footnotes(rows, scored), *of_gold, *_store_note(evaluations)):
        lines += wrapped(note, width)
    return [*lines, ""] if lines[-1] else lines


def _model_columns(models: Sequence[Row]) -> Columns:
    return {
        "model": [shortened(m["name"], 20) for m in models],
        "role": [m["role"] for m in models],
        "parameters": [
            _marked(m, "parameters", size_text(m["parameters"], "parameters")) for m in models
        ],
        "size": [_marked(m, "bytes", size_text(m["bytes"], "B")) for m in models],
    }


def _marked(model: Row, key: str, shown: str) -> str:
    return f"{shown}*" if key in model["declared"] else shown


def _metric_columns(row: Row, models: Sequence[Row], *, headline: bool) -> Columns:
    # A score is cut off where higher is better and raised where lower is: never flattered.
    higher = row["higher_is_better"]
    names = [m["name"] for m in models]
    scores = [
        score_text(row["scores"][n], higher_is_better=higher) if n in row["scores"] else "-"
        for n in names
    ]
    retained = [floor_text(row["retained"][n]) if n in row["retained"] else "" for n in names]
    columns = {shortened(row["metric"], 24): scores}
    return columns | ({"retained": retained} if headline else {})


def _that_fit(first: Columns, others: Sequence[Columns], width: int) -> list[Columns]:
    """Part the metrics into as many tables as are needed, each with the models' names."""
    parts = [dict(first)]
    names = {"model": first["model"]}
    for columns in others:
        wider = {**parts[-1], **columns}
        if max(map(len, table(wider))) <= width or set(parts[-1]) == {"model"}:
            parts[-1] = wider
        else:
            parts.append({**names, **columns})
    return parts


def _bases(gates: Sequence[Row], width: int) -> list[str]:
    """Return below the table, by number, what each verdict rests on and what to know of it."""
    lines = []
    for number, gate in enumerate(gates, start=1):
        part_of = f"part of '{gate['criterion']}'" if gate["criterion"] else ""
        notes = gate["notes"] if gate["gate"] else gate["notes"][1:]
        parts = [part_of, gate["basis"], *notes, gate["waived"]]
        if any(parts):
            about = "; ".join(part for part in parts if part)
            lines += textwrap.wrap(
                about, width, initial_indent=f"{number:>2}  ", subsequent_indent="    "
            )
    return [*lines, ""] if lines else []


def _footnotes(rows: Sequence[Row], models: Sequence[Row]) -> list[str]:
    notes = [f"{m['name']}: trained: {m['trained']}" for m in models if m["trained"]]
    notes += _declared(models)
    notes += _unlike(models)
    notes += [note for m in models for note in m["notes"]]
    lower = [row["metric"] for row in rows if not row["higher_is_better"]]
    if lower:
        notes.append(f"lower is better, retained = teacher / student: {', '.join(lower)}")
    reported = dict.fromkeys(name for row in rows for name in row["reported"])
    if reported:
        notes.append(f"reported, not measured: {', '.join(reported)}")
    return notes


def _declared(models: Sequence[Row]) -> list[str]:
    """Return what ``distill.yaml`` says of models where nothing was measured."""
    stars = [m["name"] for m in models if {"parameters", "bytes"} & set(m["declared"])]
    notes = [f"* declared, not measured: {', '.join(stars)}"] if stars else []
    for model in models:
        latency, cost = model["latency_ms"], model["cost_per_1k"]
        figures = {
            "latency": "" if latency is None else f"{plain_text(latency)} ms",
            "cost": "" if cost is None else f"{plain_text(cost)} per 1,000",
        }
        told = [f"{name} {figure}" for name, figure in figures.items() if figure]
        if told:
            notes.append(f"{model['name']}: {', '.join(told)}, declared, not measured")
    return notes


def _store_note(evaluations: Sequence[Row]) -> list[str]:
    """Return how much was evaluated in this run and how much came from the store."""
    run = [e for e in evaluations if e["evaluated"] is not None]
    if not run:
        return []
    evaluated, stored = (sum(e[key] for e in run) for key in ("evaluated", "from_store"))
    return [f"predictions: {evaluated:,} made in this run, {stored:,} from the store"]


def _unlike(models: Sequence[Row]) -> list[str]:
    """Return what differs in how the models were run, which may differ in the scores too."""
    found = []
    for setting in ("engine", "device", "dtype", "batch_tokens"):
        values = {m["name"]: m[setting] for m in models}
        known = {name: value for name, value in values.items() if value is not None}
        if len(set(known.values())) > 1:
            each = ", ".join(f"{name} {value}" for name, value in known.items())
            found.append(f"run under another {setting}: {each}")
    return found


def _gate_table(gates: Sequence[Row], width: int) -> list[str]:
    columns: Columns = {
        "": [str(number) for number in range(1, len(gates) + 1)],
        "outcome": ["waived" if g["waived"] else g["outcome"] for g in gates],
        "observed": [observed_text(g) if g["relation"] else "" for g in gates],
        "required": [required_text(g) if g["relation"] else "" for g in gates],
        "gate": [g["gate"] or f"({g['notes'][0]})" for g in gates],
        "on": _subjects(gates),
        "test": [_test_name(g["nodeid"]) for g in gates],
    }
    # The test can be cut to little, then what it looked at: the numbers and the outcome never.
    for name, least in (("test", 16), ("on", 14), ("test", 8), ("on", 8)):
        surplus = max(map(len, table(columns))) - width
        if surplus > 0:
            longest = max(map(len, columns[name]))
            room = max(least, longest - surplus)
            columns[name] = [shortened(cell, room) for cell in columns[name]]
    return table(columns)


def _subjects(gates: Sequence[Row]) -> list[str]:
    """Return what each gate looked at: metric and slice, and the eval where there are several."""
    one_eval = len({g["eval"] for g in gates if g["eval"]}) == 1
    parts = ("metric", "slice") if one_eval else ("eval", "metric", "slice")
    return [" ".join(str(g[part]) for part in parts if g[part]) for g in gates]
