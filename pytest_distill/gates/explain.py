"""The lines under a failing gate, and the sentence that says what a verdict rests on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

from pytest_distill._util.format import (
    bound_text,
    ceil_text,
    count_text,
    floor_text,
    interval_text,
    p_equals,
    range_text,
    score_text,
)
from pytest_distill._util.units import Unit
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.side_by_side import Slice
from pytest_distill.comparison.slices import worst_slices
from pytest_distill.errors import one_line, some_of
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.metrics import Metric
from pytest_distill.evaluation.evaluation import ReportedEvaluation
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.gates.deciding import Decision
from pytest_distill.gates.verdict import FIRM, Evidence
from pytest_distill.statistics import GapRecovered, PairedTest, Retention, RetentionInterval

FEW_EXAMPLES = 10
FEW_TEXTS = 500
MOST_SLICES = 3
"""A failing message stays short; the rest is in the file of lost examples."""


def slice_name(slice: Slice | None) -> str | None:
    """Return a slice as it is written in a test: ``lang=de``."""
    if slice is None:
        return None
    if isinstance(slice, str):
        return one_line(slice)
    return one_line(",".join(f"{field}={value}" for field, value in slice.items()))


def notes(comparison: Comparison, metric: Metric, roles: Sequence[str]) -> tuple[str, ...]:
    """Return what a reader must know of the numbers."""
    reported = [
        comparison.model(role).name
        for role in roles
        if isinstance(comparison.evaluation(role), ReportedEvaluation)
    ]
    return (
        *([f"reported, not measured: {', '.join(reported)}"] if reported else []),
        *_token_note(comparison, metric, roles),
        *_class_note(comparison, metric),
    )


def ratio_note(metric: Metric) -> tuple[str, ...]:
    """Return how the ratio is taken where lower is better."""
    if metric.higher_is_better:
        return ()
    return (f"lower {metric.name} is better: retained = teacher / student",)


def power_notes(
    comparison: Comparison,
    metric: Metric,
    ratio: Retention | None,
    floor: Fraction,
    confidence: float | None,
    slice: Slice | None,
) -> tuple[str, ...]:
    """Return what so few examples cannot show: rare disasters, or anything at all."""
    n = comparison.n(slice)
    if ratio is None or n is None:
        return ()
    if metric.per_unit is not None:
        if n >= FEW_TEXTS:
            return ()
        return (
            f"{n:,} texts, under {FEW_TEXTS}: that a few in a thousand diverge can't be excluded",
        )
    least = None if confidence is None else ratio.least(float(floor), confidence)
    if least is None or least <= n:
        return ()
    return (
        f"a student as good as the teacher begins to pass at about {least:,} examples: {n:,} may "
        "have missed too many failures",
    )


def _class_note(comparison: Comparison, metric: Metric) -> list[str]:
    """Return a note where a metric that counts classes alike has classes of few examples."""
    if not metric.by_label or not isinstance(comparison.on, Eval):
        return []
    counts = comparison.on.task.label_counts(comparison.on.gold)
    few = [f"{label} ({n})" for label, n in counts.items() if n < FEW_EXAMPLES]
    if not few:
        return []
    return [f"under {FEW_EXAMPLES} gold examples of {some_of(sorted(few))}: {metric.name} is rough"]


def _token_note(comparison: Comparison, metric: Metric, roles: Sequence[str]) -> list[str]:
    """Return a note where two models part a text into tokens of different lengths."""
    if not metric.by_token:
        return []
    measured = [e for e in map(comparison.evaluation, roles) if isinstance(e, MeasuredEvaluation)]
    if len({tuple(p.tokens for p in evaluation.predictions) for evaluation in measured}) < 2:
        return []
    lengths = [
        f"{e.info.name} {floor_text(bytes_per_token, 2)}"
        for e in measured
        if (bytes_per_token := _bytes_per_token(e)) is not None
    ]
    told = f" ({', '.join(lengths)} bytes a token)" if lengths else ""
    return [
        f"the tokens differ in length{told}, so that the perplexities are of other units: gate on "
        "bits_per_byte"
    ]


def _bytes_per_token(evaluation: MeasuredEvaluation) -> float | None:
    tokens = [answer.prediction.tokens for answer in evaluation.answers]
    if None in tokens or not sum(t for t in tokens if t):
        return None
    texts = sum(len(answer.targets[0].encode()) for answer in evaluation.answers)
    return texts / sum(t for t in tokens if t)


def note_lines(found: Sequence[str]) -> list[str]:
    """Return a line for each note."""
    return [f"  note: {note}" for note in found]


def models(
    comparison: Comparison,
    metric: Metric | None,
    slice: Slice | None,
    names: Sequence[str],
    tokens: str = "",
    first: Mapping[str, str] = {},
) -> list[str]:
    """Return one line for the eval and one for each model: role, score, parameters.

    Without a score where no metric is looked at; with a number of tokens where that is given, and
    with what is to be told `first` of a model, by the name that is asked for.
    """
    n = comparison.n(slice)
    repeats = comparison.on.task.repeats if isinstance(comparison.on, Eval) else 1
    about = [
        f"eval {comparison.eval}{comparison.budget}",
        *([f"slice {slice_name(slice)}"] if slice is not None else []),
        f"n = {n:,}{tokens}" if n is not None else "reported scores",
        *([f"{repeats:,} samples of each"] if repeats > 1 else []),
    ]
    models = [comparison.model(name) for name in names]
    width = max(len(model.name) for model in models)
    lines = [f"  {', '.join(about)}"]
    for name, model in zip(names, models, strict=True):
        size = model.info.parameters
        told = [first[name]] if name in first else []
        told += [] if size is None else [count_text(size, "parameter")]
        if metric is not None:
            exact = comparison.exact_score(model.name, metric, slice)
            score = score_text(exact, higher_is_better=metric.higher_is_better)
            told.insert(0, f"{metric.name} {score}")
        role = "" if model.role == model.name else f" ({model.role})"
        lines.append(f"  {model.name:<{width}}{role}  {', '.join(told) or 'unknown size'}")
    return lines


def columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table as lines of a message."""
    rows = [[*map(one_line, row)] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    return [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (header, *rows)
    ]


def basis(evidence: Evidence, n: int | None = None) -> list[str]:
    """Return what a verdict rests on, a few words each; `n` examples where several evals have."""
    parts = []
    if evidence.interval is not None:
        parts.append(_interval_text(evidence.interval))
    if evidence.lost is not None and evidence.won is not None:
        parts.append(f"flips: {evidence.lost:,} lost, {evidence.won:,} won")
    if evidence.paired is not None:
        parts.append(_paired_text(evidence.paired))
    if evidence.firm is not None:
        parts.append(FIRM if evidence.firm else _noise_text(evidence.needed, n))
    if evidence.gap is not None and evidence.gap.recovered is not None:
        parts.append(_gap_text(evidence.gap))
    if evidence.above_chance is not None:
        parts.append(f"{floor_text(evidence.above_chance)} retained above chance")
    return parts


def facts(decision: Decision, unit: Unit) -> list[str]:
    """Return what a reader wants of it at a glance: ``0.9223..0.9619``, ``206 lost``, ``firm``.

    The bound that decided stands in place of the interval.
    """
    evidence, interval = decision.evidence, decision.evidence.interval
    parts = []
    if decision.bound is not None:
        name, value = decision.bound
        parts.append(f"{name} {bound_text(value, lower=name.startswith('lower'), unit=unit)}")
    elif interval is not None:
        parts.append(range_text(interval.lower, interval.upper))
    if evidence.lost is not None:
        parts.append(f"{evidence.lost:,} lost")
    if evidence.paired is not None:
        parts += _paired_facts(evidence.paired)
    if evidence.firm is not None:
        parts.append(FIRM if evidence.firm else "within noise")
    return parts


def _paired_facts(test: PairedTest) -> list[str]:
    p = f"p {p_equals(test.p_value)}"
    if test.wins is None or test.losses is None:
        return [p]
    if not test.wins and not test.losses:
        return [p, "identical on every example"]
    return [p, f"{count_text(test.wins, 'win')}, {count_text(test.losses, 'loss', 'losses')}"]


def slices(comparison: Comparison, metric: Metric) -> list[str]:
    """Return a line for each of the worst slices: n, both scores, retained."""
    worst = worst_slices(comparison, metric, MOST_SLICES)
    if not worst:
        return []
    width = max(len(row.name) for row in worst)
    return [
        "  worst slices (n, teacher, student, retained):",
        *(
            f"    {row.name:<{width}}  {row.n:>6,}  {floor_text(row.teacher)}"
            f"  {floor_text(row.student)}  {floor_text(row.retained)}"
            for row in worst
            if row.retained is not None
        ),
    ]


def _interval_text(interval: RetentionInterval) -> str:
    bounds = interval_text(interval.lower, interval.upper)
    clusters = f", {interval.clusters} clusters" if interval.clusters is not None else ""
    return f"95 % interval {bounds} ({interval.method}{clusters})"


def _paired_text(test: PairedTest) -> str:
    p = p_equals(test.p_value)
    counts = ""
    if test.wins is not None and test.losses is not None and test.ties is not None:
        if not test.wins and not test.losses:
            return f"p {p} ({test.method}), identical on every example"
        won, lost = count_text(test.wins, "win"), count_text(test.losses, "loss", "losses")
        counts = f", {won}, {lost}, {count_text(test.ties, 'tie')}"
    clusters = f", {test.clusters} clusters" if test.clusters is not None else ""
    return f"p {p} ({test.method}{clusters}){counts}"


def _noise_text(needed: int | None, n: int | None) -> str:
    if needed is None:
        return "within noise: no number of examples would settle it"
    of_each = (
        "" if n is None else f", {ceil_text(Fraction(needed, n), 1)} times as many of each eval,"
    )
    return (
        f"within noise: about {needed:,} examples{of_each} would settle it, if the truth is as "
        "observed"
    )


def _gap_text(gap: GapRecovered) -> str:
    recovered = floor_text(round(gap.recovered or 0.0, 10))  # 0.15 / 0.2 is 0.7499999999999998
    if gap.lower is None or gap.upper is None or math.isinf(gap.lower):
        return f"gap recovered {recovered} (the gap itself is within noise)"
    return f"gap recovered {recovered} (95 % interval {interval_text(gap.lower, gap.upper)})"
