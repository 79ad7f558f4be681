"""What a report holds of models, gates and reasons, as the page's templates tell it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pytest_distill.report.blocks import numbers_text, outcome_text, slice_columns, test_name
from pytest_distill.report.evals import eval_tables
from pytest_distill.report.examples import ExampleTable
from pytest_distill.report.outcomes import did_not_pass, subject_of
from pytest_distill.report.paragraphs import paragraph
from pytest_distill.report.records.gates import GateRow
from pytest_distill.report.records.report import Reason, Report
from pytest_distill.report.tables import Columns

MOST_NAMES = 50
"""Behind a reason."""
MOST_SLICES = 40
"""Of a gate: the worst."""
MOST_OPEN = 24
"""Gates: where there are more, those that passed are folded."""

TONES = {
    "PASSED": "good",
    "FAILED": "bad",
    "INCONCLUSIVE": "unsure",
    "NOT RUN": "none",
    "waived": "unsure",
}


@dataclass(frozen=True, slots=True)
class EvalTold:
    """The models on an eval."""

    title: str
    columns: Columns
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReasonTold:
    """What stands in the way of a SHIP, with what it is about."""

    text: str
    names: tuple[tuple[str, str], ...]
    """Each with the anchor of its gate; without one where it is no gate."""
    more: int


@dataclass(frozen=True, slots=True)
class GateTold:
    """A gate, what it asked and how its verdict was reached."""

    anchor: str
    row: GateRow
    name: str
    """Of the gate; of the test where that asked none."""
    outcome: str
    tone: str
    observed: str
    required: str
    about: str
    paragraph: str
    """How its verdict was reached, or why it has none."""
    answer: str
    """Who answers for a verdict that is no pass."""
    notes: tuple[str, ...]
    """What to know of a verdict beside the numbers."""
    slices: Columns
    more_slices: int
    table: int | None
    """The place of the answers that it looked at, where the student lost some."""
    open: bool


def evals_told(report: Report) -> list[EvalTold]:
    """Return all that is known of the models on each eval, one row each; each note once."""
    evals: list[EvalTold] = []
    told: set[str] = set()
    for found in eval_tables(report):
        notes = dict.fromkeys(note for note in found.notes(more=True) if note not in told)
        told.update(notes)
        evals.append(EvalTold(found.title, found.all_columns(more=True), tuple(notes)))
    return evals


def gates_told(report: Report, examples: Sequence[ExampleTable]) -> list[GateTold]:
    """Return the gates: those that did not pass, the worst first, then the others."""
    few = len(report.gates) <= MOST_OPEN
    return [
        _gate(row, place, few or row.outcome != "PASSED", examples)
        for place, row in enumerate(_ordered(report))
    ]


def reasons_told(report: Report) -> list[ReasonTold]:
    """Return what stands in the way of a SHIP, each name with the gate that it leads to."""
    anchors: dict[str, str] = {}
    for place, row in enumerate(_ordered(report)):
        anchors.setdefault(row.nodeid, _anchor(place))
    reasons = report.reasons or ((Reason(report.reason),) if report.reason else ())
    if report.outcome == "SHIP":
        return []
    return [_reason(reason, anchors) for reason in reasons]


def _reason(reason: Reason, anchors: dict[str, str]) -> ReasonTold:
    names = {name: (test_name(name), anchors.get(name, "")) for name in reason.names}
    shown = [*names.values()][:MOST_NAMES]
    return ReasonTold(reason.text, tuple(shown), len(names) - len(shown))


def _ordered(report: Report) -> list[GateRow]:
    bad = did_not_pass(report.gates)
    return [*bad, *(row for row in report.gates if row.outcome == "PASSED")]


def _anchor(place: int) -> str:
    return f"gate-{place + 1}"


def _gate(row: GateRow, place: int, is_open: bool, examples: Sequence[ExampleTable]) -> GateTold:
    outcome, (observed, required) = outcome_text(row), numbers_text(row)
    slices = slice_columns(row)
    # Beside a verdict these stand by themselves; without one they are all that there is to tell.
    apart = replace(row, notes=(), waived=None, excused=None) if row.relation else row
    excused = f"excused: {row.excused}" if row.excused else ""
    return GateTold(
        anchor=_anchor(place),
        row=row,
        name=row.gate or test_name(row.nodeid),
        outcome=outcome,
        tone=TONES[outcome],
        observed=observed,
        required=required,
        about=subject_of(row),
        paragraph=paragraph(apart),
        answer=(row.waived or excused) if row.relation else "",
        notes=tuple(dict.fromkeys(row.notes)) if row.relation else (),
        slices={name: told[:MOST_SLICES] for name, told in slices.items()},
        more_slices=max(0, len(next(iter(slices.values()), [])) - MOST_SLICES),
        table=_table_of(row, examples),
        open=is_open,
    )


def _table_of(row: GateRow, examples: Sequence[ExampleTable]) -> int | None:
    """Return the place of the table where a student's lost examples stand; None without any."""
    for place, table in enumerate(examples):
        # By another metric, or within a budget, other examples are lost.
        told = table.key == (row.config, row.eval, row.metric) and row.at_tokens is None
        if told and row.lost:
            lost = [model for model in table.models if model.model == row.model]
            return place if any(gain < 0 for model in lost for gain in model.gains) else None
    return None
