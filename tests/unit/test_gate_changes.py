"""What counts as less strict than before."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pytest_distill.comparison.baseline.file import AcceptedGate
from pytest_distill.gates.verdict import Outcome
from pytest_distill.report.gate_changes import accepted_gates, changes_between, gate_changes
from pytest_distill.report.records.gates import GateRow

GATE = AcceptedGate(
    nodeid="test_ship.py::test_it",
    gate="quality_retained",
    eval="reviews",
    metric="accuracy",
    model="student",
    slice=None,
    criterion=None,
    relation=">=",
    required=0.95,
    unit="",
    confidence=None,
    waived=False,
)


@pytest.mark.parametrize(
    ("before", "now", "change"),
    [
        ({}, {"required": 0.94}, "lowered"),
        ({}, {"required": 0.96}, "raised"),
        ({"relation": "<="}, {"relation": "<=", "required": 0.96}, "lowered"),
        ({"relation": "<="}, {"relation": "<=", "required": 0.94}, "raised"),
        ({"relation": ">"}, {"relation": ">="}, "lowered"),
        ({"relation": ">="}, {"relation": ">"}, "raised"),
        ({"relation": ">="}, {"relation": "<="}, "lowered"),
        ({"confidence": 0.95}, {}, "lowered"),
        ({"confidence": 0.95}, {"confidence": 0.9}, "lowered"),
        ({}, {"confidence": 0.95}, "raised"),
        ({"confidence": 0.95}, {"required": 0.99}, "lowered"),
        ({}, {"required": 0.9, "confidence": 0.95}, "lowered"),
        ({}, {"waived": True}, "lowered"),
        ({"waived": True}, {}, "raised"),
        ({"relation": None, "required": None}, {"relation": None, "required": None}, None),
        ({}, {"model": "other"}, None),
        ({}, {}, None),
    ],
)
def test_a_change_is_lowered_where_any_part_of_it_is_looser(
    before: dict[str, Any], now: dict[str, Any], change: str | None
) -> None:
    """A floor that falls, a ceiling that rises, a confidence that goes, a waiver that comes."""
    found = changes_between([replace(GATE, **before)], [replace(GATE, **now)])
    assert [row.change for row in found] == ([] if change is None else [change])


@pytest.mark.parametrize("key", ["nodeid", "gate", "eval", "metric", "slice", "criterion"])
def test_gates_are_the_same_by_what_they_are_about(key: str) -> None:
    """Another test, kind, eval, metric, slice or criterion is another gate."""
    other: dict[str, Any] = {key: "other"}
    found = changes_between([GATE], [replace(GATE, **other)])
    assert [row.change for row in found] == ["removed", "added"]


def test_several_in_one_test_are_told_apart_by_their_model_and_then_their_order() -> None:
    """A loop over students: each floor is compared with its own."""
    small, big = replace(GATE, model="small", required=0.8), replace(GATE, model="big")
    found = changes_between([small, big], [big, replace(small, required=0.7)])
    assert [(row.change, row.before, row.now) for row in found] == [("lowered", ">= 0.8", ">= 0.7")]
    found = changes_between([GATE, GATE], [GATE])
    assert [row.change for row in found] == ["removed"]


def row(nodeid: str, outcome: Outcome = Outcome.PASSED) -> GateRow:
    """Return a gate of a run that asks what `GATE` does."""
    return GateRow(
        nodeid,
        "distill.yaml",
        "quality_retained",
        outcome,
        eval="reviews",
        metric="accuracy",
        model="student",
        required=0.95,
        relation=">=",
    )


@pytest.mark.parametrize(
    ("named", "removed"),
    [
        ([], ["gates/test_a.py::test_x", "test_b.py::test_y[1]"]),
        (["."], ["gates/test_a.py::test_x", "test_b.py::test_y[1]"]),
        (["gates"], ["gates/test_a.py::test_x"]),
        (["./gates/"], ["gates/test_a.py::test_x"]),
        (["gates/test_a.py"], ["gates/test_a.py::test_x"]),
        (["test_b.py::test_y"], ["test_b.py::test_y[1]"]),
        (["gate"], []),
        (["elsewhere.py"], []),
    ],
)
def test_only_what_a_run_was_of_can_be_removed(named: list[str], removed: list[str]) -> None:
    """Gates of files that the command line doesn't name were not asked for."""
    before = [replace(GATE, nodeid=name) for name in removed or ["test_z.py::test_z"]]
    if named:
        before.append(replace(GATE, nodeid="test_other.py::test_other"))
    found = gate_changes("distill.yaml", before, [], named)
    expected = [*removed, *(["test_other.py::test_other"] if named == ["."] else [])]
    assert [(r.nodeid, r.change) for r in found] == [(name, "removed") for name in expected]


def test_a_test_that_did_not_run_has_no_gate_removed() -> None:
    """What it asks is not known, and that it did not run is told already."""
    before = [GATE]
    assert gate_changes("c", before, [row(GATE.nodeid, Outcome.NOT_RUN)]) == []
    assert [r.config for r in gate_changes("c", before, [row("other")])] == ["c", "c"]


def test_names_stay_in_their_line() -> None:
    """A slice or criterion is the user's text."""
    (found,) = changes_between([replace(GATE, slice="a\n::error::b")], [])
    assert "\n" not in found.about


def test_gates_of_one_test_that_changed_places_are_no_change() -> None:
    """Which of two was asked first says nothing of how strict they are."""
    high, low = replace(GATE, required=0.85), replace(GATE, required=0.8)
    assert changes_between([high, low], [low, high]) == []
    found = changes_between([high, low, low], [low, replace(GATE, required=0.7), high])
    assert [(row.change, row.before, row.now) for row in found] == [("lowered", ">= 0.8", ">= 0.7")]


def test_a_gate_that_was_excused_is_a_gate() -> None:
    """The first run of a gate that needs a baseline asks all that later ones do."""
    first = replace(row(GATE.nodeid, Outcome.NOT_RUN), excused="no baseline yet")
    (kept,) = accepted_gates([first])
    assert kept == GATE
    assert gate_changes("c", [kept], [row(GATE.nodeid)]) == []
    assert [r.change for r in gate_changes("c", [kept], [])] == ["removed"]
    assert gate_changes("c", [GATE], [first]) == []
