"""What changed since the accepted run, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pytest_distill._util.format import interval_text, score_text
from pytest_distill.errors import some_of
from pytest_distill.report.blocks import test_name
from pytest_distill.report.records.report import Report
from pytest_distill.report.records.since import BaselineRow, ChangeRow, GateChangeRow, GoldChangeRow

LESS_STRICT = ("removed", "lowered")
ORDER = (*LESS_STRICT, "raised", "added")


@dataclass(frozen=True)
class Since:
    """What changed for one ``distill.yaml``.

    Parameters
    ----------
    title : str
        The accepted run.
    gates : list of (str, str)
        What became of a gate, one of `ORDER`, and of which; those that are less strict first.
    models, gold, notes : list of str
        Sentences.
    """

    title: str
    gates: list[tuple[str, str]]
    models: list[str]
    gold: list[str]
    notes: list[str]


def since_the_baseline(report: Report) -> Iterator[Since]:
    """Yield what changed, for each ``distill.yaml`` that has an accepted run."""
    configs = (
        *(row.config for row in report.baselines),
        *(row.config for row in report.changes),
        *(row.config for row in report.gold_changes),
        *(row.config for row in report.gate_changes),
    )
    for config in dict.fromkeys(configs):
        baselines = [row for row in report.baselines if row.config == config]
        gates = [row for row in report.gate_changes if row.config == config]
        gold = [row for row in report.gold_changes if row.config == config]
        yield Since(
            ", ".join(map(_baseline, baselines)) or f"since the baseline of {config}",
            [(r.change, _gate(r)) for r in sorted(gates, key=lambda r: ORDER.index(r.change))],
            [*_models([row for row in report.changes if row.config == config])],
            [_gold(row) for row in gold if row.added or row.gone or row.relabelled],
            [note for row in baselines for note in row.notes],
        )


def _baseline(row: BaselineRow) -> str:
    made = datetime.fromtimestamp(row.made, UTC).strftime("%Y-%m-%d")
    commit = f", commit {row.commit[:12]}" if row.commit else ""
    return f"since {row.path} ({made}{commit})"


def _models(rows: Sequence[ChangeRow]) -> Iterator[str]:
    """Yield what changed, the student's first, and in one line what did not."""
    changed = [row for row in rows if row.before != row.now or row.wins]
    yield from map(_model, sorted(changed, key=lambda row: row.role != "student"))
    same = dict.fromkeys(row.model for row in rows if row not in changed)
    whole = [model for model in same if all(row.model != model for row in changed)]
    if whole:
        yield f"as before: {some_of(whole)}"


def _model(row: ChangeRow) -> str:
    before, now = (
        score_text(score, higher_is_better=row.higher_is_better) for score in (row.before, row.now)
    )
    same = {True: ", the same checkpoint", False: "", None: ""}[row.same]
    flips = "" if row.wins is None else f", {row.wins:,} better and {row.losses or 0:,} worse"
    interval = interval_text(row.lower, row.upper)
    return (
        f"{row.model} on {row.eval}, {row.metric}: {before} -> {now} (95 % interval of the change "
        f"{interval}){flips} of {row.n:,}{same}"
    )


def _gold(row: GoldChangeRow) -> str:
    return (
        f"{row.eval}: {row.common:,} examples as before, {row.added:,} added, {row.gone:,} gone, "
        f"{row.relabelled:,} relabelled"
    )


def _gate(row: GateChangeRow) -> str:
    told = " -> ".join(part for part in (row.before, row.now) if part)
    return f"{test_name(row.nodeid)}, {row.about}{f', {told}' if told else ''}"
