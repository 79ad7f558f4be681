"""The gate `routable`: who answers what, and what its verdict says."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from pytest_distill.comparison.cascade import Pair
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.confidences import confidences, probabilities
from pytest_distill.engines import ModelInfo, Role
from pytest_distill.errors import ComparisonError, ConfigError, EvaluationError
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.metrics import MeanMetric
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evals.tasks import Classification, Generation, MultipleChoice, Perplexity
from pytest_distill.evaluation.figures import LatencyFigure, Provenance
from pytest_distill.evaluation.model import Model
from pytest_distill.evaluation.run_model import RunModel
from pytest_distill.gates.doubts import identical
from pytest_distill.gates.quality import QualityRetained
from pytest_distill.gates.routing import Routable
from pytest_distill.gates.verdict import Outcome
from pytest_distill.statistics.proportions import proportion_retention

Rows = Sequence[Mapping[str, Any]]
Known = Mapping[str, Mapping[str, float]]


class Said:
    """An engine that gives predictions made beforehand."""

    def __init__(self, info: ModelInfo, rows: Rows) -> None:
        self.info = info
        self.rows = rows

    def predict(self, requests: Sequence[Request]) -> Iterator[Prediction]:
        """Yield them."""
        for request, row in zip(requests, self.rows, strict=True):
            yield Prediction(id=request.id, **row)

    def close(self) -> None:
        """Hold nothing."""


def gold_of(fields: Rows) -> GoldSet:
    """Return a gold set; ids are e0, e1, ..."""
    examples = (Example(f"e{i}", dict(row), f"gold.jsonl:{i + 1}") for i, row in enumerate(fields))
    return GoldSet("gold.jsonl", tuple(examples))


def compare(on: Eval, teacher: Rows, student: Rows, known: Known | None = None) -> Comparison:
    """Return a comparison of two models that say these things; `known` is declared of each."""
    roles: list[tuple[Role, Rows]] = [("teacher", teacher), ("student", student)]
    models: dict[str, Model] = {}
    for role, rows in roles:
        engine = Said(ModelInfo(role, role), rows)
        models[role] = RunModel(role, role, lambda engine=engine: engine)  # type: ignore[misc]
        models[role].declared = (known or {}).get(role, {})
    return Comparison(on, models, None)


def labelled(right: Sequence[bool], sure: Sequence[float]) -> Rows:
    """Return a classifier's rows: the label is always `a`, and `sure` what it gives its answer."""
    return [
        {"probabilities": (p, 1 - p) if ok else (1 - p, p), "labels": ("a", "b")}
        for ok, p in zip(right, sure, strict=True)
    ]


def letters(n: int, *metrics: str) -> Eval:
    """Return an eval of `n` examples of the label `a`."""
    gold = gold_of([{"input": f"text {i}", "target": "a"} for i in range(n)])
    task = Classification(labels=("a", "b"))
    return Eval("letters", task, gold, tuple(BUILT_IN[m] for m in metrics))


def hard_tail(n: int = 1000, wrong: float = 0.2, known: Known | None = None) -> Comparison:
    """Return a student that is wrong on its least sure answers alone; the teacher never is."""
    sure = np.linspace(0.99, 0.6, n)
    right = np.arange(n) < n * (1 - wrong)
    on = letters(n, "accuracy", "macro_f1")
    return compare(
        on, labelled([True] * n, [0.9] * n), labelled(right.tolist(), sure.tolist()), known
    )


def test_the_threshold_is_where_the_student_is_still_right() -> None:
    """It is right on its surest 80 %: with these handled everything is kept, with 85 % 0.95."""
    verdict = Routable(0.8, 0.99).judge(hard_tail())
    assert verdict.outcome is Outcome.PASSED
    assert (verdict.observed, verdict.required, verdict.relation) == (0.8, 0.8, ">=")
    assert verdict.details["by"] == "max_probability"
    assert verdict.details["threshold"] == pytest.approx(np.linspace(0.99, 0.6, 1000)[799])
    assert verdict.details["retained"] == 1.0
    first = verdict.message.splitlines()[0]
    assert first == "assert 0.8000 >= 0.8 handled by the student at 0.99 retained (accuracy)"


def test_the_curve_is_of_the_pair_and_tested_like_retention() -> None:
    """At every threshold score and retained are those of the mixed answers, and p is theirs."""
    verdict = Routable(0.8, 0.9).judge(hard_tail())
    curve = verdict.details["curve"]
    assert [row["handled"] for row in curve] == [k / 20 for k in range(1, 21)]
    for row in curve:
        wrong = max(0.0, row["handled"] - 0.8)
        assert row["score"] == pytest.approx(1 - wrong)
        assert row["retained"] == pytest.approx(1 - wrong)
        pair = np.arange(1000) < 1000 * (1 - wrong) - 1e-9
        test = proportion_retention(pair.astype(float), np.ones(1000)).test(0.9)
        assert row["p_value"] == pytest.approx(test.p_retained)
    passed = [row for row in curve if row["p_value"] <= 0.05]
    assert verdict.details["threshold"] == passed[-1]["threshold"]


@pytest.mark.parametrize("floor", [0.75, 0.78, 0.82, 0.9])
def test_a_student_that_answers_all_is_judged_as_its_quality_is(floor: float) -> None:
    """`min_handled=1` passes where `quality_retained` does with the same confidence."""
    comparison = hard_tail()
    alone = QualityRetained(floor, confidence=0.95).judge(comparison)
    assert Routable(1.0, floor).judge(comparison).outcome is alone.outcome


def test_too_little_handled_fails_where_more_is_shown_to_lose_too_much() -> None:
    """0.95 handled keeps 0.85 of 1000 examples, which refutes 0.99."""
    verdict = Routable(0.95, 0.99).judge(hard_tail())
    assert verdict.outcome is Outcome.FAILED
    assert verdict.observed == 0.8
    assert verdict.details["needed"] is None


def test_too_few_examples_are_inconclusive() -> None:
    """Of 100 examples even a flawless pair is not shown to keep 0.99: the teacher answers all."""
    verdict = Routable(0.5, 0.99).judge(hard_tail(100))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.observed == 0.0
    assert verdict.details["threshold"] is None
    assert verdict.details["needed"] > 100
    assert (
        "no threshold of max_probability is shown to keep it: always the teacher" in verdict.basis
    )
    assert f"about {verdict.details['needed']:,} examples would settle it" in verdict.message


def test_what_is_cross_fitted_is_told() -> None:
    """Five folds, each with the threshold of the other four."""
    crossed = Routable(0.5, 0.9).judge(hard_tail()).details["cross_fitted"]
    assert crossed["folds"] == 5
    assert crossed["handled"] == pytest.approx(0.9, abs=0.05)
    assert crossed["retained"] == pytest.approx(1.8 - crossed["handled"], abs=0.002)


def test_a_share_that_is_asked_for_is_tried() -> None:
    """0.77 lies between two twentieths, and is a point of the curve."""
    verdict = Routable(0.77, 0.99).judge(hard_tail())
    assert 0.77 in [row["handled"] for row in verdict.details["curve"]]


def test_a_corpus_metric_is_routed_by_its_statistics() -> None:
    """Macro-F1 of the pair is that of its answers, whoever gave them."""
    rng = np.random.default_rng(0)
    gold = ["ab"[i % 2] for i in range(400)]
    sure = rng.random(400) * 0.5 + 0.5

    def rows(right: Any) -> list[dict[str, Any]]:
        said = [g if ok else "ab"[g == "a"] for g, ok in zip(gold, right, strict=True)]
        return [
            {"probabilities": (p, 1 - p) if s == "a" else (1 - p, p), "labels": ("a", "b")}
            for s, p in zip(said, sure, strict=True)
        ]

    examples = gold_of([{"input": f"t{i}", "target": g} for i, g in enumerate(gold)])
    on = Eval("letters", Classification(), examples, (BUILT_IN["macro_f1"],))
    right = sure > 0.6
    comparison = compare(on, rows(rng.random(400) < 0.97), rows(right))
    verdict = Routable(0.5, 0.95).judge(comparison)
    assert verdict.passed
    pair = Pair(comparison, BUILT_IN["macro_f1"])
    teacher = pair.teacher.answers
    for row in verdict.details["curve"]:
        handled = sure >= row["threshold"]
        mixed = [
            s if h else t for s, t, h in zip(pair.student.answers, teacher, handled, strict=True)
        ]
        score = BUILT_IN["macro_f1"].aggregate(BUILT_IN["macro_f1"].statistics(mixed).sum(axis=0))
        assert row["score"] == pytest.approx(float(score))


def test_lower_may_be_better() -> None:
    """Of an error rate the pair keeps teacher / pair."""
    n = 2000
    errors = MeanMetric("error", lambda a: float(not a.correct), higher_is_better=False)
    right = (np.arange(n) % 10 != 0).tolist()
    on = letters(n, "accuracy")
    comparison = compare(
        on, labelled(right, [0.9] * n), labelled(right, np.linspace(1, 0.6, n).tolist())
    )
    verdict = Routable(1.0, 0.9, metric=errors).judge(comparison)
    assert verdict.details["curve"][-1]["retained"] == 1.0
    assert verdict.details["augrc"]["student"] == pytest.approx(0.05, abs=1e-3)


def test_latency_and_cost_are_the_student_s_and_the_deferred_share_of_the_teacher_s() -> None:
    """The student is asked each time: 5 + 0.2 * 100 ms; what is not declared is not known."""
    known = {"teacher": {"latency_ms": 100.0, "cost_per_1k": 2.0}, "student": {"latency_ms": 5.0}}
    verdict = Routable(0.8, 0.99).judge(hard_tail(known=known))
    expected = verdict.details["expected"]
    assert expected["latency_ms"] == {
        "pair": pytest.approx(25.0), "teacher": 100.0, "student": 5.0, "source": "declared",
    }  # fmt: skip
    assert expected["cost_per_1k"]["pair"] is None
    assert (
        "expected latency 25.00 ms a request, the teacher alone 100.00 (declared)" in verdict.basis
    )
    assert "cost" not in verdict.basis


def test_a_latency_that_was_measured_counts_where_none_is_declared() -> None:
    """After a gate on speed the expected latency is known, and marked as measured."""
    comparison = hard_tail()
    provenance = Provenance({"device": "cpu", "device_name": "a chip"}, made=0.0)
    for model, seconds in ((comparison.teacher, (0.1, 0.3)), (comparison.student, (0.01, 0.03))):
        times = LatencyFigure(np.array(seconds), None, None, provenance)
        model.figures[comparison.eval, "latency"] = times
    expected = Routable(0.8, 0.99).judge(comparison).details["expected"]["latency_ms"]
    assert expected["source"] == "measured"
    assert expected["pair"] == pytest.approx(20 + 0.2 * 200)


def test_without_a_threshold_the_student_is_not_asked() -> None:
    """Then the teacher's latency is the pair's."""
    known = {"teacher": {"latency_ms": 100.0}, "student": {"latency_ms": 5.0}}
    verdict = Routable(0.5, 0.99).judge(hard_tail(100, known=known))
    assert verdict.details["expected"]["latency_ms"]["pair"] == 100.0


def test_both_models_are_calibrated_by_their_probabilities() -> None:
    """The teacher says 0.9 and is always right: off by 0.1; AUGRC of no error is 0."""
    verdict = Routable(0.8, 0.99).judge(hard_tail())
    assert verdict.details["ece"]["teacher"] == pytest.approx(0.1)
    assert verdict.details["ece_bins"] == 15
    assert verdict.details["augrc"]["teacher"] == 0.0
    # The surest 800 are right: 200 errors behind them, of 1000.
    assert verdict.details["augrc"]["student"] == pytest.approx(0.2**2 / 2)
    assert "ECE (15 bins): teacher 0.1000" in verdict.basis


def test_the_lost_examples_come_surest_first() -> None:
    """A wrong answer of high confidence bars every lower threshold."""
    rows = Routable(0.9, 0.99).lost(hard_tail(20))
    assert [row["id"] for row in rows] == ["e16", "e17", "e18", "e19"]
    sure = [float(str(row["confidence"])) for row in rows]
    assert sure == sorted(sure, reverse=True)


CHOICES = {"input": "q", "choices": ["x", "y", "z"], "target": 0}


@pytest.mark.parametrize(
    ("by", "expected"),
    [("max_probability", 0.7), ("margin", 0.5)],
)
def test_choices_are_as_sure_as_their_softmax(by: str, expected: float) -> None:
    """Log-likelihoods of 0.07, 0.02 and 0.01 are probabilities of 0.7, 0.2 and 0.1."""
    row = {"loglikelihoods": tuple(math.log(p) for p in (0.07, 0.02, 0.01))}
    on = Eval("qa", MultipleChoice(), gold_of([CHOICES]), (BUILT_IN["accuracy"],))
    pair = Pair(compare(on, [row], [row]), BUILT_IN["accuracy"])
    assert confidences(pair.student, by) == pytest.approx([expected])
    assert probabilities(pair.student) == pytest.approx([0.7])


def texts(rows: Rows) -> Comparison:
    """Return a comparison on generation whose student says these things."""
    gold = gold_of([{"input": f"q{i}", "target": "x"} for i in range(len(rows))])
    on = Eval("qa", Generation(), gold, (BUILT_IN["exact_match"],))
    return compare(on, [{"text": "x"}] * len(rows), rows)


def test_a_text_is_as_sure_as_its_tokens_on_average() -> None:
    """Its log-likelihood over the number of its tokens; no calibration is told of it."""
    rows = [{"text": "x", "loglikelihoods": (-i / 100,), "tokens": 4} for i in range(300)]
    verdict = Routable(1.0, 0.9).judge(texts(rows))
    assert verdict.passed
    assert verdict.details["by"] == "mean_log_probability"
    assert verdict.details["threshold"] == -2.99 / 4
    assert verdict.details["ece"] == {"teacher": None, "student": None}
    assert verdict.details["augrc"] == {"teacher": None, "student": 0.0}


def test_empty_texts_are_the_same_answer() -> None:
    """Two models that say nothing said the same, however likely each found it."""
    said = [Prediction("e0", text="", loglikelihoods=(-nats,), tokens=1) for nats in (1.0, 2.0)]
    pair = Pair(texts([{"text": "x"}]), BUILT_IN["exact_match"])
    one, other = (replace(pair.student, predictions=(prediction,)) for prediction in said)
    assert list(identical(one, other))


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        (Routable(0, 0.9), "min_handled=0: must be a share of the examples, above 0 and at most 1"),
        (Routable(90, 0.9), "min_handled=90: must be a share .* did you mean 0.9?"),
        (Routable(0.5, 0), "retained=0: must be a share of the teacher's, above 0"),
        (Routable(0.5, 0.9, confidence=None), "needs evidence"),
        (Routable(0.5, 0.9, by=""), "by='': must be max_probability, margin"),
        (Routable(0.5, 0.9, by="field:"), "by='field:': must be"),
        (Routable(0.5, 0.9, by=3), "by=3: must be"),  # type: ignore[arg-type]
        (Routable(0.5, 0.9, by="margn"), "were not recorded.*did you mean 'margin'"),
    ],
)
def test_a_wrong_parameter_is_refused(gate: Routable, message: str) -> None:
    """The error names it and what would be right."""
    with pytest.raises(ConfigError, match=message):
        gate.judge(hard_tail(40))


def test_an_answer_without_a_confidence_is_named() -> None:
    """The error has the example, the model, and what its prediction lacks."""
    rows: Rows = [{"text": "x", "loglikelihoods": (-1.0,), "tokens": 4}, {"text": "x"}]
    with pytest.raises(
        EvaluationError, match="example 'e1' of model 'student' has no mean_log_prob"
    ):
        Routable(0.5, 0.9).judge(texts(rows))


def test_per_cent_are_no_probabilities() -> None:
    """Beside a stated label nobody has looked at them before: the error names the example."""
    said = [{**row, "prediction": "a"} for row in labelled([True] * 40, [90.0] * 40)]
    rows = [{k: v for k, v in row.items() if k != "labels"} for row in said]
    comparison = compare(letters(40, "accuracy"), labelled([True] * 40, [0.9] * 40), rows)
    with pytest.raises(EvaluationError, match="example 'e0': the probability 90 is not between"):
        Routable(0.5, 0.5).judge(comparison)


def test_perplexity_has_no_answers_to_route() -> None:
    """A model that rates a text does not answer it."""
    gold = gold_of([{"input": "q"}] * 3)
    on = Eval("texts", Perplexity(), gold, (BUILT_IN["perplexity"],))
    rows = [{"loglikelihoods": (-4.0 - i,), "tokens": 2} for i in range(3)]
    other = [{"loglikelihoods": (-4.5 - i,), "tokens": 2} for i in range(3)]
    with pytest.raises(ConfigError, match="task perplexity"):
        Routable(0.5, 0.9).judge(compare(on, rows, other))


def test_a_teacher_that_is_never_right_has_no_share_to_keep() -> None:
    """No ratio exists, and no threshold is chosen."""
    n = 30
    comparison = compare(
        letters(n, "accuracy"), labelled([False] * n, [0.9] * n), labelled([True] * n, [0.9] * n)
    )
    with pytest.raises(ComparisonError, match="the teacher scores 0"):
        Routable(0.5, 0.9).judge(comparison)


def test_few_clusters_choose_no_threshold() -> None:
    """Of eight passages nothing is told of the next one, however many questions they have."""
    comparison = hard_tail(800)
    assert isinstance(comparison.on, Eval)
    gold = gold_of([{**e.fields, "passage": f"p{i % 8}"} for i, e in enumerate(comparison.on.gold)])
    task = comparison.on.task
    on = Eval("letters", task, gold, comparison.on.metrics, cluster="passage")
    clustered = Comparison(on, comparison.models, None)
    verdict = Routable(0.5, 0.9).judge(clustered)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert verdict.observed == 0.0


def test_observed_never_looks_better_than_it_is() -> None:
    """Two thirds handled print as 0.6666, and are under 0.6667."""
    n = 300
    sure = [0.9] * 200 + [0.6] * 100
    right = [True] * 200 + [False] * 100
    comparison = compare(
        letters(n, "accuracy"), labelled([True] * n, [0.9] * n), labelled(right, sure)
    )
    verdict = Routable(0.6667, 0.95).judge(comparison)
    assert verdict.outcome is Outcome.FAILED
    assert Fraction(str(verdict.observed)) <= Fraction(2, 3)
    assert verdict.message.startswith("assert 0.6666 >= 0.6667 handled")
