"""What a metric of the user's own gives is checked before numpy makes numbers of it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from pytest_distill.errors import EvaluationError
from pytest_distill.evals.metrics import Answer, Metric
from pytest_distill.evaluation.measured import MeasuredEvaluation
from tests.unit.conftest import MakeComparison


class Own(Metric):
    """A corpus metric that gives what it was built with."""

    name = "own"

    def __init__(self, scores: Any = None, statistics: Any = None, aggregate: Any = 0.5) -> None:
        self.given = scores, statistics, aggregate

    def scores(self, answers: Sequence[Answer]) -> Any:
        """Return the scores, the same for each example."""
        return [self.given[0]] * len(answers)

    def statistics(self, answers: Sequence[Answer]) -> Any:
        """Return one row an example."""
        rows = self.given[1]
        return rows(len(answers)) if callable(rows) else np.array([rows] * len(answers))

    def aggregate(self, totals: Any) -> Any:  # noqa: ARG002 (a Metric)
        """Return the score of all."""
        return self.given[2]


@pytest.fixture
def student(make_comparison: MakeComparison) -> MeasuredEvaluation:
    """Return an evaluation of two examples."""
    evaluation = make_comparison("ab", "ab", "ab").evaluation("student")
    assert isinstance(evaluation, MeasuredEvaluation)
    return evaluation


@pytest.mark.parametrize("value", ["0.5", None, 1j, b"1"])
def test_scores_are_numbers(student: MeasuredEvaluation, value: object) -> None:
    """Text is refused though numpy reads it; metric, example and value are named."""
    with pytest.raises(EvaluationError, match=r"gold.jsonl:1 \(id 'e0'\): metric 'own' gave "):
        student.scores(Own(scores=value))


@pytest.mark.parametrize("value", [True, 1, 0.5, Fraction(1, 2), np.float32(0.5), np.bool_(True)])
def test_every_kind_of_real_number_is_one(student: MeasuredEvaluation, value: Any) -> None:
    """Exact ones and truth values too."""
    assert student.scores(Own(scores=value)).tolist() == [float(value)] * 2


@pytest.mark.parametrize("row", [["1", 2], [None, 1.0], ["1", "2"]])
def test_statistics_are_numbers(student: MeasuredEvaluation, row: list[object]) -> None:
    """What a corpus metric counts is checked like its scores."""
    with pytest.raises(EvaluationError, match=r"id 'e0'\): metric 'own' gave "):
        student.exact_score(Own(statistics=row))


def test_rows_have_one_length(student: MeasuredEvaluation) -> None:
    """Their sums would mean nothing."""
    ragged = Own(statistics=lambda n: [[1.0] * (i + 1) for i in range(n)])
    with pytest.raises(EvaluationError, match="metric 'own' gave rows of different lengths"):
        student.exact_score(ragged)


@pytest.mark.parametrize("value", ["0.5", None, [0.5], np.array([0.5]), 0.5j])
def test_the_score_of_all_is_a_number(student: MeasuredEvaluation, value: object) -> None:
    """One number, not text, nor a list with one."""
    with pytest.raises(EvaluationError, match=r"metric 'own' gave .* as the score of all examples"):
        student.exact_score(Own(statistics=[1.0], aggregate=value))
