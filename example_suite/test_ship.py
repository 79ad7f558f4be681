"""The criteria by which the distilled student ships."""

import pytest

from pytest_distill import (
    assert_beats_sft,
    assert_flips,
    assert_quality_retained,
    assert_slices_retained,
)

pytestmark = pytest.mark.distill(eval="reviews")


def test_keeps_the_teachers_quality() -> None:
    assert_quality_retained(min=0.92)


def test_macro_f1_too(comparison) -> None:
    comparison.assert_quality_retained(min=0.92, metric="macro_f1")


def test_distilling_paid_off() -> None:
    assert_beats_sft()


def test_every_length_and_strength() -> None:
    assert_slices_retained(min=0.85, by="length")
    assert_slices_retained(min=0.85, by="strength")


def test_mild_sentences_too() -> None:
    # Known to fall short: see `waivers` in distill.yaml.
    assert_quality_retained(min=0.90, slice="strength=mild")


def test_few_right_answers_are_lost() -> None:
    assert_flips(max_lost=0.15)


def test_is_small(teacher, student) -> None:
    assert student.info.parameters < teacher.info.parameters / 4
