"""What a gate says where it asks for more than what is between two answers of one model."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from pytest_distill.comparison.itself import Itself
from pytest_distill.gates.errors import Errors
from pytest_distill.gates.flips import Flips
from pytest_distill.gates.gate import Gate
from pytest_distill.gates.not_worse import NotWorse
from pytest_distill.gates.quality import QualityRetained

# Of 20 examples 16 right, then 18; 1 lost, 3 won: retained 9/8, the other way round 8/9.
FOUND = Itself(
    model="student",
    role="student",
    eval="e",
    metric="accuracy",
    n=20,
    first=Fraction(16, 20),
    second=Fraction(18, 20),
    retained=Fraction(9, 8),
    lower=None,
    upper=None,
    lost=1,
    won=3,
)
TURNED = replace(
    FOUND,
    first=FOUND.second,
    second=FOUND.first,
    retained=Fraction(8, 9),
    lost=FOUND.won,
    won=FOUND.lost,
)


@pytest.mark.parametrize("found", [FOUND, TURNED])
@pytest.mark.parametrize(
    ("asks_little", "asks_much", "told"),
    [
        (QualityRetained(0.88), QualityRetained(0.89), "0.8888 on 20 examples"),
        (Flips(max_lost=0.15), Flips(max_lost=0.149), "0.1500 (3 of 20 examples)"),
        (Errors(max_ratio=2), Errors(max_ratio=1.99), "2.0000 times as many on 20 examples"),
        (NotWorse(max_drop=0.1), NotWorse(max_drop=0.099), "0.1000 in accuracy on 20 examples"),
    ],
    ids=["retained", "flips", "errors", "drop"],
)
def test_a_gate_that_asks_for_more_than_noise_leaves_says_so(
    asks_little: Gate, asks_much: Gate, told: str, found: Itself
) -> None:
    """Whichever answer came first; a limit that is just met asks for no more."""
    assert asks_little.beyond_noise(found) is None
    note = asks_much.beyond_noise(found)
    assert note is not None
    assert told in note
    assert "by noise alone it would" in note


@pytest.mark.parametrize(
    "gate",
    [QualityRetained(0.5), Flips(max_lost=0.5), Errors(max_ratio=9), NotWorse(max_drop=0.5)],
    ids=lambda gate: gate.name,
)
def test_a_gate_that_asks_for_far_less_says_nothing(gate: Gate) -> None:
    """Its limit is beyond what noise makes."""
    assert gate.beyond_noise(FOUND) is None


def test_the_direction_that_was_not_seen_is_told() -> None:
    """Which answer came first is chance, so that the lower ratio counts."""
    gate = QualityRetained(0.95)
    assert "taken the other way round" in str(gate.beyond_noise(FOUND))
    assert "taken the other way round" not in str(gate.beyond_noise(TURNED))


@pytest.mark.parametrize("retained", [None, Fraction(0)])
def test_without_a_ratio_there_is_no_note_on_a_share(retained: Fraction | None) -> None:
    """Nothing is retained of a score that is 0."""
    assert QualityRetained(0.95).beyond_noise(replace(FOUND, retained=retained)) is None


def test_a_model_that_retains_all_of_itself_meets_any_floor() -> None:
    """Also one above 1, and a ratio of errors below 1."""
    same = replace(FOUND, second=FOUND.first, retained=Fraction(1), lost=0, won=0)
    for gate in (
        QualityRetained(1.2),
        Errors(max_ratio=0.5),
        Flips(max_lost=0),
        NotWorse(max_drop=0),
    ):
        assert gate.beyond_noise(same) is None


def test_a_model_without_errors_has_no_ratio_of_them() -> None:
    """One of its two answers had none."""
    flawless = replace(FOUND, second=Fraction(1), retained=Fraction(5, 4))
    assert Errors(max_ratio=1).beyond_noise(flawless) is None


def test_a_drop_is_of_the_student_alone() -> None:
    """The accepted run is not asked again, and the teacher is no part of it."""
    assert NotWorse(max_drop=0.01).beyond_noise(replace(FOUND, role="teacher")) is None


def test_only_must_keep_says_nothing_of_noise() -> None:
    """Without max_lost no share is asked for."""
    assert Flips().beyond_noise(FOUND) is None
