"""The gates beside retention and SFT: slices, suites, flips, contamination."""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from pytest_distill._util.format import floor_text
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.errors import ConfigError
from pytest_distill.evals.eval import Eval
from pytest_distill.gates.contamination import NotContaminated
from pytest_distill.gates.flips import Flips
from pytest_distill.gates.quality import QualityRetained
from pytest_distill.gates.slices import SlicesRetained
from pytest_distill.gates.suite import (
    EvalScores,
    SuiteRetained,
    aggregates,
    choice_note,
    hinge_note,
)
from pytest_distill.gates.verdict import Outcome, Verdict
from tests.unit.conftest import MakeComparison

TASKS = ("CoLA", "MNLI", "MRPC", "QNLI", "QQP", "RTE", "SST-2", "STS-B", "WNLI")
# Tables of transformers' examples/research_projects/distillation/README.md.
BERT = "56.3 84.7 88.6 91.8 89.6 69.3 92.7 89.0 53.5"
DISTILBERT = "51.3 82.1 87.5 89.2 88.5 59.9 91.3 86.9 56.3"
ROBERTA = "63.6 87.6 90.2 92.8 91.9 78.7 94.8 91.2 57.7"
DISTILROBERTA = "59.3 84.0 86.6 90.8 89.4 67.9 92.5 88.3 52.1"
# Jiao et al. (2020), TinyBERT, table 1: BERT-base (teacher) and TinyBERT-4 on the GLUE dev sets.
TINYBERT_TEACHER = "83.9 83.4 71.1 90.9 93.4 52.8 85.2 87.5 67.0"
TINYBERT = "82.5 81.8 71.3 87.7 92.6 44.1 80.4 86.4 66.6"


def suite(teacher: str, student: str, tasks: tuple[str, ...] = TASKS) -> list[EvalScores]:
    """Return the rows of a published table."""
    pairs = zip(tasks, map(Fraction, teacher.split()), map(Fraction, student.split()), strict=True)
    return [EvalScores(task, t, s, s / t) for task, t, s in pairs]


@pytest.mark.parametrize(
    ("rows", "of_averages", "of_ratios"),
    [
        (suite(BERT, DISTILBERT), "96.86", "96.73"),
        (suite(BERT, DISTILBERT)[:-1], "96.18", "95.66"),
        (suite(TINYBERT_TEACHER, TINYBERT), "96.95", "96.48"),
    ],
    ids=["DistilBERT", "DistilBERT without WNLI", "TinyBERT-4"],
)
def test_aggregates_of_published_tables(
    rows: list[EvalScores], of_averages: str, of_ratios: str
) -> None:
    """Ratio of averages and average of ratios differ, as in the papers' tables, in per cent."""
    found = aggregates(rows)
    for name, published in (("ratio_of_averages", of_averages), ("average_of_ratios", of_ratios)):
        value = found[name]  # type: ignore[index]
        assert value is not None
        assert round(float(100 * value), 2) == float(published)


def test_cola_of_tinybert() -> None:
    """44.1 of 52.8 is 83.52 %, the worst of its nine tasks."""
    assert floor_text(aggregates(suite(TINYBERT_TEACHER, TINYBERT))["minimum"] or 0) == "0.8352"


def test_the_geometric_mean_lies_below_the_average() -> None:
    """Of 1/2 and 2 it is 1, where the average is 1.25."""
    found = aggregates(suite("50 50", "25 100", ("a", "b")))
    assert float(found["geometric"] or 0) == pytest.approx(1.0)
    assert found["average_of_ratios"] == Fraction(5, 4)


def test_a_verdict_that_hangs_on_one_eval_says_so() -> None:
    """DistilRoBERTa's average of ratios is below 0.95 with WNLI and above without."""
    rows = suite(ROBERTA, DISTILROBERTA)
    floor = Fraction("0.95")
    whole, rest = (aggregates(r)["ratio_of_averages"] for r in (rows, rows[:-1]))
    assert whole is not None
    assert rest is not None
    assert (whole >= floor) != (rest >= floor)
    (note,) = hinge_note(rows, "ratio_of_averages", floor)
    assert "WNLI" in note


def test_a_verdict_that_depends_on_the_aggregate_says_so() -> None:
    """Between two aggregates a floor passes by one and fails by the other."""
    values = aggregates(suite(BERT, DISTILBERT))
    (note,) = choice_note(values, Fraction("0.968"))
    assert "passes by ratio_of_averages; fails by average_of_ratios" in note
    assert choice_note(values, Fraction("0.5")) == ()


def test_a_suite_counts_each_eval_once(make_comparison: MakeComparison) -> None:
    """Two evals of different size: 1/2 and 1 make 3/4 whatever their n."""
    small = make_comparison("aa", "aa", "ab")
    big = make_comparison("a" * 10, "a" * 10, "a" * 10)
    verdict = SuiteRetained(0.8, aggregate="average_of_ratios").judge_all([small, big])
    assert verdict.observed == 0.75
    assert not verdict.passed
    assert verdict.details["aggregates"]["minimum"] == 0.5


def test_an_unknown_aggregate_is_refused(make_comparison: MakeComparison) -> None:
    """The error offers the nearest one."""
    with pytest.raises(ConfigError, match="did you mean 'geometric'"):
        SuiteRetained(0.8, aggregate="geometrik").judge(make_comparison("aa", "aa", "ab"))  # type: ignore[arg-type]


SLICED = {"langs": "d" * 40 + "e" * 40 + "f" * 4}


def test_a_slice_fails_on_evidence_against_it(make_comparison: MakeComparison) -> None:
    """40 of 40 holds, 20 of 40 is shown to fail, and four examples are too few to tell."""
    teacher = "a" * 84
    student = "a" * 40 + "a" * 20 + "b" * 20 + "a" * 4
    verdict = SlicesRetained(0.9, by="lang").judge(
        make_comparison("a" * 84, teacher, student, **SLICED)
    )
    assert verdict.outcome is Outcome.FAILED
    outcomes = {row["slice"]: row["outcome"] for row in verdict.details["slices"]}
    assert outcomes == {"lang=e": "FAILED", "lang=d": "PASSED", "lang=f": "INCONCLUSIVE"}
    assert verdict.details["slices"][0]["slice"] == "lang=e"  # the worst comes first
    header, first = verdict.message.splitlines()[4:6]
    assert header.split()[:5] == ["slice", "n", "teacher", "student", "retained"]
    assert first.split()[0] == "lang=e"


def test_small_slices_fail_only_where_strict(make_comparison: MakeComparison) -> None:
    """A student equal to its teacher passes, unless every slice must be shown to hold."""
    comparison = make_comparison("a" * 84, "a" * 84, "a" * 84, **SLICED)
    assert SlicesRetained(0.9, by="lang").judge(comparison).passed
    strict = SlicesRetained(0.9, by="lang", strict=True).judge(comparison)
    assert strict.outcome is Outcome.INCONCLUSIVE


def test_observed_slices_need_examples(make_comparison: MakeComparison) -> None:
    """Without a confidence the ratio decides, but not in a slice of four."""
    student = "a" * 80 + "abbb"
    comparison = make_comparison("a" * 84, "a" * 84, student, **SLICED)
    assert SlicesRetained(0.9, by="lang", confidence=None).judge(comparison).passed
    few = SlicesRetained(0.9, by="lang", min_examples=4, confidence=None).judge(comparison)
    assert few.outcome is Outcome.FAILED


def test_numbers_are_binned(make_comparison: MakeComparison) -> None:
    """Quartiles of 1 to 8 are four slices of two, named by their range."""
    comparison = make_comparison("a" * 8, "a" * 8, "a" * 8)
    on = comparison.on
    assert isinstance(on, Eval)
    examples = tuple(
        replace(e, fields={**e.fields, "length": i}) for i, e in enumerate(on.gold, start=1)
    )
    comparison.on = replace(on, gold=replace(on.gold, examples=examples))
    for model in comparison.models.values():
        model._evaluations.clear()
    verdict = SlicesRetained(0.5, by="length:quartiles").judge(comparison)
    named = [(row["slice"], row["n"]) for row in verdict.details["slices"]]
    assert sorted(named) == [
        ("length=1..2", 2), ("length=3..4", 2), ("length=5..6", 2), ("length=7..8", 2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("by", "problem"),
    [("lnag", "did you mean 'lang'"), ("lang:tenths", "no such bins"), ("lang:halves", "number")],
)
def test_what_cannot_be_sliced_is_refused(
    make_comparison: MakeComparison, by: str, problem: str
) -> None:
    """An unknown field, unknown bins, and a field without numbers are each named."""
    with pytest.raises(ConfigError, match=problem):
        SlicesRetained(0.5, by=by).judge(make_comparison("aa", "aa", "aa", langs="de"))


@pytest.mark.parametrize(("max_lost", "passed"), [(0.1, True), (0.0999, False)])
def test_few_right_answers_may_be_lost(
    make_comparison: MakeComparison, max_lost: float, passed: bool
) -> None:
    """One of ten is lost, and what was won does not make up for it."""
    comparison = make_comparison("a" * 10, "a" * 9 + "b", "b" + "a" * 9)
    verdict = Flips(max_lost).judge(comparison)
    assert (verdict.passed, verdict.observed) == (passed, 0.1)
    assert "1 lost: e0" in verdict.message


def test_must_keep_examples_may_not_be_wrong(make_comparison: MakeComparison) -> None:
    """Whatever the share, an example of the list that the student gets wrong fails the gate."""
    comparison = make_comparison("a" * 10, "a" * 10, "a" * 9 + "b")
    assert isinstance(comparison.on, Eval)
    comparison.on = replace(comparison.on, must_keep=("e0", "e9"))
    verdict = Flips().judge(comparison)
    assert not verdict.passed
    assert verdict.message.startswith("assert 1 <= 0 must_keep examples wrong")
    assert verdict.details["must_keep_broken"] == ["e9"]


def test_flips_need_something_to_hold_against(make_comparison: MakeComparison) -> None:
    """Neither a share nor a list: the gate could not fail."""
    with pytest.raises(ConfigError, match="give max_lost="):
        Flips().judge(make_comparison("aa", "aa", "aa"))


def test_gold_examples_in_the_training_data_are_found(
    make_comparison: MakeComparison, tmp_path: Path
) -> None:
    """A whole text by its words, and a run of three words; the rest is clean."""
    train = tmp_path / "train.jsonl"
    rows = ["Text, 0!", "something else", "before text 1 and after"]
    train.write_text("".join(json.dumps({"input": r}) + "\n" for r in rows), encoding="utf-8")
    comparison = make_comparison("aaaa", "aaaa", "abaa")
    verdict = NotContaminated(train, n=2).judge(comparison)
    assert verdict.observed == 0.5
    assert verdict.details == {"exact": ["e0"], "runs": ["e1"]}
    assert any("retained 1.0000 on the 2 clean examples" in note for note in verdict.notes)
    assert NotContaminated(train, n=2, max_overlap=0.5).judge(comparison).passed
    assert NotContaminated(train, n=None).judge(comparison).observed == 0.25


def test_a_missing_text_field_is_named(make_comparison: MakeComparison, tmp_path: Path) -> None:
    """The error names file, line and the nearest field."""
    train = tmp_path / "train.jsonl"
    train.write_text('{"inputs": "x"}\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"train\.jsonl:1: no field 'input'; did you mean"):
        NotContaminated(train).judge(make_comparison("aa", "aa", "aa"))


def retained_above(chance: Fraction, comparison: Comparison) -> Verdict:
    """Return the verdict on a comparison whose eval says what guessing gets."""
    assert isinstance(comparison.on, Eval)
    comparison.on = replace(comparison.on, chance=chance)
    for model in comparison.models.values():
        model._evaluations.clear()
    return QualityRetained(0.5).judge(comparison)


def test_retention_above_chance(make_comparison: MakeComparison) -> None:
    """0.6 of 0.8 is three quarters, but 0.2 of 0.6 above guessing at 0.2 is two thirds."""
    verdict = retained_above(Fraction(1, 5), make_comparison("aaaaa", "aaaab", "aaabb"))
    assert verdict.evidence.above_chance == pytest.approx(2 / 3)
    assert "0.6666 retained above chance" in verdict.basis


def test_of_a_teacher_at_chance_there_is_no_skill_to_retain(
    make_comparison: MakeComparison,
) -> None:
    """The teacher has 0.8, as guessing does: a share of the skill does not exist."""
    verdict = retained_above(Fraction(4, 5), make_comparison("aaaaa", "aaaab", "aaabb"))
    assert verdict.evidence.above_chance is None
    assert "above chance" not in verdict.basis
