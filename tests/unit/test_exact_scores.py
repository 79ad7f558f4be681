"""Scores are summed as the numbers that they stand for, and no gate hangs on a float's rounding."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import f1_score, matthews_corrcoef

from pytest_distill._util.numbers import geometric_mean, retained_share, rounded_down
from pytest_distill.engines import ModelInfo, Role
from pytest_distill.errors import EvaluationError
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.metrics import Answer, MeanMetric, ScoredElsewhere
from pytest_distill.evals.metrics.base import as_number
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks import Generation
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.metric_values import exact_mean
from pytest_distill.gates.suite import EvalScores, aggregates
from pytest_distill.statistics.exact import exact_sum, meant, widened
from pytest_distill.statistics.rates import Rate

from .conftest import MakeComparison, gold_set

Floats = NDArray[np.float64]


def by_their_digits(values: Sequence[float]) -> Fraction:
    """Return the sum of the decimals that floats print as, one by one."""
    return sum((Fraction(str(value)) for value in values), Fraction(0))


@pytest.mark.parametrize(
    ("places", "scale"), [(0, 1.0), (1, 5.0), (2, 1.0), (2, 100.0), (3, 1.0), (7, 1.0), (11, 9.0)]
)
def test_scores_with_few_decimals_are_summed_as_these(places: int, scale: float) -> None:
    """0.73 is 73/100 in a sum, though no binary float is."""
    values = np.round(np.random.default_rng(places).random(3000) * scale, places)
    assert exact_sum(values) == by_their_digits(values.tolist())


@pytest.mark.parametrize("exponent", [-320, -300, -20, -6, 0, 6, 15, 20, 300])
def test_any_float_is_summed_as_the_decimal_that_it_prints_as(exponent: int) -> None:
    """With all 17 digits, of any size and of both signs."""
    values = (np.random.default_rng(1).random(500) - 0.3) * 10.0**exponent
    assert exact_sum(values) == by_their_digits(values.tolist())


def test_a_sum_of_great_and_small_loses_nothing() -> None:
    """1e300 and 1e-300 are both in it, and so is the second 0.1."""
    values = [1e300, -1e300, 1e-300, 0.1, 0.1, 5e-324, 2.0**53 + 2, 0.1 + 0.2]
    assert exact_sum(np.array(values)) == by_their_digits(values)


def test_many_great_numbers_do_not_overflow() -> None:
    """Their sum is past what 64 bits hold."""
    values = np.full(20_000, 9.0e14)
    values[0] = 0.5
    assert exact_sum(values) == 19_999 * 9 * 10**14 + Fraction(1, 2)


@pytest.mark.parametrize(("top", "part"), [(1, 3), (2, 3), (5, 7), (-22, 7), (997, 998), (200, 3)])
def test_a_share_of_few_parts_is_that_share(top: int, part: int) -> None:
    """What two of three judges say is 2/3, not the 0.6666666666666666 that it prints as."""
    assert meant(top / part) == Fraction(top, part)
    assert exact_mean(np.array([top / part] * 3 + [1.0])) == Fraction(3 * top + part, 4 * part)


@pytest.mark.parametrize("value", [0.333333, 0.3333333333333334, 1e-5, 0.1 + 0.2, 1e5 + 1 / 3])
def test_what_only_looks_like_a_share_is_a_decimal(value: float) -> None:
    """Nothing but the float nearest to a share is read as it."""
    assert meant(value) == Fraction(str(value))


def test_no_score_at_all_has_no_mean() -> None:
    """An empty mean is an error, and an empty sum 0."""
    assert exact_sum(np.array([])) == 0
    with pytest.raises(EvaluationError, match="no example"):
        exact_mean(np.array([]))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_score_of_less_precision_is_the_decimal_that_it_prints_as(
    dtype: type[np.floating],
) -> None:
    """0.73 in single precision is 0.73, not 0.7300000190734863."""
    values = np.array([[0.73, 0.1], [1.0, 0.73]], dtype)
    assert widened(values).tolist() == [[0.73, 0.1], [1.0, 0.73]]
    example = gold_set("a").examples[0]
    assert as_number(dtype(0.73), "mine", example) == 0.73


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        (np.tile([0.0, 1.0, 1.0, 0.0], 250_000), 0.5),
        (np.round(np.random.default_rng(0).random(10**6), 2), 0.5),
        (np.random.default_rng(0).integers(0, 30, 10**6) / 29, 1.0),
        (np.random.default_rng(0).random(10**6), 8.0),
    ],
    ids=["right or wrong", "two decimals", "shares", "all digits"],
)
def test_a_million_scores_are_summed_at_once(values: Floats, seconds: float) -> None:
    """It takes a hundredth of a second for a judge's grades, and one where no two are the same."""
    begun = time.thread_time()
    total = exact_sum(values)
    assert time.thread_time() - begun < seconds
    assert float(total) == pytest.approx(math.fsum(values.tolist()), rel=1e-14)


def ties(floor: Fraction, places: int, scale: int) -> list[tuple[Floats, Floats]]:
    """Return random scores of a teacher, and of students that meet the floor exactly."""
    rng = np.random.default_rng(places)
    whole = scale * 10**places
    found = []
    for n in (20, 40, 100) * 40:
        teacher = rng.integers(0, whole + 1, n)
        teacher[0] -= (short := int(teacher.sum()) % floor.denominator)
        if teacher[0] < 0 or short > whole:
            continue
        student, left = np.zeros(n, np.int64), int(teacher.sum() * floor)
        for place in rng.permutation(n):  # never more than a score may be
            room = min(whole, left)
            least = max(0, left - whole * int((student == 0).sum() - 1))
            student[place] = rng.integers(least, room + 1) if room > least else room
            left -= int(student[place])
        if left == 0:
            found.append((student / 10**places, teacher / 10**places))
    return found


@pytest.mark.parametrize(
    ("floor", "places", "scale"),
    [("0.95", 2, 1), ("0.9", 1, 1), ("0.95", 2, 100), ("0.98", 3, 1), ("1.05", 2, 5)],
)
def test_a_floor_that_is_met_exactly_is_met(floor: str, places: int, scale: int) -> None:
    """So in every draw, and not in every second; a last digit less is below."""
    exact = Fraction(floor)
    pairs = ties(exact, places, scale)
    assert len(pairs) > 30
    for student, teacher in pairs:
        ratio = retained_share(exact_mean(student), exact_mean(teacher), higher_is_better=True)
        assert ratio == exact
        student[int(student.argmax())] -= 10.0**-places
        less = retained_share(exact_mean(np.round(student, places)), exact_mean(teacher), True)
        assert less is not None
        assert less < exact


def measured(on: Eval, role: Role, scores: Sequence[float]) -> MeasuredEvaluation:
    """Return an evaluation of ready scores."""
    found = {on.metrics[0].name: np.array(scores)}
    return MeasuredEvaluation(ModelInfo(role, role), on, (), found)


def test_a_slice_is_as_exact_as_the_whole() -> None:
    """A mean over chosen examples is their exact mean."""
    metric = ScoredElsewhere("judge")
    on = Eval("texts", Generation(), gold_set("abcdefg"), (metric,))
    evaluation = measured(on, "student", [0.73, 0.1, 0.1, 0.1, 0.2, 0.3, 0.4])
    assert evaluation.exact_score(metric, [1, 2, 3]) == Fraction(1, 10)
    assert evaluation.exact_score(metric) == Fraction(193, 700)
    assert evaluation.exact_score(metric) == Fraction(193, 700)  # as it is told from then on


@pytest.mark.parametrize("seed", range(5))
def test_macro_f1_is_a_fraction_of_counts(seed: int, make_comparison: MakeComparison) -> None:
    """It is the mean of 2 right / (predicted + gold), to the last digit."""
    rng = np.random.default_rng(seed)
    gold, said = ("".join(rng.choice(list("abcd"), 60)) for _ in range(2))
    metric = BUILT_IN["macro_f1"]
    student = make_comparison(gold, gold, said, metrics=("macro_f1",)).evaluation("student")
    f1 = [
        Fraction(
            2 * sum(g == s == label for g, s in zip(gold, said, strict=True)),
            gold.count(label) + said.count(label),
        )
        for label in "abcd"
    ]
    assert student.exact_score(metric) == sum(f1) / 4
    expected = f1_score(list(gold), list(said), average="macro")
    assert student.score(metric) == pytest.approx(expected, abs=1e-15)


def test_macro_f1_of_very_many_labels_is_the_float_s() -> None:
    """A common denominator of a thousand digits would be of no use to anybody."""
    counts = np.arange(1, 9001, dtype=np.float64)
    totals = np.concatenate([counts // 2, counts, counts + 1])
    metric = BUILT_IN["macro_f1"]
    assert metric.exact(totals) is None
    assert metric.exact(np.zeros(9)) is None
    few = np.concatenate([counts[:20] // 2, counts[:20], counts[:20] + 1])
    found = metric.exact(few)
    assert found is not None
    assert float(found) == pytest.approx(float(metric.aggregate(few)), abs=1e-15)


def test_a_matthews_correlation_is_a_fraction_where_its_root_is_whole() -> None:
    """Of four cells it is 1/2 where (3, 1, 1, 3) fall; of most it is irrational."""
    metric = BUILT_IN["matthews"]
    halves = np.array([3, 3, 4, 4, 4, 4], np.float64)  # right, predicted, gold: of two labels
    assert metric.exact(halves) == Fraction(1, 2)
    gold, said = [0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1, 1, 0]
    assert float(metric.aggregate(halves)) == pytest.approx(matthews_corrcoef(gold, said))
    assert metric.exact(np.array([3, 1, 6, 1, 3, 4], np.float64)) is None
    assert metric.exact(np.array([4, 0, 4, 0, 4, 0], np.float64)) is None


@pytest.mark.parametrize("seed", range(5))
def test_chrf_is_a_fraction_of_counts(seed: int) -> None:
    """It has neither roots nor logarithms, and a perfect one is 100."""
    rng = np.random.default_rng(seed)
    pairs = rng.integers(0, 30, (6, 2))
    totals = np.column_stack([pairs, rng.integers(0, pairs.min(axis=1) + 1)]).astype(float)
    metric = BUILT_IN["chrf"]
    found = metric.exact(totals.reshape(-1))
    assert found is not None
    assert float(found) == pytest.approx(float(metric.aggregate(totals.reshape(-1))), abs=1e-12)
    perfect = np.repeat(pairs[:, :1] + 1, 3, axis=1).astype(float)
    assert metric.exact(perfect.reshape(-1)) == 100
    assert metric.exact(np.zeros(18)) == 0


def test_metrics_of_roots_and_logarithms_are_the_float_s() -> None:
    """BLEU is no fraction."""
    assert BUILT_IN["bleu"].exact(np.ones(10)) is None


def test_a_rate_is_exact() -> None:
    """What is observed of decimals is their exact mean; what is infinite stays so."""
    known = np.array([0.1, 0.2, 0.3, 0.1])
    most = np.array([0.1, 0.2, 0.3, math.inf])
    rate = Rate(known, most, np.ones(4), higher_is_better=False, worst=None)
    assert rate.observed == (Fraction(7, 40), math.inf)


@pytest.mark.parametrize("floor", ["0.95", "0.9", "0.975", "1.05"])
@pytest.mark.parametrize("k", [1, 2, 3, 5, 11])
def test_a_geometric_mean_that_meets_the_floor_exactly_meets_it(floor: str, k: int) -> None:
    """Whatever the ratios are whose product is the floor's power; a breath less is below it."""
    exact = Fraction(floor)
    rng = np.random.default_rng(k)
    for _ in range(20):
        ratios = [Fraction(int(rng.integers(80, 120)), 100) for _ in range(k - 1)]
        ratios.append(exact**k / math.prod(ratios, start=Fraction(1)))
        assert geometric_mean(ratios) == exact
        ratios[-1] *= 1 - Fraction(1, 10**15)
        assert geometric_mean(ratios) < exact


def test_a_geometric_mean_never_looks_better_than_it_is() -> None:
    """What is reported of it, to the power of the number of ratios, is at most their product."""
    choices = [Fraction(n, 100) for n in (7, 50, 93, 99, 101)]
    for ratios in itertools.combinations_with_replacement(choices, 3):
        product = math.prod(ratios, start=Fraction(1))
        mean = geometric_mean(ratios)
        assert mean**3 <= product < (mean + Fraction(1, 10**39)) ** 3
        assert Fraction(str(rounded_down(mean))) ** 3 <= product


def test_a_geometric_mean_of_many_long_fractions_is_quick() -> None:
    """A suite of 200 evals, of which each is left out once, waits no minute for it."""
    rng = np.random.default_rng(0)
    ratios = [Fraction(int(a), int(b)) for a, b in rng.integers(10**17, 2 * 10**17, (200, 2))]
    begun = time.thread_time()
    mean = geometric_mean(ratios)
    assert time.thread_time() - begun < 0.5
    logs = sum(math.log(ratio) for ratio in ratios) / 200
    assert float(mean) == pytest.approx(math.exp(logs), rel=1e-12)


def scores(*ratios: Fraction | float) -> list[EvalScores]:
    """Return rows of a suite in which this was retained."""
    one = Fraction(1)
    return [EvalScores(f"e{i}", one, one, ratio, False) for i, ratio in enumerate(ratios)]


def test_aggregates_of_infinite_ratios() -> None:
    """An average is infinite with one of them; the worst eval is another one while there is one."""
    half, zero = Fraction(1, 2), Fraction(0)
    found = aggregates(scores(half, math.inf))
    assert (found["average_of_ratios"], found["geometric"]) == (math.inf, math.inf)
    assert found["minimum"] == half
    found = aggregates(scores(zero, math.inf))
    assert (found["average_of_ratios"], found["geometric"]) == (math.inf, zero)
    assert aggregates(scores(math.inf))["minimum"] == math.inf


def test_a_metric_of_the_user_s_gives_numbers_of_less_precision() -> None:
    """As numpy and torch compute them: what it means is what they print as."""

    def grade(answer: Answer) -> float:
        return np.float32({"a": 0.73, "b": 0.74}[answer.targets[0]])  # type: ignore[return-value]

    metric = MeanMetric("mine", grade)
    on = Eval("texts", Generation(), gold_set("aab"), (metric,))
    said = tuple(Prediction(f"e{i}", text="a") for i in range(3))
    evaluation = MeasuredEvaluation(ModelInfo("student", "student"), on, said)
    assert evaluation.exact_score(metric) == Fraction(220, 300)
