"""How a verdict was reached, in words: what no paragraph says, whatever its record holds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_distill.gates.all import GATES
from pytest_distill.gates.verdict import Outcome
from pytest_distill.report.paragraphs import paragraph
from pytest_distill.report.records.gates import GateRow, IntervalRow

BOUNDS = IntervalRow(
    one_sided_lower=0.91,
    one_sided_upper=0.949996,
    lower=0.9,
    upper=0.96,
    confidence=0.95,
    method="score",
)
KEPT = GateRow(
    nodeid="test_ship.py::test_keeps",
    config="distill.yaml",
    gate="quality_retained",
    outcome=Outcome.FAILED,
    eval="reviews",
    metric="accuracy",
    model="student",
    observed=0.94999,
    required=0.95,
    relation=">=",
    n=1,
)
SURE = replace(KEPT, confidence=0.95, interval=BOUNDS)


@pytest.mark.parametrize("gate", GATES.values())
def test_every_gate_says_what_it_asks(gate: type) -> None:
    """A new gate needs its question, and none takes that of another."""
    assert "asks" in vars(gate)
    assert "{what}" in vars(gate)["asks"]
    assert vars(gate)["asks"].endswith("?")


def test_what_fails_narrowly_reads_as_a_failure() -> None:
    """No number is rounded up to the limit that it misses, and no bound that decides is."""
    assert "Observed: 0.9499. That is not at least 0.95: FAILED." in paragraph(KEPT)
    assert "Even the upper bound, 0.9499, is not at least 0.95: FAILED." in paragraph(SURE)
    most = replace(
        SURE, relation="<=", required=0.91, interval=replace(BOUNDS, one_sided_lower=0.91001)
    )
    assert "Even the lower bound, 0.9101, is not at most 0.91: FAILED." in paragraph(most)


def test_bounds_are_said_to_decide_only_where_they_do() -> None:
    """Beside a bound on the other side of the limit nothing is claimed of it."""
    passed = replace(SURE, outcome=Outcome.PASSED)
    assert "Even the" not in paragraph(passed)
    assert "The bounds are 0.9100 to 0.9500: PASSED." in paragraph(passed)
    unclear = replace(SURE, outcome=Outcome.INCONCLUSIVE, required=0.93)
    assert "The bounds are 0.9100 to 0.9500, on both sides of 0.93: INCONCLUSIVE." in paragraph(
        unclear
    )
    assert "The examples do not tell, which is not a pass." in paragraph(unclear)
    endless = replace(unclear, interval=replace(BOUNDS, one_sided_upper=None))
    assert "The bounds are 0.9100 to unbounded: INCONCLUSIVE." in paragraph(endless)


def test_an_infinite_number_is_told_in_a_word() -> None:
    """JSON has none for it: the record says so beside it."""
    row = replace(KEPT, observed=None, infinite=True, outcome=Outcome.PASSED)
    assert (
        "Looked at: 1 example of the eval reviews, by accuracy. Observed: infinite."
        in paragraph(row)
    )


def test_it_says_who_answers_for_a_failure() -> None:
    """A waiver and an excuse stand at the end, and the criterion that the gate is a part of."""
    waived = replace(KEPT, criterion="edge", waived="waived by ana until 2999-12-31: soon.")
    assert paragraph(waived).endswith(
        "It is a part of the criterion edge. The failure is waived by ana until 2999-12-31: soon."
    )
    row = GateRow("t.py::test_a", None, "not_worse", Outcome.NOT_RUN, excused="no baseline yet")
    assert paragraph(row) == (
        "The gate not_worse did NOT RUN, so that there is no verdict, and no verdict is no pass. "
        "That keeps no student from shipping: no baseline yet."
    )


def test_names_are_text_whatever_they_hold() -> None:
    """Braces are no fields to fill in, and a line break makes no line."""
    row = replace(KEPT, model="{what}\n{0}", eval="<b>{n}</b>", slice="lang={de}")
    told = paragraph(row)
    assert told.startswith("Did {what}\\n{0} keep at least 0.95 of the teacher's quality?")
    assert "the eval <b>{n}</b>, those of the slice lang={de}, by accuracy." in told


def test_a_gate_of_another_version_is_told_too() -> None:
    """A report may be older or newer than whoever reads it: a gate, or its details, may lack."""
    row = replace(KEPT, gate="gate_of_tomorrow", details={"slices": []})
    assert paragraph(row).startswith("Asked is gate_of_tomorrow: at least 0.95?")
    assert "the pair keep enough of" in paragraph(replace(KEPT, gate="routable"))
