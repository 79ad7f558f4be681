"""The gate on the student's errors / the teacher's errors."""

from __future__ import annotations

import math

import pytest
from scipy.stats import binomtest

from pytest_distill.errors import ComparisonError, ConfigError
from pytest_distill.evals.metrics import MeanMetric
from pytest_distill.gates.errors import Errors
from pytest_distill.gates.quality import QualityRetained
from pytest_distill.gates.verdict import Outcome
from tests.unit.conftest import MakeComparison


def answers(n: int, *wrong: range) -> str:
    """Return n answers, `b` (wrong) at some places and `a` (right) elsewhere."""
    places = {place for each in wrong for place in each}
    return "".join("b" if place in places else "a" for place in range(n))


def test_three_times_the_errors_keep_99_per_cent_of_the_quality(
    make_comparison: MakeComparison,
) -> None:
    """From .995 to .985: retention passes at .98, and the ratio 3 is exact at its limit."""
    comparison = make_comparison("a" * 1000, answers(1000, range(5)), answers(1000, range(15)))
    assert QualityRetained(0.98).judge(comparison).passed
    assert Errors(3).judge(comparison).passed
    verdict = Errors(2.999).judge(comparison)
    assert (verdict.outcome, verdict.observed, verdict.relation) == (Outcome.FAILED, 3.0, "<=")
    assert verdict.details == {"student_errors": 15, "teacher_errors": 5}
    first, *_, counted, _, _ = verdict.message.splitlines()
    assert first == "assert 3.0000 <= 2.999 times the teacher's errors (accuracy)"
    assert counted == "  errors: 15 of the student, 5 of the teacher"


@pytest.mark.parametrize(("n", "outcome"), [(4, Outcome.INCONCLUSIVE), (5, Outcome.PASSED)])
def test_the_exact_bound_decides_with_a_confidence(
    make_comparison: MakeComparison, n: int, outcome: Outcome
) -> None:
    """Of n errors none is the student's: at the ratio 1 that has the probability 1 / 2^n."""
    comparison = make_comparison("a" * 200, answers(200, range(n)), "a" * 200)
    verdict = Errors(1, confidence=0.95).judge(comparison)
    interval = verdict.evidence.interval
    assert verdict.outcome is outcome
    assert verdict.passed is bool(binomtest(0, n, 0.5, alternative="less").pvalue <= 0.05)
    assert interval is not None
    assert (interval.one_sided_upper <= 1) is verdict.passed


def test_more_errors_than_allowed_fail_with_a_confidence(make_comparison: MakeComparison) -> None:
    """20 errors beside none are more than twice as many, and 3 beside none are not shown to be."""
    for errors, outcome in ((20, Outcome.FAILED), (3, Outcome.INCONCLUSIVE)):
        comparison = make_comparison("a" * 100, "a" * 100, answers(100, range(errors)))
        verdict = Errors(2, confidence=0.95).judge(comparison)
        assert (verdict.outcome, verdict.observed) == (outcome, math.inf)


def test_beside_a_teacher_without_errors_only_a_student_without_any_passes(
    make_comparison: MakeComparison,
) -> None:
    """No ratio forgives an error there; that neither has one shows nothing with a confidence."""
    flawless = make_comparison("aaaa", "aaaa", "aaaa")
    assert Errors(1).judge(flawless).passed
    assert Errors(1, confidence=0.95).judge(flawless).outcome is Outcome.INCONCLUSIVE
    assert Errors(1e9).judge(make_comparison("aaaa", "aaaa", "aaab")).outcome is Outcome.FAILED


def test_a_slice_is_counted_alone(make_comparison: MakeComparison) -> None:
    """Two of the three errors lie in one language; the lost rows are those of the slice."""
    comparison = make_comparison("aaaaaa", "abaaba", "abbabb", langs="dddeee")
    verdict = Errors(2, slice="lang=e").judge(comparison)
    assert (verdict.observed, verdict.n, verdict.slice) == (2.0, 3, "lang=e")
    assert [row["id"] for row in Errors(1, slice="lang=e").lost(comparison)] == ["e5"]


def test_scores_between_0_and_1_are_no_errors(make_comparison: MakeComparison) -> None:
    """Half a point is neither right nor wrong."""
    half = MeanMetric("half", lambda answer: 0.5 if answer.correct else 0.0, range=(0.0, 1.0))
    with pytest.raises(ComparisonError, match="its scores are not 0 or 1"):
        Errors(2, metric=half).judge(make_comparison("aa", "ab", "aa"))


@pytest.mark.parametrize("limit", [0, -1, math.nan, "2"])
def test_a_ratio_that_no_student_or_every_student_meets_is_refused(
    make_comparison: MakeComparison, limit: float
) -> None:
    """The ceiling is a number above 0."""
    with pytest.raises(ConfigError, match="max_ratio="):
        Errors(limit).judge(make_comparison("aa", "ab", "aa"))
