"""The answers of several processes side by side."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_distill.report.examples import (
    ExampleTable,
    ModelAnswers,
    joined,
    packed,
    pair_rows,
    unpacked,
)
from pytest_distill.report.share import Listing

TEACHER = ModelAnswers("teacher", "teacher", ("a", "b"), (1.0, 1.0))
STUDENT = ModelAnswers("student", "student", ("a", "x"), (1.0, 0.0))
TABLE = ExampleTable(
    config="distill.yaml",
    eval="reviews",
    metric="accuracy",
    higher_is_better=True,
    right_or_wrong=True,
    ids=("e0", "e1"),
    inputs=("<script>\x00", "\u2028\ud800"),
    targets=("a", "b"),
    slices={"lang": ("de", "en")},
    models=(STUDENT,),
)
LISTINGS = {"distill.yaml": Listing(("teacher", "student"), {"other": (), "reviews": ()})}


def test_what_crosses_processes_is_read_back_as_it_was() -> None:
    """Whatever stands in the texts."""
    assert unpacked(packed([TABLE])) == [TABLE]


def test_what_is_no_table_is_a_value_error() -> None:
    """As an xdist worker of another version might send it."""
    with pytest.raises(ValueError, match="header"):
        unpacked(b"no table")


def test_models_of_several_processes_stand_side_by_side() -> None:
    """In the order of distill.yaml, with what each gained over the teacher."""
    other = replace(TABLE, models=(TEACHER,))
    (found,) = joined([TABLE, other, TABLE], LISTINGS)
    assert found.models == (TEACHER, replace(STUDENT, gains=(0.0, -1.0)))


def test_a_gain_is_better_also_where_lower_is() -> None:
    """One error less than the teacher is a gain of 1."""
    table = replace(TABLE, higher_is_better=False, models=(TEACHER, STUDENT))
    (found,) = joined([table], LISTINGS)
    assert found.models[1].gains == (0.0, 1.0)


def test_evals_stand_in_the_order_of_distill_yaml() -> None:
    """Whichever ended first."""
    other = replace(TABLE, eval="other")
    assert [table.eval for table in joined([TABLE, other], LISTINGS)] == ["other", "reviews"]


def test_without_a_teacher_nobody_gained() -> None:
    """A student alone has scores, and nothing to hold them against."""
    (found,) = joined([TABLE], LISTINGS)
    assert found.models == (STUDENT,)


def test_a_student_is_counted_against_models_of_other_processes() -> None:
    """Also where lower is better; students are not held against each other."""
    sft = ModelAnswers("sft", "sft", (), (0.0, 0.5))
    table = replace(TABLE, models=(TEACHER, STUDENT, sft))
    found = [(row.other, row.wins, row.losses, row.ties) for row in pair_rows([table])]
    assert found == [("teacher", 0, 1, 1), ("sft", 1, 1, 0)]
    lower = replace(table, higher_is_better=False)
    found = [(row.other, row.wins, row.losses, row.ties) for row in pair_rows([lower])]
    assert found == [("teacher", 1, 0, 1), ("sft", 1, 1, 0)]
