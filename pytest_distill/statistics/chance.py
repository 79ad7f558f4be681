"""Retention above chance."""

from __future__ import annotations

from fractions import Fraction

from pytest_distill.statistics.results import NoRatioError


def above_chance(student: Fraction, teacher: Fraction, chance: Fraction) -> Fraction:
    """Return (student - chance) / (teacher - chance): which share of the skill was retained.

    On a task with 4 choices, 0.30 of a teacher's 0.40 is 1/3 of the skill, not 3/4. It is
    arithmetic alone: no interval comes with it.

    Raises
    ------
    NoRatioError
        Where the teacher is not above chance.
    """
    if not teacher > chance:
        raise NoRatioError(
            f"the teacher scores {float(teacher):g}, and guessing {float(chance):g}: "
            "there is no skill to retain"
        )
    return (student - chance) / (teacher - chance)
