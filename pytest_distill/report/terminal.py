"""The report for people: plain tables that fit the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from pytest_distill._util.format import (
    INFINITE,
    limit_text,
    plain_text,
    quantity_text,
    score_text,
    size_text,
)
from pytest_distill.errors import one_line
from pytest_distill.report.figures import figure_lines
from pytest_distill.report.frontier import deferral_lines, frontier_lines
from pytest_distill.report.records import ComparisonRow, EvaluationRow, GateRow, ModelRow, Report
from pytest_distill.report.tables import Columns, retained_text, shortened, table, wrapped


def report_lines(report: Report, width: int) -> list[str]:
    """Return the report without its last line, no line longer than `width` where that is possible.

    Parameters
    ----------
    report : Report
        What the run found out.
    width : int
        Columns; under 70 the tables no longer fit, and lines may be longer.
    """
    evals = dict.fromkeys((row.config, row.eval) for row in report.comparisons)
    several = len({config for config, _ in evals}) > 1
    lines = []
    for config, eval in evals:
        rows = [row for row in report.comparisons if (row.config, row.eval) == (config, eval)]
        models = [model for model in report.models if model.config == config]
        made = [e for e in report.evaluations if (e.config, e.eval) == (config, eval)]
        lines += _eval_lines(eval, rows, models, made, width, config if several else None)
    lines += figure_lines(report.figures, width)
    for frontier in report.frontiers:
        lines += frontier_lines(frontier, width)
    lines += deferral_lines(report.gates, width)
    if report.gates:
        lines += [*_gate_table(report.gates, width), "", *_bases(report.gates, width)]
        notes = [line for note in report.worth for line in wrapped(note, width)]
        lines += [*notes, *([""] if notes else [])]
    return [one_line(line) for line in lines]


def remark_lines(report: Report, width: int) -> list[str]:
    """Return what to know of files that were not looked into; nothing where all were."""
    parts = [part for remark in report.remarks for part in remark.splitlines()]
    # A line that is indented is to be copied.
    lines = [line for p in parts for line in ([p] if p.startswith(" ") else wrapped(p, width))]
    return [one_line(line) for line in [*lines, *([""] if lines else [])]]


def last_line(report: Report, width: int) -> str:
    """Return what the run comes to, with as many names behind each reason as fit."""
    if not report.reasons:
        return report.outcome
    names = [list(dict.fromkeys(map(_test_name, reason.names))) for reason in report.reasons]
    if not any(names):
        return one_line(f"{report.outcome} ({report.reason})")
    shown = [0] * len(names)

    def line() -> str:
        told = [
            _named(reason.text, found, n)
            for reason, found, n in zip(report.reasons, names, shown, strict=True)
        ]
        return one_line(f"{report.outcome}: {'; '.join(told)}")

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
    rows: Sequence[ComparisonRow],
    models: Sequence[ModelRow],
    evaluations: Sequence[EvaluationRow],
    width: int,
    config: str | None,
) -> list[str]:
    scored = [m for m in models if any(m.name in row.scores for row in rows)]
    n = next((row.n for row in rows if row.n is not None), None)
    about = [eval, f"{n:,} examples" if n is not None else "reported scores"]
    title = ", ".join([*about, *([config] if config else [])])
    columns = [_metric_columns(row, scored, headline=row is rows[0]) for row in rows]
    lines = wrapped(title, width)
    for part in _that_fit(_model_columns(scored), columns, width):
        lines += [*table(part), ""]
    of_gold = dict.fromkeys(note for e in evaluations for note in e.notes)
    for note in (*_footnotes(rows, scored), *of_gold, *_store_note(evaluations)):
        lines += wrapped(note, width)
    return [*lines, ""] if lines[-1] else lines


def _model_columns(models: Sequence[ModelRow]) -> Columns:
    return {
        "model": [shortened(m.name, 20) for m in models],
        "role": [m.role for m in models],
        "parameters": [
            _marked(m, "parameters", size_text(m.parameters, "parameters")) for m in models
        ],
        "size": [_marked(m, "bytes", size_text(m.bytes, "B")) for m in models],
    }


def _marked(model: ModelRow, key: str, shown: str) -> str:
    return f"{shown}*" if key in model.declared else shown


def _metric_columns(row: ComparisonRow, models: Sequence[ModelRow], *, headline: bool) -> Columns:
    # A score is cut off where higher is better and raised where lower is: never flattered.
    higher = row.higher_is_better
    names = [m.name for m in models]
    scores = [
        score_text(row.scores[n], higher_is_better=higher) if n in row.scores else "-"
        for n in names
    ]
    retained = [retained_text(row.retained.get(n), infinite=n in row.retained) for n in names]
    columns = {shortened(row.metric, 24): scores}
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


def _bases(gates: Sequence[GateRow], width: int) -> list[str]:
    """Return below the table, by number, what each verdict rests on and what to know of it."""
    lines = []
    for number, gate in enumerate(gates, start=1):
        part_of = f"part of '{gate.criterion}'" if gate.criterion else ""
        notes = gate.notes if gate.gate else gate.notes[1:]
        parts = [part_of, gate.basis, *notes, gate.waived]
        if any(parts):
            about = "; ".join(part for part in parts if part)
            lines += textwrap.wrap(
                about, width, initial_indent=f"{number:>2}  ", subsequent_indent="    "
            )
    return [*lines, ""] if lines else []


def _footnotes(rows: Sequence[ComparisonRow], models: Sequence[ModelRow]) -> list[str]:
    notes = [f"{m.name}: trained: {m.trained}" for m in models if m.trained]
    notes += _declared(models)
    notes += _unlike(models)
    notes += [note for m in models for note in m.notes]
    lower = [row.metric for row in rows if not row.higher_is_better]
    if lower:
        notes.append(f"lower is better, retained = teacher / student: {', '.join(lower)}")
    reported = dict.fromkeys(name for row in rows for name in row.reported)
    if reported:
        notes.append(f"reported, not measured: {', '.join(reported)}")
    return notes


def _declared(models: Sequence[ModelRow]) -> list[str]:
    """Return what ``distill.yaml`` says of models where nothing was measured."""
    stars = [m.name for m in models if {"parameters", "bytes"} & set(m.declared)]
    notes = [f"* declared, not measured: {', '.join(stars)}"] if stars else []
    for model in models:
        latency, cost = model.latency_ms, model.cost_per_1k
        figures = {
            "latency": "" if latency is None else f"{plain_text(latency)} ms",
            "cost": "" if cost is None else f"{plain_text(cost)} per 1,000",
        }
        told = [f"{name} {figure}" for name, figure in figures.items() if figure]
        if told:
            notes.append(f"{model.name}: {', '.join(told)}, declared, not measured")
    return notes


def _store_note(evaluations: Sequence[EvaluationRow]) -> list[str]:
    """Return how much was evaluated in this run and how much came from the store."""
    run = [e for e in evaluations if e.evaluated is not None]
    if not run:
        return []
    evaluated, stored = (sum(e.evaluated or 0 for e in run), sum(e.from_store or 0 for e in run))
    return [f"predictions: {evaluated:,} made in this run, {stored:,} from the store"]


def _unlike(models: Sequence[ModelRow]) -> list[str]:
    """Return what differs in how the models were run, which may differ in the scores too."""
    found = []
    for setting in ("engine", "device", "dtype", "batch_tokens"):
        values = {m.name: getattr(m, setting) for m in models}
        known = {name: value for name, value in values.items() if value is not None}
        if len(set(known.values())) > 1:
            each = ", ".join(f"{name} {value}" for name, value in known.items())
            found.append(f"run under another {setting}: {each}")
    return found


def _gate_table(gates: Sequence[GateRow], width: int) -> list[str]:
    columns: Columns = {
        "": [str(number) for number in range(1, len(gates) + 1)],
        "outcome": ["waived" if g.waived else g.outcome for g in gates],
        "observed": [observed_text(g) for g in gates],
        "required": [required_text(g) for g in gates],
        "gate": [g.gate or f"({g.notes[0]})" for g in gates],
        "on": _subjects(gates),
        "test": [_test_name(g.nodeid) for g in gates],
    }
    # The test can be cut to little, then what it looked at: the numbers and the outcome never.
    for name, least in (("test", 16), ("on", 14), ("test", 8), ("on", 8)):
        surplus = max(map(len, table(columns))) - width
        if surplus > 0:
            longest = max(map(len, columns[name]))
            room = max(least, longest - surplus)
            columns[name] = [shortened(cell, room) for cell in columns[name]]
    return table(columns)


def observed_text(gate: GateRow) -> str:
    """Return the observed number of a verdict, rounded towards failing; a dash for none."""
    if gate.observed is not None:
        return quantity_text(gate.observed, gate.unit, up=gate.relation == "<=")
    return INFINITE if gate.infinite else "-" if gate.relation else ""


def required_text(gate: GateRow) -> str:
    """Return what was required, e.g. ``>= 0.95``; nothing where there is no verdict."""
    if gate.required is None:
        return ""
    return f"{gate.relation} {limit_text(gate.required, gate.unit)}"


def _subjects(gates: Sequence[GateRow]) -> list[str]:
    """Return what each gate looked at: metric and slice, and the eval where there are several."""
    one_eval = len({g.eval for g in gates if g.eval}) == 1
    parts = ("metric", "slice") if one_eval else ("eval", "metric", "slice")
    return [" ".join(str(getattr(g, part)) for part in parts if getattr(g, part)) for g in gates]
