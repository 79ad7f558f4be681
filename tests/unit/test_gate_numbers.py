"""What gates judge: the examples of their slice, with their own bound, confidence and metric."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
import scipy.stats

from pytest_distill.comparison.comparison import Comparison
from pytest_distill.errors import ConfigError, DistillError
from pytest_distill.evals.metrics import MeanMetric
from pytest_distill.gates.deciding import within
from pytest_distill.gates.errors import InheritedErrors
from pytest_distill.gates.flips import Flips
from pytest_distill.gates.quality import QualityRetained, Score
from pytest_distill.gates.sft import BeatsSft
from pytest_distill.gates.slices import SlicesRetained
from pytest_distill.gates.verdict import Outcome, Relation
from pytest_distill.statistics.proportions import ProportionRetention
from tests.unit.conftest import MakeComparison

ERROR = MeanMetric("error", lambda a: float(not a.correct), higher_is_better=False)
# In the slice d the student loses 10 of 60, of 100 in e none, and both teach what is wrong.
SLICES = {
    "d": {"gold": "a" * 60, "teacher": "a" * 55 + "c" * 5, "student": "a" * 46 + "b" * 9 + "c" * 5},
    "e": {"gold": "a" * 100, "teacher": "a" * 90 + "b" * 10, "student": "a" * 95 + "b" * 5},
}
SFT = {"d": "a" * 38 + "b" * 22, "e": "a" * 95 + "b" * 5}


def of(make: MakeComparison, *slices: str) -> Comparison:
    """Return a comparison on these slices alone."""
    joined = [
        "".join(SLICES[name][who] for name in slices) for who in ("gold", "teacher", "student")
    ]
    sft = "".join(SFT[name] for name in slices)
    langs = "".join(name * len(SFT[name]) for name in slices)
    return make(*joined, sft, langs=langs)


GATES: dict[str, Any] = {
    "retained": QualityRetained(0.9),
    "errors": QualityRetained(0.4, metric=ERROR),
    "sure": QualityRetained(0.9, confidence=0.9),
    "sft": BeatsSft(),
    "gain": BeatsSft(min_gain=0.05, mid_p=True),
    "flips": Flips(max_lost=0.1),
    "flips sure": Flips(max_lost=0.1, confidence=0.95),
    "flips by errors": Flips(max_lost=0.1, metric=ERROR),
    "inherited": InheritedErrors(max=0.5),
    "inherited sure": InheritedErrors(max=0.5, confidence=0.95),
    "score": Score(min=0.8),
    "score sure": Score(min=0.8, confidence=0.95),
    "score of errors": Score(max=0.3, metric=ERROR, confidence=0.95),
}


@pytest.mark.parametrize("slice", ["d", "e"])
@pytest.mark.parametrize("name", GATES)
def test_a_slice_is_judged_as_if_there_were_nothing_else(
    make_comparison: MakeComparison, name: str, slice: str
) -> None:
    """Number, outcome, evidence and details are those of an eval of its examples alone."""
    gate = GATES[name]
    alone = gate.judge(of(make_comparison, slice))
    among = replace(gate, slice={"lang": slice}).judge(of(make_comparison, "d", "e"))
    assert among.slice == f"lang={slice}"
    for field in ("gate", "metric", "observed", "required", "relation", "outcome", "confidence"):
        assert getattr(among, field) == getattr(alone, field), field
    assert among.n == alone.n == len(SFT[slice])
    assert among.evidence == alone.evidence
    assert among.details == alone.details


@pytest.mark.parametrize(
    ("gate", "observed", "required", "relation"),
    [
        (QualityRetained(0.9), 46 / 55, 0.9, ">="),
        (QualityRetained(0.3, metric=ERROR), 5 / 14, 0.3, ">="),
        (BeatsSft(min_gain=0.1), 46 / 60 - 38 / 60, 0.1, ">"),
        (Flips(max_lost=0.2), 9 / 60, 0.2, "<="),
        (InheritedErrors(max=0.5), 5 / 5, 0.5, "<="),
        (Score(min=0.7), 46 / 60, 0.7, ">="),
        (Score(max=0.3, metric=ERROR), 14 / 60, 0.3, "<="),
    ],
)
def test_a_verdict_tells_its_gate_s_numbers(
    make_comparison: MakeComparison, gate: Any, observed: float, required: float, relation: str
) -> None:
    """By hand: 55 of 60 right by the teacher, 46 by the student, 38 by SFT; 5 errors shared."""
    verdict = gate.judge(of(make_comparison, "d"))
    assert verdict.observed == pytest.approx(observed)
    assert (verdict.required, verdict.relation) == (required, relation)
    assert (verdict.gate, verdict.eval, verdict.model) == (gate.name, "letters", "student")


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_the_confidence_that_a_gate_asks_for_decides(
    make_comparison: MakeComparison, confidence: float
) -> None:
    """9 of 60 are lost, of at most 0.2 (p 0.21), and 46 of 60 right, of at least 0.65 (p 0.037)."""
    comparison = of(make_comparison, "d")
    for gate, test in (
        (Flips(max_lost=0.2, confidence=confidence), (9, 60, 0.2, "less")),
        (Score(min=0.65, confidence=confidence), (46, 60, 0.65, "greater")),
        (Score(max=0.35, metric=ERROR, confidence=confidence), (14, 60, 0.35, "less")),
    ):
        verdict = gate.judge(comparison)
        shown = scipy.stats.binomtest(*test).pvalue <= 1 - confidence
        assert verdict.outcome is (Outcome.PASSED if shown else Outcome.INCONCLUSIVE), gate
        assert verdict.confidence == confidence
        assert verdict.evidence.interval is not None
        assert verdict.evidence.interval.confidence == confidence
        assert (verdict.evidence.needed is not None) is not shown


def test_what_was_lost_and_won_is_counted(make_comparison: MakeComparison) -> None:
    """By the scores of a metric where lower is better the same examples are lost."""
    comparison = make_comparison("aaaa", "aabb", "abab")
    for metric in (None, ERROR):
        evidence = Flips(max_lost=0.5, metric=metric).judge(comparison).evidence
        assert (evidence.lost, evidence.won) == (1, 1)


def test_every_slice_is_told_with_its_own_interval(make_comparison: MakeComparison) -> None:
    """Teacher, student, what is retained and its bounds, the worst slice first."""
    gate = SlicesRetained(0.9, by="lang", min_examples=1)
    verdict = gate.judge(of(make_comparison, "e", "d"))
    d, e = verdict.details["slices"]
    assert (d["slice"], d["n"]) == ("lang=d", 60)
    assert (d["teacher"], d["student"]) == (55 / 60, 46 / 60)
    assert (e["slice"], e["n"]) == ("lang=e", 100)
    assert verdict.observed == d["retained"] == pytest.approx(46 / 55)
    assert e["retained"] == pytest.approx(95 / 90)
    for row, counts in ((d, (46, 9, 0, 5)), (e, (90, 0, 5, 5))):
        interval = ProportionRetention(*counts).interval()
        assert row["lower"] == pytest.approx(interval.lower)
        assert row["upper"] == pytest.approx(interval.upper)
    assert "worst slice lang=d" in verdict.basis


@pytest.mark.parametrize(
    ("gate", "told"),
    [
        (Flips(max_lost=1), "max_lost"),
        (Flips(max_lost=-0.1), "max_lost"),
        (InheritedErrors(max=1), "max"),
        (Score(min=0), "min"),
        (Score(min=1.1), "min"),
        (Score(max=0.5), "give min="),
        (Score(min=0.5, metric=ERROR), "give max="),
        (Score(max=1, metric=ERROR), "max"),
        (Score(max=-0.1, metric=ERROR), "max"),
        (BeatsSft(min_gain=-0.1), "min_gain"),
        (BeatsSft(min_gain=1), "min_gain"),
    ],
)
def test_a_bound_that_bounds_nothing_is_refused(
    make_comparison: MakeComparison, gate: Any, told: str
) -> None:
    """What every student keeps, and what none can, is no criterion; the parameter is named."""
    with pytest.raises(ConfigError, match=told):
        gate.judge(of(make_comparison, "d"))


@pytest.mark.parametrize(
    ("sizes", "fair"),
    [((100, 100), True), ((100, 105), True), ((100, 106), False), ((100, 94), False)],
)
def test_an_sft_student_of_another_size_is_no_baseline(
    make_comparison: MakeComparison, sizes: tuple[int, int], fair: bool
) -> None:
    """It may differ by the tolerance, in shares of the student's own size."""
    comparison = make_comparison("aaab", "aaab", "aaab", "aabb", sizes=sizes)
    if fair:
        assert BeatsSft().judge(comparison).observed == float(Fraction(1, 4))
        return
    with pytest.raises(DistillError, match=f"{sizes[1]}"):
        BeatsSft().judge(comparison)


@pytest.mark.parametrize(
    ("sizes", "who"),
    [((None, 100), "student"), ((100, None), "sft"), ((None, None), "student and sft")],
)
def test_sizes_that_are_not_known_are_told(
    make_comparison: MakeComparison, sizes: tuple[int | None, int | None], who: str
) -> None:
    """Whichever of the two is not known, a note names it."""
    comparison = make_comparison("aaab", "aaab", "aaab", "aabb", sizes=sizes)
    assert f"the size of {who} is not known" in BeatsSft().judge(comparison).notes


@pytest.mark.parametrize(
    ("low", "high", "relation", "outcome"),
    [
        (5, 6, ">=", Outcome.PASSED),
        (4, 5, ">=", Outcome.INCONCLUSIVE),
        (3, 4, ">=", Outcome.FAILED),
        (4, 5, "<=", Outcome.PASSED),
        (5, 6, "<=", Outcome.INCONCLUSIVE),
        (6, 7, "<=", Outcome.FAILED),
    ],
)
def test_a_bound_on_the_limit_keeps_it(
    low: int, high: int, relation: Relation, outcome: Outcome
) -> None:
    """A limit of 5 is kept by just 5: by the bound that must keep it, and by the one that may."""
    assert within(Fraction(low), Fraction(high), relation, Fraction(5)) is outcome
