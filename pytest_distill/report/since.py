"""What changed since the accepted run, in words, and whether it is the teacher or the student."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fractions import Fraction

from pytest_distill._util.format import floor_text, interval_text, score_text
from pytest_distill._util.numbers import decimal, retained_share
from pytest_distill.comparison.baseline.change import Change, bounds_of
from pytest_distill.errors import some_of
from pytest_distill.evals.metrics import Metric
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
    before, now = then_and_now(row)
    same = {True: ", the same checkpoint", False: "", None: ""}[row.same]
    interval = interval_text(row.lower, row.upper)
    return (
        f"{row.model} on {row.eval}, {row.metric}: {before} -> {now} (95 % interval of the change "
        f"{interval}){flips_text(row)} of {row.n:,}{same}"
    )


def _gold(row: GoldChangeRow) -> str:
    return (
        f"{row.eval}: {row.common:,} examples as before, {row.added:,} added, {row.gone:,} gone, "
        f"{row.relabelled:,} relabelled"
    )


def _gate(row: GateChangeRow) -> str:
    told = " -> ".join(part for part in (row.before, row.now) if part)
    return f"{test_name(row.nodeid)}, {row.about}{f', {told}' if told else ''}"


def change_row(
    found: Change, metric: Metric, model: str, role: str, digests: tuple[str | None, str | None]
) -> ChangeRow:
    """Return a change as a row of the report, without its project and eval.

    Parameters
    ----------
    found : Change
        The paired difference.
    metric : Metric
        Of which it is.
    model, role : str
        Whose.
    digests : tuple of str
        Of its checkpoint then and now; None where one is not known.
    """
    lower, upper = bounds_of(found, higher_is_better=metric.higher_is_better)
    most = metric.range[1] - metric.range[0]  # no difference is greater
    lower, upper = (None if end is None else max(-most, min(end, most)) for end in (lower, upper))
    return ChangeRow(
        config="",
        eval="",
        metric=metric.name,
        higher_is_better=metric.higher_is_better,
        model=model,
        role=role,
        before=float(found.before),
        now=float(found.now),
        difference=float(found.now - found.before),
        lower=lower,
        upper=upper,
        n=found.n,
        wins=found.wins,
        losses=found.losses,
        same=None if None in digests else digests[0] == digests[1],
    )


def drift_sentences(changes: Sequence[ChangeRow], config: str) -> Iterator[str]:
    """Yield a sentence for every eval whose teacher has changed, by its first metric.

    A teacher that changed moves the share of its quality that a student retains, though the student
    did not change.
    """
    own = [row for row in changes if row.config == config]
    for eval in dict.fromkeys(row.eval for row in own):
        first = next(row.metric for row in own if row.eval == eval)
        rows = [row for row in own if (row.eval, row.metric) == (eval, first)]
        teacher = next((row for row in rows if row.role == "teacher"), None)
        if teacher is None or not _moved(teacher):
            continue
        yield f"{eval}: the teacher has changed: {_step(teacher)}"
        for student in (row for row in rows if row.role != "teacher"):
            yield from _parts(teacher, student)


def _moved(row: ChangeRow) -> bool:
    return row.same is False or bool(row.difference or row.wins or row.losses)


def _parts(teacher: ChangeRow, student: ChangeRow) -> Iterator[str]:
    """Yield how much of the change in retention is the teacher's, and how much the student's."""
    higher = student.higher_is_better
    before, by_teacher, now = (
        retained_share(decimal(s), decimal(t), higher)
        for s, t in (
            (student.before, teacher.before),
            (student.before, teacher.now),
            (student.now, teacher.now),
        )
    )
    shares = (before, by_teacher, now)
    if not all(isinstance(share, Fraction) for share in shares):
        return
    was, moved, ended = (floor_text(share) for share in shares if share is not None)
    text = f"{student.eval}: {student.model} retained {was} of the teacher then on these examples"
    if not _moved(student):
        moves = "the teacher moved it" if before != now else "the teacher has not moved it"
        yield f"{text} and retains {ended} now: {moves}, the student is as it was"
    else:
        yield f"{text}; the teacher alone moves that to {moved}, the student then to {ended}"


def _step(row: ChangeRow) -> str:
    before, now = then_and_now(row)
    return f"{row.metric} {before} to {now} on {row.n:,} examples of both{flips_text(row)}"


def then_and_now(row: ChangeRow) -> tuple[str, str]:
    """Return both scores of a change."""
    before, now = (
        score_text(score, higher_is_better=row.higher_is_better) for score in (row.before, row.now)
    )
    return before, now


def flips_text(row: ChangeRow) -> str:
    """Return how many examples changed, behind the scores; nothing where that is not known."""
    if row.wins is None or row.losses is None:
        return ""
    return f", {row.wins:,} better and {row.losses:,} worse"
