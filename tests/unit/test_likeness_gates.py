"""The gates on likeness over labels and choices, and on inherited errors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from scipy.stats import binomtest, entropy

from pytest_distill.comparison.comparison import Comparison
from pytest_distill.engines import ModelInfo, Role
from pytest_distill.errors import ComparisonError, ConfigError, ModelError
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks import Classification, Generation, MultipleChoice, Task
from pytest_distill.evals.tasks.decoding import GenerationRequest
from pytest_distill.evaluation.evaluation import Evaluation, ReportedEval
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.model import Model
from pytest_distill.gates.errors import InheritedErrors
from pytest_distill.gates.likeness import Acceptance, Agreement, Divergence
from pytest_distill.gates.verdict import Outcome
from pytest_distill.report.attempt import TestRun
from pytest_distill.report.blocks import observed_text
from pytest_distill.report.verdicts import row_of
from tests.unit.conftest import LETTERS, MakeComparison

LABELS = ("a", "b", "c")
Given = Sequence[Mapping[str, Any]]


class Fixed(Model):
    """A model whose predictions are given, in the order of the gold set."""

    def __init__(self, role: Role, given: Given) -> None:
        super().__init__(role, role)
        self.given = given

    @property
    def info(self) -> ModelInfo:
        """Its size alone."""
        return ModelInfo(self.name, self.role, parameters=10)

    def _evaluate(self, on: Eval | ReportedEval) -> Evaluation:
        assert isinstance(on, Eval)
        predictions = tuple(
            Prediction(example.id, **fields)
            for example, fields in zip(on.gold, self.given, strict=True)
        )
        return MeasuredEvaluation(self.info, on, predictions, source=f"model '{self.name}'")


def compared(
    gold: Sequence[Any],
    teacher: Given,
    student: Given,
    sft: Given | None = None,
    *,
    task: Task | None = None,
    metric: str = "accuracy",
    fields: Mapping[str, Any] | None = None,
) -> Comparison:
    """Return a comparison of given predictions; ids are e0, e1, ..."""
    examples = tuple(
        Example(
            f"e{i}", {"input": f"x{i}", "target": target, **(fields or {})}, f"gold.jsonl:{i + 1}"
        )
        for i, target in enumerate(gold)
    )
    task = task or Classification(labels=LETTERS)
    on = Eval("letters", task, GoldSet("gold.jsonl", examples), (BUILT_IN[metric],))
    models: list[Model] = [Fixed("teacher", teacher), Fixed("student", student)]
    if sft is not None:
        models.append(Fixed("sft", sft))
    return Comparison(on, {m.name: m for m in models}, None)


def chances(*values: float, labels: Sequence[str] = LABELS) -> dict[str, Any]:
    """Return a prediction with probabilities."""
    return {"probabilities": values, "labels": tuple(labels)}


P = [(0.7, 0.2, 0.1), (0.1, 0.8, 0.1), (0.3, 0.3, 0.4), (0.25, 0.5, 0.25)]
Q = [(0.6, 0.3, 0.1), (0.5, 0.4, 0.1), (0.2, 0.2, 0.6), (0.25, 0.5, 0.25)]


def four() -> Comparison:
    """Return four examples: the two part on the second."""
    return compared("abca", [chances(*p) for p in P], [chances(*q) for q in Q])


def test_agreement_counts_the_most_likely_labels() -> None:
    """Three of four: 0.75 is enough for 0.75 and not for 0.76."""
    assert Agreement(0.75).judge(four()).passed
    verdict = Agreement(0.76).judge(four())
    assert (verdict.outcome, verdict.observed) == (Outcome.FAILED, 0.75)
    assert verdict.message.startswith("assert 0.7500 >= 0.76 top-1 agreement per example\n")
    assert "worst examples: e1 (0.0000)" in verdict.message


def test_the_examples_where_they_part_are_the_lost_ones() -> None:
    """The rows of the file name them, and no other."""
    assert [row["id"] for row in Agreement(1.0).lost(four())] == ["e1"]


def test_the_divergence_is_that_of_teacher_to_student() -> None:
    """The mean over the examples is scipy's, in that direction."""
    expected = entropy(P, Q, axis=1).mean()
    verdict = Divergence(0.01).judge(four())
    assert verdict.observed == pytest.approx(expected)
    assert verdict.metric == "KL(teacher || student)"
    assert verdict.outcome is Outcome.FAILED
    assert Divergence(math.ceil(expected * 100) / 100).judge(four()).passed


def test_labels_are_matched_by_name() -> None:
    """The order of a model's outputs does not matter."""
    turned = [chances(*reversed(q), labels=LABELS[::-1]) for q in Q]
    there = compared("abca", [chances(*p) for p in P], turned)
    assert Divergence(0.1).judge(there).observed == Divergence(0.1).judge(four()).observed


def test_other_labels_are_refused() -> None:
    """The error names both sets."""
    student = [chances(*q, labels="abd") for q in Q]
    with pytest.raises(ComparisonError, match=r"'a', 'b', 'c' and 'student' 'a', 'b', 'd'"):
        Agreement(0.5).judge(compared("abaa", [chances(*p) for p in P], student))


def test_bare_labels_tell_agreement_alone(make_comparison: MakeComparison) -> None:
    """Without probabilities there is no divergence, and the error says what to record."""
    comparison = make_comparison("aabb", "aabb", "abbb")
    assert Agreement(0.75).judge(comparison).observed == 0.75
    for gate in (Divergence(1.0), Acceptance(0.1)):
        with pytest.raises(ComparisonError, match="has no probabilities for example 'e0'"):
            gate.judge(comparison)


def test_the_choices_of_an_example_are_a_distribution() -> None:
    """Log-likelihoods through a softmax; examples may have different numbers of choices."""
    given = [[-1.0, -2.0], [-5.0, -3.0]], [[-1.5, -1.0], [-9.0, -8.0]]
    teacher, student = ([{"loglikelihoods": tuple(v)} for v in of] for of in given)
    fields = {"choices": ["yes", "no"]}
    there = compared([0, 1], teacher, student, task=MultipleChoice(), fields=fields)
    verdict = Divergence(0.0).judge(there)
    expected = [
        entropy([math.exp(v) for v in p], [math.exp(v) for v in q])
        for p, q in zip(*given, strict=True)
    ]
    assert verdict.observed == pytest.approx(sum(expected) / 2)
    assert Agreement(0.5).judge(there).observed == 0.5


def test_acceptance_is_the_overlap() -> None:
    """1 - TV, and over labels a note says that drafts are of tokens."""
    overlap = [sum(map(min, p, q)) for p, q in zip(P, Q, strict=True)]
    verdict = Acceptance(0.5).judge(four())
    assert verdict.observed == pytest.approx(sum(overlap) / 4)
    assert any("about tokens" in note for note in verdict.notes)


def test_a_student_that_rules_out_what_the_teacher_does_not() -> None:
    """The divergence is infinite, fails whatever the ceiling, and is null in JSON."""
    teacher, student = [chances(0.6, 0.3, 0.1)] * 4, [chances(0.6, 0.3, 0.1)] * 3
    verdict = Divergence(1000.0).judge(
        compared("aaaa", teacher, [*student, chances(0.7, 0.3, 0.0)])
    )
    assert verdict.outcome is Outcome.FAILED
    assert verdict.message.startswith("assert infinite <= 1000.0 KL(teacher || student) per ex")
    assert "infinite on 1 of 4 examples" in verdict.basis
    row = row_of(verdict, "distill.yaml", TestRun("test_it"), None)
    assert (row.observed, row.infinite) == (None, True)
    assert observed_text(row) == "infinite"


def test_the_other_direction_may_be_zero() -> None:
    """What the teacher rules out costs a student nothing but the mass that it gives there."""
    there = compared("aa", [chances(1.0, 0.0, 0.0)] * 2, [chances(0.5, 0.25, 0.25)] * 2)
    assert Divergence(0.7).judge(there).observed == pytest.approx(math.log(2))


def test_one_model_under_two_names_is_marked() -> None:
    """Equal distributions everywhere pass, with a note that says what they look like."""
    same = [chances(*p) for p in P]
    verdict = Divergence(0.0).judge(compared("abca", same, same))
    assert verdict.passed
    assert verdict.notes == (
        "suspicious: teacher and student have the same distributions everywhere",
    )


def test_a_confident_agreement_is_the_exact_binomial(make_comparison: MakeComparison) -> None:
    """95 of 100 passes 0.89 and leaves 0.91 open; both bounds stand in the verdict."""
    comparison = make_comparison("a" * 100, "a" * 100, "a" * 95 + "b" * 5)
    bound = binomtest(95, 100, alternative="greater").proportion_ci(0.95, method="exact").low
    assert 0.89 < bound < 0.91
    assert Agreement(0.89, confidence=0.95).judge(comparison).passed
    verdict = Agreement(0.91, confidence=0.95).judge(comparison)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.evidence.interval is not None
    assert verdict.evidence.interval.one_sided_lower == pytest.approx(bound)
    assert "lower 95 % bound; observed 0.9500" in verdict.message
    failed = Agreement(0.99, confidence=0.95).judge(comparison)
    assert failed.outcome is Outcome.FAILED
    assert "upper 95 % bound" in failed.message


def test_an_observed_verdict_says_whether_it_is_firm(make_comparison: MakeComparison) -> None:
    """95 of 100 is firmly above 0.8, and within noise above 0.94."""
    comparison = make_comparison("a" * 100, "a" * 100, "a" * 95 + "b" * 5)
    assert Agreement(0.8).judge(comparison).evidence.firm is True
    within = Agreement(0.94).judge(comparison)
    assert (within.passed, within.evidence.firm) == (True, False)
    assert "examples would settle it" in within.basis


def test_slices_are_looked_at_alone(make_comparison: MakeComparison) -> None:
    """The German half agrees, the English one does not."""
    comparison = make_comparison("aaaa", "aaaa", "aabb", langs="ddee")
    assert Agreement(1.0, slice="lang=d").judge(comparison).passed
    verdict = Agreement(0.5, slice="lang=e").judge(comparison)
    assert (verdict.observed, verdict.n, verdict.slice) == (0.0, 2, "lang=e")
    assert [row["id"] for row in Agreement(0.5, slice="lang=e").lost(comparison)] == ["e2", "e3"]


@pytest.mark.parametrize("wrong", [0, -0.1, 1.1, True, "x", float("nan")])
def test_a_floor_is_a_share(make_comparison: MakeComparison, wrong: Any) -> None:
    """A floor of 0 could not fail, and one above 1 could not pass."""
    comparison = make_comparison("ab", "ab", "ab")
    for gate in (Agreement(wrong), Acceptance(wrong)):
        with pytest.raises(ConfigError, match="min="):
            gate.judge(comparison)


@pytest.mark.parametrize("wrong", [-0.1, None, float("inf")])
def test_a_ceiling_is_a_number(make_comparison: MakeComparison, wrong: Any) -> None:
    """A divergence is never below 0."""
    with pytest.raises(ConfigError, match="max="):
        Divergence(wrong).judge(make_comparison("ab", "ab", "ab"))


def test_models_that_do_not_run_cannot_be_compared_by_token() -> None:
    """The error says that only a teacher's tokens can be recorded."""
    there = compared(
        ["x"], [{"text": "x"}], [{"text": "x"}], task=Generation(), metric="exact_match"
    )
    with pytest.raises(ModelError, match="model 'student' does not run here"):
        Agreement(0.5).judge(there)


@pytest.mark.parametrize(
    ("task", "prompt", "target"),
    [
        (Generation(), "Q: x", " y"),
        (Generation(prompt="Q: x\n"), "Q: x\n", "y"),
        (Generation(chat=True), "Q: x", "y"),
    ],
)
def test_an_answer_follows_its_prompt(task: Generation, prompt: str, target: str) -> None:
    """After a blank, unless the prompt ends in one or a chat has its own way to go on."""
    text = task.gold_text(Example("e0", {"input": "Q: x", "target": ["y", "z"]}, "gold.jsonl:1"))
    assert isinstance(text.request, GenerationRequest)
    assert (text.request.prompt, text.target) == (prompt, target)


def test_inherited_errors_are_the_same_wrong_answers(make_comparison: MakeComparison) -> None:
    """Of the teacher's four errors the student repeats two, and is wrong in its own way on one."""
    comparison = make_comparison("aaaaaa", "aabbbb", "aabbca", "aabcca")
    verdict = InheritedErrors(0.5).judge(comparison)
    assert (verdict.passed, verdict.observed) == (True, 0.5)
    assert verdict.details == {
        "teacher_wrong": 4,
        "repeated": 2,
        "sft_rate": 0.25,
        "student_only": 1,
        "sft_only": 0,
        "p_value": 0.5,
    }
    failed = InheritedErrors(0.49).judge(comparison)
    assert failed.message.startswith("assert 0.5000 <= 0.49 of the errors of the teacher repea")
    assert "the SFT student repeats 0.2500 of the same" in failed.message
    assert [row["id"] for row in InheritedErrors(0.49).lost(comparison)] == ["e2", "e3"]


def test_without_an_sft_student_there_is_nothing_beside_it(
    make_comparison: MakeComparison,
) -> None:
    """Its rate is null, and the verdict stands."""
    verdict = InheritedErrors(0.5).judge(make_comparison("aaa", "abb", "abc"))
    assert verdict.passed
    assert verdict.details["sft_rate"] is None
    assert "SFT" not in verdict.message


def test_a_teacher_without_errors_tells_nothing(make_comparison: MakeComparison) -> None:
    """There is nothing to inherit: neither a pass without evidence nor a failure."""
    verdict = InheritedErrors(0.5).judge(make_comparison("aaa", "aaa", "abb", "aab"))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.message.startswith("assert 0 of 0 <= 0.5 of the errors of the teacher repeated")
    assert row_of(verdict, "distill.yaml", TestRun("test_it"), None).observed is None
    assert not verdict.reaches(1.0)  # so that no waiver covers it


def test_confident_inherited_errors_are_the_exact_binomial(
    make_comparison: MakeComparison,
) -> None:
    """3 of 60 repeated errors show at most 0.13, leave 0.1 open and 0.01 is refuted."""
    comparison = make_comparison("a" * 60, "b" * 60, "b" * 3 + "c" * 57)
    outcomes = [
        InheritedErrors(most, confidence=0.95).judge(comparison).outcome
        for most in (0.13, 0.1, 0.01)
    ]
    assert outcomes == [Outcome.PASSED, Outcome.INCONCLUSIVE, Outcome.FAILED]


def test_two_labels_leave_no_other_error(make_comparison: MakeComparison) -> None:
    """A note says why the share is that of all common errors; with three labels there is none."""
    two = InheritedErrors(0.999).judge(make_comparison("aab", "abb", "abb"))
    assert two.notes == ("two labels: whatever both get wrong is the same error",)
    assert InheritedErrors(0.999).judge(make_comparison("aac", "abb", "abb")).notes == ()


def test_texts_are_the_same_but_for_whitespace() -> None:
    """As exact_match compares them."""
    there = compared(
        ["right", "right"],
        [{"text": "wrong\n"}, {"text": "wrong"}],
        [{"text": " wrong"}, {"text": "Wrong"}],
        task=Generation(),
        metric="exact_match",
    )
    assert InheritedErrors(0.999).judge(there).observed == 0.5


def test_a_metric_that_looks_at_another_answer_is_refused() -> None:
    """accuracy_norm may find wrong what is given as the answer."""
    fields = {"choices": ["x", "yyyyyyyyyy"]}
    given = [{"loglikelihoods": (-2.0, -5.0)}] * 2
    there = compared(
        [0, 1], given, given[:], task=MultipleChoice(), metric="accuracy_norm", fields=fields
    )
    with pytest.raises(ComparisonError, match="it scores another answer than the one"):
        InheritedErrors(0.5).judge(there)


def test_graded_scores_have_no_errors(make_comparison: MakeComparison) -> None:
    """The error names metrics that have."""
    there = compared(
        ["x y"], [{"text": "x"}], [{"text": "y"}], task=Generation(), metric="token_f1"
    )
    with pytest.raises(ComparisonError, match="name a metric such as accuracy"):
        InheritedErrors(0.5).judge(there)
    with pytest.raises(ConfigError, match=r"max=1\.5"):
        InheritedErrors(1.5).judge(make_comparison("a", "a", "a"))


def test_the_observed_share_is_exact(make_comparison: MakeComparison) -> None:
    """1 of 3 is not within 0.3333."""
    comparison = make_comparison("aaa", "bbb", "bcc")
    assert not InheritedErrors(0.3333).judge(comparison).passed
    assert InheritedErrors(0.3334).judge(comparison).passed
