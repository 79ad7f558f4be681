"""The gates on endings and lengths: their numbers, and what they refuse."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from pytest_distill.comparison.comparison import Comparison
from pytest_distill.engines import ModelInfo, Role
from pytest_distill.errors import ComparisonError, ConfigError, EvaluationError
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import GoldSet
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evals.tasks import Generation
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.run_model import RunModel
from pytest_distill.gates.quality import QualityRetained
from pytest_distill.gates.texts import Finished, Length
from pytest_distill.gates.verdict import Doubt, Outcome
from tests.unit.conftest import MakeComparison, gold_set

MOST = 100
Ended = tuple[int | None, Any]
"""Number of tokens of a text, and why it ended."""


class Writes:
    """An engine that writes texts of given lengths."""

    def __init__(self, info: ModelInfo, texts: dict[str, Prediction]) -> None:
        self.info = info
        self.texts = texts

    def predict(self, requests: Sequence[Request]) -> Iterator[Prediction]:
        """Yield the text of each example."""
        yield from (self.texts[request.id] for request in requests)

    def close(self) -> None:
        """Hold nothing."""


def writes(role: Role, gold: GoldSet, ended: Sequence[Ended], wide: int = 4) -> RunModel:
    """Return a model that writes these texts, of so many characters a token."""
    texts = {
        example.id: Prediction(
            example.id, text="x" * wide * (tokens or 1), tokens=tokens, finish=finish
        )
        for example, (tokens, finish) in zip(gold, ended, strict=True)
    }
    engine = Writes(ModelInfo(role, role), texts)
    return RunModel(role, role, lambda: engine)


def compared(
    teacher: Sequence[Ended], student: Sequence[Ended], langs: str = "", wide: int = 4
) -> Comparison:
    """Return a comparison of texts of these lengths; `wide` is of the student's tokens."""
    gold = gold_set("a" * len(teacher), langs=langs)
    on = Eval("maths", Generation(max_new_tokens=MOST), gold, (BUILT_IN["exact_match"],))
    models = [writes("teacher", gold, teacher), writes("student", gold, student, wide)]
    return Comparison(on, {model.name: model for model in models}, None)


def lengths(*counts: int) -> list[Ended]:
    """Return texts of so many tokens that ended by themselves."""
    return [(count, "end") for count in counts]


def test_the_share_finished_is_held_against_the_teacher_s() -> None:
    """Stop strings and calls of tools end a text by itself: 4 of 5 against 3 of 5."""
    teacher = [(9, "end"), (9, "stop"), (9, "tool_call"), (9, "end"), (100, "length")]
    student = [(9, "end"), (9, "stop"), (9, "tool_call"), (100, "length"), (100, "length")]
    comparison = compared(teacher, student)
    assert Finished(0.75).judge(comparison).outcome is Outcome.PASSED  # exactly 3/4
    verdict = Finished(0.7500001).judge(comparison)
    assert (verdict.outcome, verdict.observed) == (Outcome.FAILED, 0.75)
    assert "teacher  finished 0.8000" in verdict.message
    assert "student  finished 0.6000" in verdict.message
    assert [row["id"] for row in Finished(0.9).lost(comparison)] == ["e3"]


def test_a_share_finished_is_as_sure_as_a_share_of_right_answers(
    make_comparison: MakeComparison,
) -> None:
    """Ended by itself or not is 1 or 0, as right or wrong is: the same bounds, the same flips."""
    teacher = lengths(*[9] * 190) + [(MOST, "length")] * 10
    student = lengths(*[9] * 187) + [(MOST, "length")] * 5 + lengths(*[9] * 8)
    right = make_comparison("a" * 200, "a" * 190 + "b" * 10, "a" * 187 + "b" * 5 + "a" * 8)
    for confidence in (None, 0.95):
        verdict = Finished(0.97, confidence=confidence).judge(compared(teacher, student))
        other = QualityRetained(0.97, confidence=confidence).judge(right)
        assert (verdict.outcome, verdict.observed) == (other.outcome, other.observed)
        assert verdict.evidence == other.evidence
        assert (verdict.evidence.lost, verdict.evidence.won) == (3, 8)


def test_a_length_says_that_a_text_ended_where_it_says_not_why() -> None:
    """Fewer tokens than max_new_tokens: by itself, as in what earlier versions stored."""
    teacher = [(99, None), (100, "length")]
    assert Finished(1.0).judge(compared(teacher, [(3, None), (100, "length")])).observed == 1.0


@pytest.mark.parametrize("tokens", [100, 101, None])
def test_an_ending_that_is_not_known_is_an_error(tokens: int | None) -> None:
    """A text of just max_new_tokens may have ended there; the message says what to do."""
    with pytest.raises(EvaluationError, match=r"'student'.*'e1'.*finish.*--distill-refresh"):
        Finished(0.9).judge(compared(lengths(5, 5), [(5, "end"), (tokens, None)]))


def test_a_student_that_never_finishes_keeps_nothing() -> None:
    """0, and a failure; of a teacher that never does no ratio exists."""
    never: list[Ended] = [(100, "length")] * 3
    verdict = Finished(0.1).judge(compared(lengths(5, 5, 5), never))
    assert (verdict.outcome, verdict.observed) == (Outcome.FAILED, 0.0)
    with pytest.raises(ComparisonError, match="teacher scores 0"):
        Finished(0.1).judge(compared(never, lengths(5, 5, 5)))


def test_the_ratio_of_lengths_is_decided_exactly() -> None:
    """18 + 30 tokens are 6/5 of 10 + 30; one more is too many. As floats 0.1 * 3 is not 0.3."""
    assert Length(1.2).judge(compared(lengths(10, 30), lengths(18, 30))).passed
    assert not Length(1.2).judge(compared(lengths(10, 30), lengths(18, 31))).passed
    assert Length(0.3).judge(compared(lengths(50, 50), lengths(15, 15))).passed
    assert Length(1.1).judge(compared(lengths(30, 30), lengths(33, 33))).passed


def test_the_bounds_of_the_ratio_are_those_of_a_t_test_with_a_longest_text_counted() -> None:
    """By root finding on S - r*T, with the text of max_new_tokens against none weighed in."""
    rng = np.random.default_rng(1)
    teacher = rng.integers(20, 60, 80)
    student = np.minimum(teacher + rng.integers(-10, 15, 80), MOST)
    verdict = Length(1.5, confidence=0.9).judge(
        compared(lengths(*map(int, teacher)), lengths(*map(int, student)))
    )
    interval = verdict.evidence.interval
    assert interval is not None

    def excess(ratio: float, level: float, unseen: float, sign: int) -> float:
        n, z = 80, scipy.stats.norm.ppf(level)
        weights = np.append(np.ones(n), 1 + (z**2 - 1) / 4)
        values = np.append(student - ratio * teacher, unseen)
        total = weights.sum()
        mean = np.average(values, weights=weights)
        error = np.sqrt(np.average((values - mean) ** 2, weights=weights) / (total - 1))
        return float(sign * mean - scipy.stats.t.ppf(level, total - 1) * error)

    upper = scipy.optimize.brentq(lambda r: excess(r, 0.9, MOST, -1), 0.5, 3)
    lower = scipy.optimize.brentq(lambda r: excess(r, 0.9, -r * MOST, 1), 0.5, 3)
    assert interval.one_sided_upper == pytest.approx(upper, rel=1e-6)
    assert interval.one_sided_lower == pytest.approx(lower, rel=1e-6)
    assert verdict.outcome is Outcome.PASSED
    assert lower < verdict.observed < upper < 1.5


def test_too_few_texts_to_be_sure_of_their_length_are_inconclusive() -> None:
    """Ten texts that are as long: one may be as long as max_new_tokens. The note says how many."""
    few = Length(1.2, confidence=0.95).judge(compared(lengths(*[20] * 10), lengths(*[20] * 10)))
    assert few.outcome is Outcome.INCONCLUSIVE
    least = next(int(word) for word in " ".join(few.notes).split() if word.isdecimal())
    enough = compared(lengths(*[20] * least), lengths(*[20] * least))
    assert Length(1.2, confidence=0.95).judge(enough).outcome is Outcome.PASSED
    less = compared(lengths(*[20] * (least - 1)), lengths(*[20] * (least - 1)))
    assert Length(1.2, confidence=0.95).judge(less).outcome is Outcome.INCONCLUSIVE


def test_texts_that_were_cut_leave_a_doubt_where_they_flatter_the_student() -> None:
    """More of the student's than of the teacher's: a pass is not firm, a failure stays one."""
    teacher, student = lengths(*[80] * 50), lengths(*[80] * 48) + [(100, "length")] * 2
    passed = Length(1.9).judge(compared(teacher, student))
    (doubt,) = (note for note in passed.notes if isinstance(note, Doubt))
    assert "teacher 0 of 50, student 2 of 50" in doubt
    assert passed.evidence.firm is False
    failed = Length(1.0).judge(compared(teacher, student))
    assert failed.outcome is Outcome.FAILED
    assert not any(isinstance(note, Doubt) for note in failed.notes)
    assert any("student 2 of 50" in note for note in failed.notes)
    both = Length(1.9).judge(compared(student, student))
    assert not any(isinstance(note, Doubt) for note in both.notes)


def test_tokens_of_other_sizes_are_told() -> None:
    """Four characters a token against two: twice the tokens are as many characters."""
    verdict = Length(3).judge(compared(lengths(10, 20), lengths(20, 40), wide=2))
    (note,) = (note for note in verdict.notes if "tokenizers" in note)
    assert "4.00 in those of teacher and 2.00 in those of student" in note
    assert "1.0000" in note
    alike = Length(3).judge(compared(lengths(10, 20), lengths(20, 40)))
    assert not any("tokenizers" in note for note in alike.notes)


def test_the_longest_offenders_come_first() -> None:
    """By their tokens above the limit; what is within it is not among them."""
    rows = Length(1.2).lost(compared(lengths(10, 50, 10), lengths(12, 80, 16)))
    assert [row["id"] for row in rows] == ["e1", "e2"]
    assert [(row["teacher"], row["student"]) for row in rows] == [
        ({"tokens": 50, "answer": "x" * 200}, {"tokens": 80, "answer": "x" * 320}),
        ({"tokens": 10, "answer": "x" * 40}, {"tokens": 16, "answer": "x" * 64}),
    ]


def test_a_slice_is_judged_alone() -> None:
    """Of e alone the student is as long, and finishes all."""
    teacher, student = lengths(10, 10, 10), [(30, "end"), (10, "end"), (100, "length")]
    comparison = compared(teacher, student, langs="ded")
    assert Length(1.0, slice="lang=e").judge(comparison).observed == 1.0
    assert Length(1.0, slice="lang=d").judge(comparison).observed == 6.5
    assert Finished(1.0, slice="lang=e").judge(comparison).observed == 1.0
    assert Finished(1.0, slice="lang=d").judge(comparison).observed == 0.5
    assert [row["id"] for row in Length(1.0, slice="lang=d").lost(comparison)] == ["e2", "e0"]


def test_a_length_that_is_not_known_is_an_error() -> None:
    """It names model and example; a teacher that writes nothing leaves no ratio."""
    with pytest.raises(EvaluationError, match=r"'student'.*'e1'.*'tokens'"):
        Length(1.2).judge(compared(lengths(5, 5), [(5, "end"), (None, "end")]))
    with pytest.raises(ComparisonError, match="no ratio exists"):
        Length(1.2).judge(compared(lengths(0, 0), lengths(5, 5)))
    assert Length(1.2).judge(compared(lengths(5, 5), lengths(0, 0))).observed == 0.0


def test_texts_that_are_longer_than_the_task_allows_are_bounded_by_nothing() -> None:
    """A file of other settings: the guess at the worst one stands in, and the method says so."""
    longer = compared(lengths(*[300] * 20), lengths(*[310, 300] * 10))
    interval = Length(1.2).judge(longer).evidence.interval
    assert interval is not None
    assert "guess" in interval.method


def test_ready_scores_alone_have_no_lengths() -> None:
    """A file of scores: the error says what it has."""
    comparison = compared(lengths(5, 5), lengths(5, 5))
    student = comparison.student.evaluate(comparison.on)
    assert isinstance(student, MeasuredEvaluation)
    scores = replace(student, predictions=(), recorded_scores={"grade": np.ones(2)})
    comparison.student._evaluations[comparison.eval] = scores
    with pytest.raises(EvaluationError, match="has ready scores for grade and no predictions"):
        Length(1.2).judge(comparison)


@pytest.mark.parametrize("ratio", [0, -1, 100, 120, float("nan"), "1.2", None, True])
def test_a_ratio_that_is_none_is_refused(ratio: Any) -> None:
    """A limit that nothing breaks, or everything."""
    with pytest.raises(ConfigError, match="max_ratio="):
        Length(ratio).judge(compared(lengths(5, 5), lengths(5, 5)))


def test_a_task_without_texts_is_refused(make_comparison: MakeComparison) -> None:
    """A label has no ending and no length."""
    for gate in (Finished(0.9), Length(1.2)):
        with pytest.raises(ConfigError, match="classification"):
            gate.judge(make_comparison("ab", "ab", "ab"))


def test_the_evidence_settles_with_as_many_examples_as_it_says() -> None:
    """So many texts of the same kind give a bound within the limit; half as many do not."""
    teacher, student = [20, 30, 40, 30], [22, 33, 46, 31]
    found = Length(1.3).judge(compared(lengths(*teacher * 5), lengths(*student * 5)))
    needed = found.evidence.needed
    assert needed is not None
    times = -(-needed // 4)
    enough = compared(lengths(*teacher * times), lengths(*student * times))
    assert Length(1.3, confidence=0.95).judge(enough).outcome is Outcome.PASSED
    assert Fraction(str(found.observed)) < Fraction("1.3")


@pytest.mark.parametrize(("wide", "told"), [(420, False), (421, True), (381, False), (380, True)])
def test_tokens_are_of_one_size_up_to_a_twentieth(wide: int, told: bool) -> None:
    """In either direction: 21 characters beside 20 are alike, the least bit more is not."""
    gold = gold_set("aa")
    on = Eval("maths", Generation(max_new_tokens=MOST), gold, (BUILT_IN["exact_match"],))
    models = [
        writes("teacher", gold, lengths(1, 1), 400),
        writes("student", gold, lengths(1, 1), wide),
    ]
    verdict = Length(3).judge(Comparison(on, {model.name: model for model in models}, None))
    assert any("tokenizers" in note for note in verdict.notes) is told


@pytest.mark.parametrize(
    ("teacher", "student", "doubted"), [(1, 2, True), (1, 1, False), (2, 1, False)]
)
def test_only_more_cut_texts_than_the_teacher_s_flatter(
    teacher: int,
    student: int,
    doubted: bool,
) -> None:
    """As many, or fewer, are told and leave no doubt."""
    each = [lengths(*[80] * (50 - cut)) + [(MOST, "length")] * cut for cut in (teacher, student)]
    verdict = Length(1.9).judge(compared(each[0], each[1]))
    (note,) = (note for note in verdict.notes if "were cut" in note)
    assert isinstance(note, Doubt) is doubted


def test_a_mean_length_is_rounded_up() -> None:
    """In the message and at a glance; 31 / 3 tokens are not 10.3."""
    verdict = Length(99.5).judge(compared(lengths(10, 10, 11), lengths(11, 10, 10)))
    assert verdict.facts[0] == "10.4 tokens, teacher 10.4"
    assert "student  10.4 tokens a text" in verdict.message


def test_a_text_that_is_a_little_too_long_is_an_offender_and_a_shorter_one_is_none() -> None:
    """Half a token above the limit counts; a number of tokens is written as a whole one."""
    (row,) = Length(1.25).lost(compared(lengths(10, 10, 10), lengths(13, 9, 12)))
    assert (row["id"], str(row["student"])) == ("e0", str({"tokens": 13, "answer": "x" * 52}))


def test_how_many_texts_are_needed_is_told_up_to_there() -> None:
    """With as many as that, or more, no note says that there are too few."""
    few = Length(1.2, confidence=0.95).judge(compared(lengths(*[20] * 10), lengths(*[20] * 10)))
    (note,) = (note for note in few.notes if "begins to pass" in note)
    least = next(int(word) for word in note.split() if word.isdecimal())
    for n in (least, least + 1):
        more = Length(1.2, confidence=0.95).judge(compared(lengths(*[20] * n), lengths(*[20] * n)))
        assert not any("begins to pass" in each for each in more.notes)
