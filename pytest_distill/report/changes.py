"""What has changed since the accepted run, and whether it is the teacher or the student."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from pytest_distill._util.format import floor_text, score_text
from pytest_distill._util.numbers import decimal, retained_share
from pytest_distill.comparison.baseline.change import Change, bounds_of
from pytest_distill.evals.metrics import Metric
from pytest_distill.report.records.since import ChangeRow


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
    before, now = (
        score_text(decimal(score), higher_is_better=row.higher_is_better)
        for score in (row.before, row.now)
    )
    flips = f", {row.wins:,} better and {row.losses:,} worse" if row.wins is not None else ""
    return f"{row.metric} {before} to {now} on {row.n:,} examples of both{flips}"
