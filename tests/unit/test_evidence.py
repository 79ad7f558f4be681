"""Verdicts that rest on evidence: which test decides, and what is told of it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any, cast

import pytest

from pytest_distill.comparison.comparison import Comparison
from pytest_distill.engines import ModelInfo
from pytest_distill.errors import ComparisonError, ConfigError
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.metrics import MeanMetric
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks import Perplexity
from pytest_distill.evaluation.evaluation import Evaluation, ReportedEval
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.model import Model
from pytest_distill.gates.doubts import with_remarks
from pytest_distill.gates.quality import QualityRetained
from pytest_distill.gates.sft import BeatsSft
from pytest_distill.gates.slices import SlicesRetained
from pytest_distill.gates.verdict import Outcome
from pytest_distill.report.attempt import TestRun
from pytest_distill.report.verdicts import row_of
from tests.unit.conftest import MakeComparison


def answers(right: int, n: int) -> str:
    """Return n answers, the first ones right where the gold set is all 'a'."""
    return "a" * right + "b" * (n - right)


@pytest.mark.parametrize(
    ("n", "student", "outcome"),
    [
        (1000, 900, Outcome.PASSED),
        (1000, 800, Outcome.FAILED),
        (40, 38, Outcome.INCONCLUSIVE),
    ],
)
def test_the_bound_decides_where_a_confidence_is_asked_for(
    make_comparison: MakeComparison, n: int, student: int, outcome: Outcome
) -> None:
    """Enough evidence for the floor passes, enough against it fails, else nobody knows."""
    comparison = make_comparison("a" * n, answers(n, n), answers(student, n))
    verdict = QualityRetained(0.86, confidence=0.95).judge(comparison)
    assert verdict.outcome is outcome
    assert verdict.stands is (outcome is Outcome.PASSED)


def test_a_perfect_teacher_gives_wilsons_interval(make_comparison: MakeComparison) -> None:
    """The report's lower bound for 90 of 100 by Wilson (1927), worked out by its formula."""
    comparison = make_comparison("a" * 100, answers(100, 100), answers(90, 100))
    interval = QualityRetained(0.8).judge(comparison).evidence.interval
    z = 1.959963984540054
    p, n = 0.9, 100
    centre = p + z * z / (2 * n)
    wilson = (centre - z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))) / (1 + z * z / n)
    assert interval is not None
    assert interval.lower == pytest.approx(wilson, abs=1e-9)


@pytest.mark.parametrize(("n", "outcome"), [(58, Outcome.INCONCLUSIVE), (59, Outcome.PASSED)])
def test_a_flawless_student_needs_enough_examples(
    make_comparison: MakeComparison, n: int, outcome: Outcome
) -> None:
    """.95^59 is under 5 % and .95^58 is not; what is too few says from where on it begins."""
    comparison = make_comparison("a" * n, answers(n, n), answers(n, n))
    verdict = QualityRetained(0.95, confidence=0.95).judge(comparison)
    assert verdict.outcome is outcome
    assert verdict.evidence.firm is (n == 59)
    told = any(
        "as good as the teacher begins to pass at about 59" in note for note in verdict.notes
    )
    assert told is (n == 58)


def test_an_observed_verdict_says_whether_it_is_firm(make_comparison: MakeComparison) -> None:
    """900 of 1000 is clearly above 0.86; 38 of 40 is not, and the number needed is told."""
    firm = QualityRetained(0.86).judge(
        make_comparison("a" * 1000, answers(1000, 1000), answers(900, 1000))
    )
    assert firm.evidence.firm is True
    assert firm.evidence.needed is None
    noise = QualityRetained(0.86).judge(make_comparison("a" * 40, answers(40, 40), answers(38, 40)))
    assert noise.passed
    assert noise.evidence.firm is False
    assert noise.evidence.needed is not None
    assert noise.evidence.needed > 40
    assert "within noise: about" in noise.basis


def test_the_confidence_of_the_comparison_counts_unless_the_gate_says(
    make_comparison: MakeComparison,
) -> None:
    """Argument before marker and distill.yaml, which the comparison carries."""
    comparison = make_comparison("a" * 40, answers(40, 40), answers(38, 40))
    comparison.confidence = 0.95
    assert QualityRetained(0.86).judge(comparison).outcome is Outcome.INCONCLUSIVE
    assert QualityRetained(0.86, confidence=None).judge(comparison).passed
    comparison.confidence = None
    assert QualityRetained(0.86).judge(comparison).passed


@pytest.mark.parametrize("bad", [0.5, 1.0, 95, "high", True])
def test_a_confidence_must_be_one(make_comparison: MakeComparison, bad: Any) -> None:
    """A coin's confidence, certainty and per cent are refused."""
    with pytest.raises(ConfigError, match="confidence="):
        QualityRetained(0.86, confidence=bad).judge(make_comparison("aa", "aa", "aa"))


@pytest.mark.parametrize(
    ("student", "sft", "outcome", "p"),
    [
        # 10 wins, 0 losses: 1/2^10; 3 and 0: 1/8; 9 and 1 of 10: (10 + 1) / 1024.
        ("a" * 20, answers(10, 20), Outcome.PASSED, 1 / 1024),
        ("a" * 20, answers(17, 20), Outcome.INCONCLUSIVE, 1 / 8),
        ("a" * 9 + "b" + "a" * 10, "b" * 9 + "a" * 11, Outcome.PASSED, 11 / 1024),
        (answers(17, 20), "a" * 20, Outcome.FAILED, 1.0),
        ("a" * 20, "a" * 20, Outcome.FAILED, 1.0),
    ],
)
def test_beating_sft_needs_evidence(
    make_comparison: MakeComparison, student: str, sft: str, outcome: Outcome, p: float
) -> None:
    """The exact one-sided McNemar test, with p from the binomial distribution by hand."""
    verdict = BeatsSft().judge(make_comparison("a" * 20, "a" * 20, student, sft))
    assert verdict.outcome is outcome
    assert verdict.evidence.paired is not None
    assert verdict.evidence.paired.p_value == pytest.approx(p)


def test_identical_students_are_named(make_comparison: MakeComparison) -> None:
    """No example on which the two differ: p is 1, and the words say so."""
    comparison = make_comparison("aab", "aab", "aab", "aab")
    gate = BeatsSft()
    verdict = with_remarks(gate.judge(comparison), gate, [comparison])
    assert "identical on every example" in verdict.basis
    assert any(note.startswith("suspicious: student and sft") for note in verdict.notes)


def test_the_gap_recovered_is_reported(make_comparison: MakeComparison) -> None:
    """Teacher 20, student 15, SFT 10 of 20: distilling closed half of the gap."""
    verdict = BeatsSft().judge(
        make_comparison("a" * 20, "a" * 20, answers(15, 20), answers(10, 20))
    )
    assert verdict.evidence.gap is not None
    assert verdict.evidence.gap.recovered == pytest.approx(0.5)


def test_a_teacher_no_better_than_sft_is_named(make_comparison: MakeComparison) -> None:
    """The ratio to such a teacher says nothing of distilling."""
    verdict = BeatsSft().judge(make_comparison("aaaa", "aabb", "aaaa", "aabb"))
    assert "the teacher is no better than SFT: the ratio says nothing" in verdict.notes


def test_an_undertrained_baseline_is_named(make_comparison: MakeComparison) -> None:
    """Fewer steps or fewer labels than the distilled student had are told in the verdict."""
    comparison = make_comparison("aa", "aa", "aa", "ab")
    comparison.student.trained = {"labels": 3000, "steps": 400}
    comparison.sft.trained = {"labels": 1000, "steps": 400}
    notes = BeatsSft().judge(comparison).notes
    assert any("sft had 1,000 labels, not 3,000" in note for note in notes)


@pytest.mark.parametrize("hits", [498, 499, 500])
@pytest.mark.parametrize("confidence", [0.95, None])
def test_p_at_its_level_is_one_thing_everywhere(
    make_comparison: MakeComparison,
    monkeypatch: pytest.MonkeyPatch,
    hits: int,
    confidence: float | None,
) -> None:
    """499 hits of 9,999 draws make a p of exactly .05: outcome, firm and the words agree."""
    p = (hits + 1) / 10_000
    monkeypatch.setattr(
        "pytest_distill.statistics.scoring.sign_flip_p", lambda *_, **__: (p, False)
    )
    n = 60
    comparison = make_comparison("a" * n, answers(n, n), answers(n, n), answers(20, n))
    soft = MeanMetric("soft", lambda a: 0.9 if a.correct else 0.2)
    verdict = BeatsSft(metric=soft, confidence=confidence).judge(comparison)
    assert verdict.evidence.paired is not None
    assert verdict.evidence.paired.p_value == p
    shown = hits <= 499
    assert verdict.evidence.firm is shown
    assert ("within noise" in verdict.basis) is not shown
    assert ("not shown to beat" in str(verdict.details["in_words"])) is not shown
    passes = shown or confidence is None
    assert verdict.outcome is (Outcome.PASSED if passes else Outcome.INCONCLUSIVE)


def test_a_student_beats_a_student_and_not_a_recipe(make_comparison: MakeComparison) -> None:
    """The words speak of these two students; that a recipe pays off takes several runs."""
    words = [
        BeatsSft().judge(make_comparison("a" * 20, "a" * 20, student, sft)).details["in_words"]
        for student, sft in (
            ("a" * 20, answers(10, 20)),
            ("a" * 20, answers(17, 20)),
            (answers(17, 20), "a" * 20),
        )
    ]
    assert words == [
        "this student beats this SFT student: +50.0 points (p = 0.0010)",
        "this student is not shown to beat this SFT student: +15.0 points (p = 0.1250)",
        "this student does not beat this SFT student: -15.0 points",
    ]


@pytest.mark.parametrize(("n", "outcome"), [(29, "INCONCLUSIVE"), (30, "FAILED")])
@pytest.mark.parametrize("confidence", [0.95, None])
def test_a_slice_of_few_examples_is_not_judged(
    make_comparison: MakeComparison, n: int, outcome: str, confidence: float | None
) -> None:
    """However bad it is, with a confidence as without: 30 examples are needed unless said."""
    comparison = make_comparison(
        "a" * (n + 100), "a" * (n + 100), "b" * n + "a" * 100, langs="x" * n + "y" * 100
    )
    verdict = SlicesRetained(0.95, by="lang", confidence=confidence).judge(comparison)
    told = cast("list[dict[str, Any]]", verdict.details["slices"])
    rows = {row["slice"]: row for row in told}
    assert rows["lang=x"]["outcome"] == outcome
    assert rows["lang=y"]["outcome"] == "PASSED"
    few = SlicesRetained(0.95, by="lang", confidence=confidence, min_examples=5).judge(comparison)
    assert few.outcome is Outcome.FAILED


@pytest.mark.parametrize("role", ["student", "sft"])
def test_two_roles_with_the_same_weights_are_refused(
    make_comparison: MakeComparison, role: str
) -> None:
    """A student that is the teacher retains everything, and a baseline that is the student ties."""
    comparison = make_comparison("aa", "aa", "aa", "ab")
    twins = {"student": "teacher", "sft": "student"}
    for name in (role, twins[role]):
        engine = comparison.model(name).engine
        engine.info = ModelInfo(name, "student", parameters=10, digest="d" * 64)
    gate = QualityRetained(0.5) if role == "student" else BeatsSft()
    with pytest.raises(ComparisonError, match="have the same weights"):
        gate.judge(comparison)


def test_other_bounded_scores_get_the_t_test(make_comparison: MakeComparison) -> None:
    """A metric that is not 0 or 1 is judged by t with a worst-case example."""
    soft = MeanMetric("soft", lambda a: 0.9 if a.correct else 0.2)
    verdict = QualityRetained(0.5, metric=soft).judge(
        make_comparison("a" * 30, answers(28, 30), answers(25, 30))
    )
    assert verdict.evidence.interval is not None
    assert verdict.evidence.interval.method == "t with a worst-case example"


def test_corpus_metrics_get_the_jackknife(make_comparison: MakeComparison) -> None:
    """Macro-F1 is no mean over examples."""
    gold = "ab" * 20
    verdict = QualityRetained(0.5, metric="macro_f1").judge(
        make_comparison(gold, gold[:-2] + "ba", gold[:-6] + "bababa")
    )
    assert verdict.evidence.interval is not None
    assert verdict.evidence.interval.method == "jackknife with a worst-case example"


def test_clusters_are_the_units(make_comparison: MakeComparison) -> None:
    """With 12 clusters of ten examples there are 12 independent ones."""
    n = 120
    comparison = make_comparison(
        "a" * n, answers(110, n), answers(100, n), langs="abcdefghijkl" * 10
    )
    on = comparison.on
    assert isinstance(on, Eval)
    comparison.on = Eval(on.name, on.task, on.gold, on.metrics, cluster="lang")
    for model in comparison.models.values():
        model._evaluations.clear()
    verdict = QualityRetained(0.5).judge(comparison)
    assert verdict.evidence.interval is not None
    assert verdict.evidence.interval.clusters == 12
    assert any("12 clusters" in note for note in verdict.notes)


class Fixed(Model):
    """A model whose evaluation is given."""

    def __init__(self, evaluation: Evaluation) -> None:
        super().__init__(evaluation.info.name, evaluation.info.role)
        self._given = evaluation

    @property
    def info(self) -> ModelInfo:
        """What the evaluation says."""
        return self._given.info

    def _evaluate(self, on: Eval | ReportedEval) -> Evaluation:  # noqa: ARG002 (it is given)
        return self._given


def perplexity(nats: dict[str, list[float]], tokens: dict[str, list[int]]) -> Comparison:
    """Return a perplexity comparison: model -> nats and tokens of each text."""
    texts = tuple(
        Example(f"t{i}", {"input": f"some words {i}"}, f"g:{i}")
        for i in range(len(nats["teacher"]))
    )
    on = Eval("text", Perplexity(), GoldSet("g", texts), (BUILT_IN["perplexity"],))
    models: dict[str, Model] = {}
    for role in ("teacher", "student"):
        pairs = zip(texts, nats[role], tokens[role], strict=True)
        predictions = tuple(Prediction(e.id, loglikelihoods=(-x,), tokens=k) for e, x, k in pairs)
        models[role] = Fixed(MeasuredEvaluation(ModelInfo(role, role), on, predictions))
    return Comparison(on, models, None)


def test_the_ratio_of_perplexities() -> None:
    """exp(-(difference of nats) / tokens): 10 nats more over 50 tokens keep exp(-0.2)."""
    comparison = perplexity(
        {"teacher": [20.0, 30.0, 50.0], "student": [22.0, 33.0, 55.0]},
        {"teacher": [10, 15, 25], "student": [10, 15, 25]},
    )
    verdict = QualityRetained(0.8).judge(comparison)
    assert verdict.observed == pytest.approx(math.exp(-0.2))
    assert verdict.evidence.interval is not None
    assert verdict.evidence.interval.method.startswith("t of log-likelihoods")
    assert not any("tokenizers" in note for note in verdict.notes)


def test_other_token_counts_are_noted() -> None:
    """Perplexities per different tokens are no measure of the same thing."""
    comparison = perplexity(
        {"teacher": [20.0, 30.0, 50.0], "student": [22.0, 33.0, 55.0]},
        {"teacher": [10, 15, 25], "student": [11, 15, 25]},
    )
    notes = QualityRetained(0.8).judge(comparison).notes
    # 12 bytes a text: 36 of 50 tokens and of 51.
    told = "the tokens differ in length (teacher 0.72, student 0.70 bytes a token)"
    assert any(note.startswith(told) and "gate on bits_per_byte" in note for note in notes)


def test_a_verdict_is_json(make_comparison: MakeComparison) -> None:
    """Infinite bounds become null, and the keys are those that the documentation names."""
    comparison = make_comparison("aab", "aab", "aba", "abb")
    told = json.loads(
        json.dumps(
            asdict(row_of(BeatsSft().judge(comparison), "", TestRun(), None)), allow_nan=False
        )
    )
    assert {"n", "interval", "firm", "needed", "wins", "losses", "ties", "p_value"} <= set(told)
    assert set(told["gap_recovered"]) == {"recovered", "lower", "upper", "method"}
    told = json.loads(
        json.dumps(
            asdict(row_of(QualityRetained(0.5).judge(comparison), "", TestRun(), None)),
            allow_nan=False,
        )
    )
    bounds = {"one_sided_lower", "one_sided_upper", "lower", "upper", "confidence", "method"}
    assert set(told["interval"]) == bounds
