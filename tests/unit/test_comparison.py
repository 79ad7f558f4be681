"""Comparisons and the gates that judge them."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import pytest

from pytest_distill.comparison.comparison import FlippedExamples, retention
from pytest_distill.comparison.sameness import refuse_unlike
from pytest_distill.engines import ModelInfo
from pytest_distill.errors import ComparisonError, ConfigError, EvaluationError
from pytest_distill.evals.metrics import MeanMetric
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks import Classification
from pytest_distill.evaluation.alignment import aligned
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.gates.quality import QualityRetained, Score
from pytest_distill.gates.sft import BeatsSft
from tests.unit.conftest import LETTERS, MakeComparison, classification, gold_set, scripted


def test_retained_is_the_ratio_of_the_scores(make_comparison: MakeComparison) -> None:
    """Teacher 4 of 5, student 3 of 5: three quarters of the quality."""
    comparison = make_comparison("aaaaa", "aaaab", "aaabb")
    assert comparison.exact_retained() == Fraction(3, 4)
    assert comparison.retained("accuracy") == 0.75
    assert comparison.scores == {"accuracy": {"teacher": 0.8, "student": 0.6}}


def test_flips_are_the_examples_where_the_two_part(make_comparison: MakeComparison) -> None:
    """Lost: teacher right and student wrong; won: the reverse; both wrong is neither."""
    comparison = make_comparison("aaaa", "aabb", "abab")
    assert comparison.flips == FlippedExamples(lost=("e1",), won=("e2",))


@pytest.mark.parametrize(
    ("n", "teacher", "student", "floor"), [(1000, 900, 855, 0.95), (50, 40, 36, 0.9)]
)
def test_a_ratio_at_the_floor_meets_it(
    make_comparison: MakeComparison, n: int, teacher: int, student: int, floor: float
) -> None:
    """Whole numbers decide: in floats 0.72 / 0.8 is below 0.9, though 36 of 40 is nine tenths."""
    answers = ["a" * right + "b" * (n - right) for right in (n, teacher, student)]
    assert QualityRetained(floor).judge(make_comparison(*answers)).passed


def test_one_example_less_fails(make_comparison: MakeComparison) -> None:
    """854 of 900 is 0.9488..., and prints as no more than that."""
    comparison = make_comparison("a" * 1000, "a" * 900 + "b" * 100, "a" * 854 + "b" * 146)
    verdict = QualityRetained(0.95).judge(comparison)
    assert not verdict.passed
    assert verdict.observed == pytest.approx(854 / 900)
    assert verdict.message.startswith("assert 0.9488 >= 0.95 quality retained (accuracy)\n")


def test_a_slice_is_judged_alone(make_comparison: MakeComparison) -> None:
    """The student keeps all in one language and half in the other."""
    comparison = make_comparison("aaaa", "aaaa", "aaab", langs="ddee")
    assert QualityRetained(1.0, slice="lang=d").judge(comparison).passed
    verdict = QualityRetained(0.6, slice={"lang": "e"}).judge(comparison)
    assert (verdict.observed, verdict.n, verdict.slice) == (0.5, 2, "lang=e")


def test_a_failing_message_names_the_worst_slice_first(make_comparison: MakeComparison) -> None:
    """The reader sees where the student falls short."""
    comparison = make_comparison("aaaa", "aaaa", "aaab", langs="ddee")
    lines = QualityRetained(0.9).judge(comparison).message.splitlines()
    assert lines[-2].split() == ["lang=e", "2", "1.0000", "0.5000", "0.5000"]
    assert lines[-1].split() == ["lang=d", "2", "1.0000", "1.0000", "1.0000"]


def test_a_teacher_that_scores_nothing_has_no_quality_to_keep(
    make_comparison: MakeComparison,
) -> None:
    """Zero is an error and never a pass."""
    with pytest.raises(ComparisonError, match="the teacher scores 0"):
        QualityRetained(0.5).judge(make_comparison("aa", "bb", "aa"))


@pytest.mark.parametrize(
    ("higher", "student", "teacher", "ratio"),
    [
        (True, 3, 4, Fraction(3, 4)),
        (False, 20, 15, Fraction(3, 4)),
        (False, 15, 20, Fraction(4, 3)),
    ],
)
def test_retention_has_a_direction(
    higher: bool, student: int, teacher: int, ratio: Fraction
) -> None:
    """Where lower is better the ratio is turned round, so that 1.0 is as good as the teacher."""
    metric = MeanMetric("m", lambda _: 0.0, higher, (0, math.inf))
    assert retention(Fraction(student), Fraction(teacher), metric, "here") == ratio


def test_beating_sft_takes_more_than_a_tie(make_comparison: MakeComparison) -> None:
    """Equal scores do not beat, one example more does, unless a gain is asked for."""
    tie = make_comparison("aaaa", "aaaa", "aaab", "aaba")
    assert not BeatsSft(confidence=None).judge(tie).passed
    better = make_comparison("aaaa", "aaaa", "aaab", "aabb")
    assert BeatsSft(confidence=None).judge(better).passed
    assert not BeatsSft(min_gain=0.25, confidence=None).judge(better).passed
    assert BeatsSft(min_gain=0.24, confidence=None).judge(better).passed


@pytest.mark.parametrize(
    ("sizes", "tolerance", "refused"),
    [((100, 105), 0.05, False), ((100, 106), 0.05, True), ((100, 90), 0.1, False)],
)
def test_an_sft_student_of_another_size_is_refused(
    make_comparison: MakeComparison, sizes: tuple[int, int], tolerance: float, refused: bool
) -> None:
    """A bigger or smaller baseline says nothing of distilling; the tolerance is inclusive."""
    comparison = make_comparison("aa", "aa", "aa", "ab", sizes=sizes, tolerance=tolerance)
    if refused:
        with pytest.raises(ComparisonError, match=r"they differ by 6\.0%, more than"):
            BeatsSft().judge(comparison)
    else:
        assert BeatsSft(confidence=None).judge(comparison).passed


def test_an_unknown_size_is_noted(make_comparison: MakeComparison) -> None:
    """Nobody can check it, so the verdict says so."""
    verdict = BeatsSft().judge(make_comparison("aa", "aa", "aa", "ab", sizes=(None, 10)))
    assert "the size of student is not known" in verdict.notes


def test_a_model_that_is_not_there_is_named(make_comparison: MakeComparison) -> None:
    """The error says which role a gate lacks."""
    with pytest.raises(ConfigError, match="the role 'sft' is needed"):
        BeatsSft().judge(make_comparison("aa", "aa", "aa"))


@pytest.mark.parametrize(
    ("bound", "passed"), [({"min": 0.75}, True), ({"min": 0.7501}, False)], ids=str
)
def test_an_absolute_floor(
    make_comparison: MakeComparison, bound: dict[str, float], passed: bool
) -> None:
    """A score that equals the floor meets it."""
    verdict = Score(bound.get("min"), max=bound.get("max")).judge(
        make_comparison("aaaa", "aaaa", "aaab")
    )
    assert (verdict.passed, verdict.observed, verdict.model) == (passed, 0.75, "student")


@pytest.mark.parametrize("bounds", [{}, {"max": 0.5}, {"min": 0.1, "max": 0.5}], ids=str)
def test_the_bound_must_fit_the_direction(
    make_comparison: MakeComparison, bounds: dict[str, float]
) -> None:
    """A ceiling on accuracy would pass the worst model."""
    with pytest.raises(ConfigError, match="higher accuracy is better: give min="):
        Score(bounds.get("min"), max=bounds.get("max")).judge(make_comparison("aa", "aa", "aa"))


def test_a_ceiling_where_lower_is_better(make_comparison: MakeComparison) -> None:
    """The score at the ceiling meets it, above it fails, and prints rounded up."""
    cost = MeanMetric("cost", lambda answer: 0.1234567 * (not answer.correct), False)
    comparison = make_comparison("aa", "aa", "ab")
    assert Score(max=0.07, metric=cost).judge(comparison).passed
    verdict = Score(max=0.06, metric=cost).judge(comparison)
    assert verdict.message.startswith("assert 0.0618 <= 0.06 cost of student")


def test_an_unknown_metric_is_refused(make_comparison: MakeComparison) -> None:
    """The error offers the nearest name."""
    with pytest.raises(ConfigError, match="did you mean 'accuracy'"):
        QualityRetained(0.9, metric="acuracy").judge(make_comparison("aa", "aa", "aa"))


def test_a_metric_of_the_task_needs_no_listing(make_comparison: MakeComparison) -> None:
    """macro_f1 suits classification, so that a test may ask for it."""
    verdict = QualityRetained(1.0, metric="macro_f1").judge(make_comparison("ab", "ab", "ab"))
    assert verdict.metric == "macro_f1"
    assert verdict.passed


def test_an_evaluation_of_something_else_is_refused() -> None:
    """Other examples, another prompt and other contents are told apart."""
    gold = gold_set("aa")
    on = classification(gold)
    predictions = tuple(Prediction(e.id, prediction="a") for e in gold)
    made = MeasuredEvaluation(ModelInfo("old", "teacher"), on, predictions)
    refuse_unlike(made, classification(gold_set("aa")))
    for other, what in (
        (classification(gold_set("aaa")), "other examples"),
        (replace(on, task=Classification(labels=LETTERS, prompt="{{ input }}!")), "another prompt"),
        (classification(gold_set("ab")), "other contents"),
    ):
        with pytest.raises(ComparisonError, match=what):
            refuse_unlike(made, other)


def test_predictions_must_cover_the_gold_set() -> None:
    """One missing, one surplus and one twice are each named."""
    on = classification(gold_set("aa"))
    first, second, third = (Prediction(f"e{i}", prediction="a") for i in range(3))
    assert aligned([second, first], on, "p") == (first, second)
    for predictions, problem in (
        ([first], "no prediction for example 'e1'"),
        ([first, second, third], "not in the gold set: 'e2'"),
        ([first, second, first], "two predictions for example 'e0'"),
    ):
        with pytest.raises(EvaluationError, match=problem):
            aligned(predictions, on, "p")


@pytest.mark.parametrize("bad", [math.nan, math.inf, 1.5, -0.1])
def test_a_score_that_is_none_is_refused(bad: float) -> None:
    """NaN, infinite and out-of-range scores name the example and never pass."""
    gold = gold_set("ab")
    on = classification(gold)
    model = scripted("teacher", "teacher", gold, "ab")
    metric = MeanMetric("odd", lambda a: bad if a.example.id == "e1" else 1.0)
    with pytest.raises(EvaluationError, match="odd of example 'e1' is"):
        model.evaluate(on).score(metric)


def test_a_model_is_evaluated_once() -> None:
    """Two metrics and two questions cost one run of the engine."""
    gold = gold_set("ab")
    on = classification(gold)
    model = scripted("teacher", "teacher", gold, "ab")
    assert model.evaluate(on) is model.evaluate(on)
    assert model.engine.asked == [2]
