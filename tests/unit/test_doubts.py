from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from pytest_distill.comparison.chance import Side, compare_with_chance
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.engines import ModelInfo, Role
from pytest_distill.errors import ComparisonError
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks import MultipleChoice, Perplexity
from pytest_distill.evaluation.evaluation import Evaluation, ReportedEval
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.model import Model
from pytest_distill.gates.doubts import with_remarks
from pytest_distill.gates.gate import Gate
from pytest_distill.gates.likeness import Agreement
from pytest_distill.gates.quality import QualityRetained, Score
from pytest_distill.gates.size import Smaller
from pytest_distill.gates.verdict import Doubt, Evidence, Verdict
from pytest_distill.report.attempt import TestRun
from pytest_distill.report.verdicts import row_of
from tests.unit.conftest import MakeComparison


class Fixed(Model):
    """A model whose predictions are given, in the order of the gold set."""

    def __init__(self, role: Role, given: Sequence[dict[str, Any]]) -> None:
        super().__init__(role, role)
        self.given = given

    @property
    def info(self) -> ModelInfo:
        """Its name alone."""
        return ModelInfo(self.name, self.role, parameters=10)

    def _evaluate(self, on: Eval | ReportedEval) -> Evaluation:
        assert isinstance(on, Eval)
        rows = zip(on.gold, self.given, strict=True)
        predictions = tuple(Prediction(example.id, **row) for example, row in rows)
        return MeasuredEvaluation(self.info, on, predictions, source=self.name)


def on_examples(
    task: Any, metric: str, fields: Sequence[dict[str, Any]], **given: Sequence[dict[str, Any]]
) -> Comparison:
    """Return a comparison of models whose predictions are given by role."""
    examples = tuple(Example(f"e{i}", row, f"gold.jsonl:{i + 1}") for i, row in enumerate(fields))
    on = Eval("e", task, GoldSet("gold.jsonl", examples), (BUILT_IN[metric],))
    models: dict[str, Model] = {role: Fixed(role, rows) for role, rows in given.items()}  # type: ignore[arg-type]
    return Comparison(on, models, None)


def choosing(right: int, n: int, metric: str = "accuracy", k: int = 4) -> Comparison:
    """Return teacher and student that choose right on the first examples of `n`."""
    fields = [
        {"input": f"q{i}", "choices": ["a", "bbbb", "c", "d"][:k], "target": 0} for i in range(n)
    ]
    rows = [{"prediction": "0" if i < right else "1"} for i in range(n)]
    return on_examples(MultipleChoice(), metric, fields, teacher=rows, student=rows[:-1] + rows[:1])


def judged(comparison: Comparison, gate: Gate) -> Verdict:
    """Return a verdict as an assertion records it."""
    return with_remarks(gate.judge(comparison), gate, [comparison])


def test_a_teacher_above_chance_is_not_in_doubt(make_comparison: MakeComparison) -> None:
    """Its student's verdict may be firm."""
    verdict = judged(
        make_comparison("ab" * 200, "ab" * 200, "ab" * 199 + "aa"), QualityRetained(0.9)
    )
    assert verdict.evidence.firm is True
    assert verdict.notes == ()
    assert verdict.basis.endswith("; firm")


@pytest.mark.parametrize(
    ("gold", "teacher", "why"),
    [
        ("ab" * 100, "aabb" * 50, "Matthews correlation 0.0000, 95 % interval -0.1"),
        ("ab" * 100, "a" * 200, "it answers the label 'a' alone"),
        ("a" * 200, "a" * 150 + "b" * 50, "the gold set has the label 'a' alone"),
        ("ab" * 2, "ab" * 2, "Matthews correlation 1.0000"),
    ],
)
def test_a_teacher_not_shown_above_chance_is_in_doubt(
    make_comparison: MakeComparison, gold: str, teacher: str, why: str
) -> None:
    """The verdict says so loudly, and is firm nowhere: evidence, basis, message and JSON."""
    student = teacher[:-1] + ("b" if teacher[-1] == "a" else "a")
    verdict = judged(make_comparison(gold, teacher, student), QualityRetained(0.2))
    assert verdict.passed
    (note,) = [n for n in verdict.notes if "chance" in n]
    assert note.startswith("suspicious: the teacher is not shown to be above chance (")
    assert why in note
    assert verdict.evidence.firm is not True
    assert "firm" not in verdict.basis.split("; ")
    assert "  firm" not in verdict.message.splitlines()
    assert f"  note: {note}" in verdict.message.splitlines()
    told = row_of(verdict, "distill.yaml", TestRun("test_it"), None)
    assert told.firm is not True
    assert note in told.notes


def test_inverted_gold_labels_are_an_error(make_comparison: MakeComparison) -> None:
    """A share of a score that is worse than chance would be 2.4 and look splendid."""
    gold, inverted = "ab" * 50, "ba" * 45 + "ab" * 5
    comparison = make_comparison(gold, inverted, gold, "aa" * 50)
    message = "worse than chance: are the labels inverted"
    for ask in (
        lambda: QualityRetained(0.9).judge(comparison),
        lambda: Agreement(0.9).judge(comparison),
        lambda: Score(min=0.1, model="teacher").judge(comparison),
        comparison.retained,
        lambda: comparison.flips,
    ):
        with pytest.raises(ComparisonError, match=message):
            ask()
    assert Score(min=0.9).judge(comparison).passed  # the student's own score is what it is


@pytest.mark.parametrize(
    ("right", "side"), [(60, Side.ABOVE), (25, Side.UNCLEAR), (10, Side.BELOW)]
)
def test_choices_are_held_against_their_number(right: int, side: Side) -> None:
    """Of 100 questions with four choices 25 are right by chance."""
    comparison = choosing(right, 100)
    found = compare_with_chance(comparison.model("teacher").evaluate(comparison.on))
    assert found is not None
    assert found.side is side
    assert found.shown.startswith(f"{right / 100:.4f} right, 95 % interval ")
    assert found.shown.endswith("chance 0.2500")


def test_unequal_numbers_of_choices_have_a_mean_chance() -> None:
    """Half of the questions have two choices and half four: 3/8 are right by chance."""
    fields = [
        {"input": f"q{i}", "choices": ["a", "b", "c", "d"][: 2 + 2 * (i % 2)], "target": 0}
        for i in range(80)
    ]
    rows = [{"prediction": str(int(i >= 40))} for i in range(80)]
    comparison = on_examples(MultipleChoice(), "accuracy", fields, teacher=rows)
    found = compare_with_chance(comparison.model("teacher").evaluate(comparison.on))
    assert found is not None
    assert found.side is Side.ABOVE
    assert found.shown.endswith("chance 0.3750")


def test_the_headline_metric_says_which_choice_counts() -> None:
    """By length the teacher is right though its raw choice never is: accuracy_norm is looked at."""
    fields = [{"input": f"q{i}", "choices": ["xxxxxxxx", "y"], "target": 0} for i in range(30)]
    rows = [{"loglikelihoods": (-4.0, -2.0)} for _ in range(30)]
    for metric, side in (("accuracy_norm", Side.ABOVE), ("accuracy", Side.BELOW)):
        comparison = on_examples(MultipleChoice(), metric, fields, teacher=rows)
        found = compare_with_chance(comparison.model("teacher").evaluate(comparison.on))
        assert found is not None
        assert found.side is side


def test_copies_of_one_question_show_no_more_than_it() -> None:
    """Three questions asked forty times each are three, and nothing is shown by them."""
    fields = [{"input": f"q{i % 3}", "choices": ["a", "b"], "target": 0} for i in range(120)]
    rows = [{"prediction": "0"}] * 120
    comparison = on_examples(MultipleChoice(), "accuracy", fields, teacher=rows)
    found = compare_with_chance(comparison.model("teacher").evaluate(comparison.on))
    assert found is not None
    assert found.side is Side.UNCLEAR
    assert found.shown.endswith(", 3 clusters")


def test_identical_answers_are_in_doubt(make_comparison: MakeComparison) -> None:
    """One model under two names, in another dtype, or a flawless student: not told apart."""
    gold = "ab" * 100
    verdict = judged(make_comparison(gold, gold, gold), QualityRetained(0.9))
    assert (
        "suspicious: teacher and student gave identical answers to every example" in verdict.notes
    )
    assert verdict.passed
    assert verdict.evidence.firm is False
    assert verdict.basis.endswith("not firm: see what is suspicious")


@pytest.mark.parametrize(("factor", "doubted"), [(1.004, True), (1.03, False)])
def test_nearly_identical_log_likelihoods_are_in_doubt(factor: float, doubted: bool) -> None:
    """A copy in bfloat16 rates every text within a per cent of what float32 does."""
    fields = [{"input": f"text {i}"} for i in range(40)]
    teacher = [{"loglikelihoods": (-10.0 - i,), "tokens": 5 + i % 3} for i in range(40)]
    student = [
        {**row, "loglikelihoods": (row["loglikelihoods"][0] * factor,)}  # type: ignore[index]
        for row in teacher
    ]
    comparison = on_examples(Perplexity(), "perplexity", fields, teacher=teacher, student=student)
    verdict = judged(comparison, QualityRetained(0.5))
    assert any("log-likelihoods of teacher and student" in n for n in verdict.notes) is doubted
    assert verdict.evidence.firm is not doubted


def test_gates_that_look_at_no_answers_are_left_alone(make_comparison: MakeComparison) -> None:
    """A size is what it is, whatever the models answered."""
    comparison = make_comparison("ab" * 10, "ab" * 10, "ab" * 10)
    QualityRetained(0.9).judge(comparison)
    assert judged(comparison, Smaller(0.5)).notes == ()


def test_ties_and_gold_labels_that_nobody_predicts_are_counted() -> None:
    """Neither is an error, and both are what a reader asks first."""
    fields = [{"input": f"q{i}", "choices": ["a", "b"], "target": i % 2} for i in range(40)]
    teacher = [{"loglikelihoods": (-1.0 - i % 2, -2.0 + i % 2)} for i in range(40)]
    student = [*teacher[:30], *[{"loglikelihoods": (-1.0, -1.0)}] * 10]
    comparison = on_examples(MultipleChoice(), "accuracy", fields, teacher=teacher, student=student)
    notes = judged(comparison, QualityRetained(0.5)).notes
    assert "student: 10 of 40 answers are ties, which go to the first choice" in notes


def test_a_gold_label_that_no_model_predicts_is_a_note(make_comparison: MakeComparison) -> None:
    """Models may well miss a rare class; or call it otherwise."""
    comparison = make_comparison("ab" * 30 + "ccc", "ab" * 30 + "aaa", "ab" * 30 + "aab")
    notes = judged(comparison, QualityRetained(0.5)).notes
    assert notes == ("gold labels that teacher and student never predict: 'c' (3)",)


def test_the_evals_of_a_suite_are_named(make_comparison: MakeComparison) -> None:
    """One verdict over several evals says of which one a doubt is."""
    comparison = make_comparison("ab" * 100, "ab" * 100, "ab" * 100)
    gate = QualityRetained(0.9)
    verdict = with_remarks(gate.judge(comparison), gate, [comparison, comparison])
    (note,) = verdict.notes
    assert note.startswith("letters: suspicious: ")
    assert isinstance(note, Doubt)
    assert verdict.evidence.firm is False


def test_no_verdict_with_a_doubt_is_firm() -> None:
    """Whoever adds it, and however often the verdict is copied."""
    verdict = Verdict(
        *("gate", "eval", "metric", "model", 1.0, 0.9, ">="),
        outcome="PASSED",  # type: ignore[arg-type]
        confidence=None,
        n=10,
        slice=None,
        notes=(),
        message="assert 1 >= 0.9\n  firm\n  note: affirmed",
        evidence=Evidence(firm=True),
        basis="flips: 0 lost; firm",
    )
    doubted = replace(replace(verdict, notes=(Doubt("suspicious"),)), criterion="edge")
    assert doubted.evidence.firm is False
    assert doubted.basis == "flips: 0 lost; not firm: see what is suspicious"
    assert "  not firm: see what is suspicious\n  note: affirmed" in doubted.message
