"""What evidence is made of: the scores of which examples, in which direction, in which clusters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
import scipy.stats

from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.evidence import (
    lost_rate,
    retention_evidence,
    score_evidence,
    suite_evidence,
)
from pytest_distill.comparison.sft_evidence import gap_recovered, needed_to_beat, paired_test
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.metrics import MeanMetric
from pytest_distill.statistics.multiple import LeastRetention
from pytest_distill.statistics.proportions import ProportionRetention
from pytest_distill.statistics.scoring import Scoring
from pytest_distill.statistics.suite import SuiteRetention
from pytest_distill.statistics.superiority import proportion_test
from tests.unit.conftest import MakeComparison
from tests.unit.test_evidence import answers, perplexity

N, GROUPS = 120, "abcdefghijkl"
LANGS = GROUPS * 10
RIGHT = {"teacher": 108, "student": 96, "sft": 84}
ACCURACY = BUILT_IN["accuracy"]
ERROR = MeanMetric("error", lambda a: float(not a.correct), higher_is_better=False)
SOFT = MeanMetric("soft", lambda a: 0.9 if a.correct else 0.2)
DISTANCE = MeanMetric("distance", lambda a: 0.1 if a.correct else 0.8, higher_is_better=False)


def scores(model: str, right: float = 1.0, wrong: float = 0.0) -> np.ndarray:
    """Return what a model scores on each example."""
    return np.where(np.arange(N) < RIGHT[model], right, wrong)


@pytest.fixture
def plain(make_comparison: MakeComparison) -> Comparison:
    """Return a teacher, a student and an SFT student of independent examples."""
    of = {model: answers(right, N) for model, right in RIGHT.items()}
    return make_comparison("a" * N, of["teacher"], of["student"], of["sft"], langs=LANGS)


@pytest.fixture
def clustered(plain: Comparison) -> Comparison:
    """Return the same in twelve clusters of ten examples."""
    on = plain.on
    assert isinstance(on, Eval)
    plain.on = Eval(on.name, on.task, on.gold, on.metrics, cluster="lang")
    return plain


def test_shares_of_right_answers_are_counted(plain: Comparison) -> None:
    """Both right, lost, won and both wrong; of errors it is the wrong ones that are shared."""
    found = retention_evidence(plain, ACCURACY)
    assert isinstance(found, ProportionRetention)
    assert found.interval() == ProportionRetention(96, 12, 0, 12).interval()
    errors = retention_evidence(plain, ERROR)
    assert errors is not None
    assert errors.observed == 12 / 24


@pytest.mark.parametrize(
    ("metric", "right", "wrong", "higher"), [(SOFT, 0.9, 0.2, True), (DISTANCE, 0.1, 0.8, False)]
)
def test_retention_of_scores_has_the_metric_s_direction(
    plain: Comparison, metric: MeanMetric, right: float, wrong: float, higher: bool
) -> None:
    """Teacher over student where lower is better."""
    found = retention_evidence(plain, metric)
    s, t = (scores(model, right, wrong) for model in ("student", "teacher"))
    assert found is not None
    assert found.observed == pytest.approx((s.sum() / t.sum()) ** (1 if higher else -1))
    assert found.interval() == Scoring(higher_is_better=higher).t_retention(s, t).interval()


@pytest.mark.parametrize("metric", [ACCURACY, ERROR])
def test_clusters_are_the_units_of_every_test(clustered: Comparison, metric: MeanMetric) -> None:
    """Of retention, of a paired test, of a score, of what is lost, and of the gap."""
    higher = metric.higher_is_better
    s, t, o = (
        scores(model, float(higher), float(not higher)) for model in ("student", "teacher", "sft")
    )
    retained = retention_evidence(clustered, metric)
    assert retained is not None
    expected = Scoring(higher_is_better=higher, clusters=LANGS).t_retention(s, t)
    assert retained.interval() == expected.interval()
    assert retained.interval().clusters == len(GROUPS)
    paired = paired_test(clustered, metric, 0.0)
    assert paired == Scoring(higher_is_better=higher, clusters=LANGS).resampling_test(s, o)
    level = score_evidence(clustered, "student", metric)
    assert level is not None
    assert level.interval().clusters == len(GROUPS)
    lost = lost_rate(clustered, ["e96", "e97", "e107"])
    assert lost.observed == (Fraction(3, N), Fraction(3, N))
    assert lost.interval().clusters == len(GROUPS)
    gap = gap_recovered(clustered, metric)
    assert gap is not None
    assert gap.recovered == pytest.approx(12 / 24)
    assert gap.clusters == len(GROUPS)


def test_a_corpus_metric_is_tested_by_clusters(clustered: Comparison) -> None:
    """The gain, its wins and losses, and its clusters are told."""
    found = paired_test(clustered, BUILT_IN["macro_f1"], 0.0)
    assert found is not None
    assert (found.wins, found.losses, found.clusters) == (12, 0, len(GROUPS))
    # Of two labels the second is never right; the first one's F1 is 2 right / (gold + said).
    assert found.gain == pytest.approx((192 / (120 + 96) - 168 / (120 + 84)) / 2)
    assert "a worst-case cluster" in found.method


def test_errors_beat_the_sft_student_as_accuracy_does(plain: Comparison) -> None:
    """The same p-value, gain, share of the gap and number of examples, and scipy's p."""
    tests = [paired_test(plain, metric, 0.0) for metric in (ACCURACY, ERROR)]
    assert tests[0] == tests[1] == proportion_test(scores("student"), scores("sft"))
    assert tests[0] is not None
    assert tests[0].p_value == pytest.approx(scipy.stats.binomtest(12, 12, 0.5, "greater").pvalue)
    mid = paired_test(plain, ACCURACY, 0.0, mid_p=True)
    assert mid is not None
    assert mid.p_value == pytest.approx(tests[0].p_value / 2)
    gaps = [gap_recovered(plain, metric) for metric in (ACCURACY, ERROR)]
    assert gaps[0] is not None
    assert gaps[1] is not None
    assert gaps[0].recovered == pytest.approx(0.5)
    assert gaps[1].lower == pytest.approx(gaps[0].lower)
    assert gaps[1].upper == pytest.approx(gaps[0].upper)
    needed = [needed_to_beat(plain, metric, 0.0, 0.99) for metric in (ACCURACY, ERROR)]
    assert needed[0] == needed[1]
    assert needed[0] is not None


def test_the_examples_that_scores_need_grow_with_confidence(plain: Comparison) -> None:
    """Whichever way is better; no number gives a p below that of all draws."""
    few, more = (needed_to_beat(plain, SOFT, 0.0, confidence) for confidence in (0.8, 0.99))
    assert few is not None
    assert more is not None
    assert few < more
    turned = needed_to_beat(plain, DISTANCE, 0.0, 0.99)
    assert turned == more
    assert needed_to_beat(plain, SOFT, 0.0, 0.99999) is None


def test_a_share_of_errors_is_held_against_a_ceiling_exactly(plain: Comparison) -> None:
    """24 of 120 are wrong: scipy's binomial test from either side."""
    found = score_evidence(plain, "student", ERROR)
    assert found is not None
    test = found.test(0.25)
    below, above = (scipy.stats.binomtest(24, N, 0.25, side).pvalue for side in ("less", "greater"))
    assert test.p_retained == pytest.approx(below)
    assert test.p_below == pytest.approx(above)


NATS = {"teacher": [20.0, 34.0, 46.0] * 8, "student": [22.0, 37.4, 50.6] * 8}
TOKENS = {model: [10, 15, 25] * 8 for model in NATS}


@pytest.mark.parametrize("metric", ["perplexity", "bits_per_byte"])
def test_a_text_s_likelihood_is_scored_per_unit(metric: str) -> None:
    """Per token and exponentiated, or in bits per byte, of the model that was asked."""
    comparison = perplexity(NATS, TOKENS)
    assert isinstance(comparison.on, Eval)
    bytes_ = sum(len(example.fields["input"].encode()) for example in comparison.on.gold.examples)
    for model, nats in NATS.items():
        found = score_evidence(comparison, model, BUILT_IN[metric])
        assert found is not None
        score = (
            math.exp(sum(nats) / sum(TOKENS[model]))
            if metric == "perplexity"
            else sum(nats) / math.log(2) / bytes_
        )
        bounds = found.interval()
        assert bounds.lower < score < bounds.upper
        assert found.test(score * 2).p_retained < 0.05
        assert found.test(score / 2).p_below < 0.05


def test_bits_per_byte_are_retained_as_teacher_over_student() -> None:
    """A student that needs a tenth more bits keeps 1 / 1.1, whatever the tokens."""
    other = {**TOKENS, "student": [12, 15, 25] * 8}
    found = retention_evidence(perplexity(NATS, other), BUILT_IN["bits_per_byte"])
    assert found is not None
    assert found.observed == pytest.approx(1 / 1.1)
    assert found.interval().method.startswith("t of log-likelihoods")


def aggregate(found: SuiteRetention | LeastRetention | None) -> float:
    """Return the aggregate that was observed."""
    assert found is not None
    return float(found.observed)


def test_a_suite_s_evidence_is_of_all_its_evals(
    plain: Comparison, make_comparison: MakeComparison
) -> None:
    """Sums beside sums, the mean of the ratios, their geometric mean, or the least of them."""
    other = make_comparison("a" * 40, answers(20, 40), answers(19, 40))
    both: Sequence[Comparison] = (plain, other)
    one, two = 96 / 108, 19 / 20
    means = (96 / 120 + 19 / 40) / (108 / 120 + 20 / 40)
    assert aggregate(suite_evidence(both, "ratio_of_averages")) == pytest.approx(means)
    assert aggregate(suite_evidence(both, "average_of_ratios")) == pytest.approx((one + two) / 2)
    assert aggregate(suite_evidence(both, "geometric")) == pytest.approx(math.sqrt(one * two))
    least = suite_evidence(both, "minimum")
    assert aggregate(least) == pytest.approx(one)
    assert least is not None
    assert least.n == 160
    alone = suite_evidence([other], "geometric")
    assert alone is not None
    assert alone.test(0.9) == ProportionRetention(19, 1, 0, 20).test(0.9)
