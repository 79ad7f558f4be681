"""The gates that a student with a layer cut out does not pass."""

import pytest

from pytest_distill import assert_quality_retained


@pytest.mark.distill(eval="arc_easy")
def test_answers_like_the_teacher() -> None:
    """Most of the questions that the teacher gets right, the student must too."""
    assert_quality_retained(min=0.95)


@pytest.mark.distill(eval="passages")
def test_models_text_like_the_teacher() -> None:
    """A student whose perplexity is twice the teacher's retained one half."""
    assert_quality_retained(min=0.90)
