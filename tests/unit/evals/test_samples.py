"""Several samples of each example: their scores, pass@k and the vote, all of them exact."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sacrebleu
from numpy.typing import NDArray

from pytest_distill.comparison.evidence import scoring_of
from pytest_distill.engines import ModelInfo
from pytest_distill.errors import ConfigError, EvaluationError
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.metrics import Answer, MeanMetric, Metric
from pytest_distill.evals.metrics.own import check_metric
from pytest_distill.evals.metrics.samples import Majority, PassAt, named_apart, pass_at
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks import Generation
from pytest_distill.evals.tasks.repeats import SampleIds, refuse_repeats, seed_of
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.run_model import RunModel

EXACT = BUILT_IN["exact_match"]


def sampled(texts: Sequence[Sequence[str]], targets: Sequence[str]) -> MeasuredEvaluation:
    """Return one model's evaluation: the sampled texts of each example, and what it accepts."""
    examples = tuple(
        Example(f"e{i}", {"input": f"ask {i}", "target": target}, f"gold.jsonl:{i + 1}")
        for i, target in enumerate(targets)
    )
    task = Generation(do_sample=True, seed=1, repeats=len(texts[0]))
    on = Eval("e", task, GoldSet("gold.jsonl", examples), (EXACT,))
    asked = [request.id for request in on.all_requests()]
    said = [text for row in texts for text in row]
    predictions = [Prediction(id, text=text) for id, text in zip(asked, said, strict=True)]
    return MeasuredEvaluation.of(ModelInfo("student", "student"), on, predictions, source="p")


def chen(n: int, c: int, k: int) -> float:
    """Return what the code of Chen et al. (2021), figure 3, gives."""
    if n - c < k:
        return 1.0
    return float(1.0 - np.prod(1.0 - k / np.arange(n - c + 1, n + 1)))


@pytest.mark.parametrize("n", [1, 2, 5, 8, 16])
def test_pass_at_is_the_share_of_choices_with_a_right_one(n: int) -> None:
    """Counted over all choices of k of n samples, c of which are right; and as Chen et al. do."""
    for c, k in itertools.product(range(n + 1), range(1, n + 1)):
        found = pass_at(n, c, k)
        if n <= 8:
            choices = list(itertools.combinations([True] * c + [False] * (n - c), k))
            assert found == Fraction(sum(map(any, choices)), len(choices))
        assert float(found) == pytest.approx(chen(n, c, k), abs=1e-12)


def test_pass_at_of_many_samples_is_exact() -> None:
    """Of a thousand samples no float is in it."""
    assert pass_at(1000, 1, 100) == Fraction(1, 10)
    assert float(pass_at(200, 13, 100)) == pytest.approx(chen(200, 13, 100), rel=1e-9)


def test_pass_at_over_examples_is_exact() -> None:
    """Mean of 1, 0 and 1 - C(6, 4) / C(8, 4), as a fraction."""
    rows = [["a"] * 8, ["x"] * 8, ["b", "b", *["x"] * 6]]
    evaluation = sampled(rows, ["a", "z", "b"])
    metric = PassAt("pass@4", k=4, of=EXACT)
    third = 1 - Fraction(math.comb(6, 4), math.comb(8, 4))
    assert evaluation.exact_score(metric) == (1 + third) / 3
    assert evaluation.exact_score(metric, [2]) == third
    assert evaluation.scores(metric).tolist() == [1.0, 0.0, float(third)]
    assert metric.scores(evaluation.answers).tolist() == evaluation.scores(metric).tolist()


def test_two_of_three_samples_are_two_thirds() -> None:
    """The score of an example is the mean over its samples, and that of all is no float."""
    evaluation = sampled([["a", "a", "x"], ["b", "x", "x"]], ["a", "b"])
    assert evaluation.scores(EXACT).tolist() == [2 / 3, 1 / 3]
    assert evaluation.exact_score(EXACT) == Fraction(1, 2)
    assert evaluation.exact_score(EXACT, [0]) == Fraction(2, 3)
    assert evaluation.n == 2


def test_means_of_decimals_are_those_of_what_is_meant() -> None:
    """0.1, 0.2 and 0.7 are a third, though no floats are; 1,001 parts too."""
    values = {"a": 0.1, "b": 0.2, "c": 0.7}
    metric = MeanMetric("own", lambda answer: values[answer.predicted])
    assert sampled([["a", "b", "c"]], ["t"]).exact_score(metric) == Fraction(1, 3)
    many = sampled([["t"] * 4 + ["x"] * 997] * 2, ["t", "t"])
    assert many.exact_score(EXACT) == Fraction(4, 1001)


def test_a_metric_of_a_corpus_sums_the_samples() -> None:
    """BLEU over two samples of two examples is sacrebleu's over the four texts."""
    texts = [["the cat sat on the mat", "a cat sat on a mat"], ["it rains a lot today", "it rains"]]
    targets = ["the cat sat on the mat today", "it rains a lot today here"]
    evaluation = sampled(texts, targets)
    flat = [text for row in texts for text in row]
    expected = sacrebleu.corpus_bleu(flat, [[t for t in targets for _ in range(2)]]).score
    bleu = BUILT_IN["bleu"]
    assert float(evaluation.exact_score(bleu)) == pytest.approx(expected)
    rows = evaluation.statistics(bleu)
    assert rows.shape == (2, 10)
    assert (rows == np.floor(rows)).all()
    beside = evaluation.statistics_beside(bleu, sampled(texts[::-1], targets))
    assert [part.shape for part in beside] == [(2, 10), (2, 10)]


def test_one_more_example_has_as_many_samples() -> None:
    """The worst and the best that it can be are those of one answer, as often as it is asked."""
    text = ["the cat sat on the mat"]
    one, four = (sampled([text * r, text * r], ["the cat sat"] * 2) for r in (1, 4))
    bleu = BUILT_IN["bleu"]
    worst, best = scoring_of(bleu, one.eval, [one.statistics(bleu)], None).extremes or (0, 0)
    more = scoring_of(bleu, four.eval, [four.statistics(bleu)], None).extremes or (0, 0)
    assert np.array_equal(more[0], 4 * np.asarray(worst))
    assert np.array_equal(more[1], 4 * np.asarray(best))


class Seen(Metric):
    """A metric of a user's, by its attributes."""

    name = "seen"

    def __init__(self) -> None:
        self.given: list[Answer[Any]] = []

    def scores(self, answers: Sequence[Answer[Any]]) -> NDArray[np.float64]:
        """Remember what it was asked."""
        self.given = list(answers)
        return np.array([float(answer.predicted == "a") for answer in answers])

    def statistics(self, answers: Sequence[Answer[Any]]) -> NDArray[Any]:
        """Return right and 1."""
        return np.array([[float(answer.predicted == "a"), 1.0] for answer in answers])

    def aggregate(self, totals: NDArray[Any]) -> NDArray[np.float64]:
        """Return the share."""
        return np.asarray(totals[..., 0] / totals[..., 1])


def test_a_metric_of_a_users_sees_single_answers() -> None:
    """Each sample alone, under its example's id; what comes back is the mean."""
    own = Seen()
    metric = check_metric(own, "metric=")
    evaluation = sampled([["a", "a", "x", "x"], ["a", "x", "x", "x"]], ["a", "a"])
    assert evaluation.scores(metric).tolist() == [0.5, 0.25]
    assert evaluation.exact_score(metric) == Fraction(3, 8)
    assert [answer.prediction.id for answer in own.given] == ["e0"] * 4 + ["e1"] * 4
    assert [answer.samples for answer in own.given] == [()] * 8
    assert [len(answer.samples) for answer in evaluation.answers] == [4, 4]
    assert evaluation.answers[1].predicted == "a"


def test_a_bad_score_names_the_sample() -> None:
    """One of eight may be no number."""
    metric = MeanMetric("own", lambda answer: math.nan if answer.predicted == "x" else 1.0)
    with pytest.raises(EvaluationError, match=r"own of example 'e1' \(sample 2\) is nan"):
        sampled([["a", "a", "a"], ["a", "a", "x"]], ["a", "a"]).scores(metric)


def vote(texts: Sequence[str], target: str, k: int, of: Metric = EXACT) -> Fraction:
    """Return the majority of the first k texts."""
    metric = Majority(f"majority@{k}", k=k, of=of)
    return sampled([texts], [target]).exact_score(metric)


@pytest.mark.parametrize(
    ("texts", "k", "expected"),
    [
        (["a", "a", "b", "b", "b"], 5, Fraction(0)),
        (["a", "a", "b", "b", "b"], 3, Fraction(1)),
        (["a", "a", "b", "b", "c"], 5, Fraction(1, 2)),
        (["a", "b", "c"], 3, Fraction(1, 3)),
        (["", "", "a"], 3, Fraction(1)),
        (["", " ", "\n"], 3, Fraction(0)),
        ([" a", "a ", "b"], 3, Fraction(1)),
        (["b", "b", "a"], 1, Fraction(0)),
        (["caf\u00e9", "cafe\u0301", "a"], 3, Fraction(0)),
    ],
)
def test_the_most_frequent_answer_counts(texts: list[str], k: int, expected: Fraction) -> None:
    """Of the first k; an empty text is no vote, and several most frequent ones share the score."""
    assert vote(texts, "a", k) == expected


def test_the_vote_is_that_of_plain_counting() -> None:
    """Over all texts of four samples out of three answers, for a metric of equal texts."""
    for texts in itertools.product("abc", repeat=4):
        counts = Counter(texts).most_common()
        first = [text for text, n in counts if n == counts[0][1]]
        assert vote(texts, "a", 4) == Fraction("a" in first, len(first))


def number(answer: Answer[str]) -> float:
    """Return whether the answer is the number that the target is."""
    return float(Fraction(answer.predicted) == Fraction(answer.targets[0]))


def test_answers_that_the_metric_calls_equal_are_one_vote() -> None:
    """1/2, 0.5 and 2/4 are three votes for one answer."""
    texts = ["1/2", "1", "0.5", "1", "2/4"]
    assert vote(texts, "0.50", 5, MeanMetric("number", number)) == 1
    assert vote(texts, "1", 5, MeanMetric("number", number)) == 0
    assert vote(texts, "1", 5) == 1


def test_right_answers_do_not_vote_for_a_wrong_one() -> None:
    """A metric may look at the example alone, as tests of a program do: it takes both ways."""

    def passes(answer: Answer[str]) -> float:
        return float(answer.predicted.startswith(answer.example.fields["target"]))

    texts = ["x", "a1", "a2", "x", "y"]
    assert vote(texts, "a", 5, MeanMetric("passes", passes)) == Fraction(1, 2)


def test_what_says_no_right_or_wrong_names_the_sample() -> None:
    """A metric of a user's that turns out to give 0.5 is refused."""
    half = MeanMetric("half", lambda answer: 0.5 if answer.predicted == "b" else 1.0)
    evaluation = sampled([["a", "a"], ["a", "b"]], ["a", "a"])
    for metric in (PassAt("pass@2", k=2, of=half), Majority("majority@2", k=2, of=half)):
        with pytest.raises(EvaluationError, match=r"half of example 'e1' \(sample 1\) is 0.5, not"):
            evaluation.scores(metric)


def test_two_of_one_name_say_what_they_are_of() -> None:
    """One alone has the short name."""
    other = MeanMetric("number", number)
    one, two = PassAt("pass@2", k=2, of=EXACT), PassAt("pass@2", k=2, of=other)
    vote = Majority("majority@2", k=2, of=EXACT)
    assert [m.name for m in named_apart({0: one, 3: vote}).values()] == ["pass@2", "majority@2"]
    found = named_apart({0: one, 1: two, 3: vote})
    assert [m.name for m in found.values()] == [
        *("pass@2(exact_match)", "pass@2(number)"),
        "majority@2",
    ]
    assert [m.of for m in found.values()] == [EXACT, other, EXACT]


def test_seeds_are_all_different() -> None:
    """Sample 0 has the eval's seed, whatever that is; the others lie within 31 bits."""
    for seed in (0, 7, 2**31 - 1, 2**40, -5):
        found = [seed_of(seed, k) for k in range(10_000)]
        assert found[0] == seed
        assert len(set(found)) == len(found)
        assert all(0 <= each < 2**31 for each in found[1:])
        assert found[3] == (seed + 3 * 0x9E3779B1) % 2**31


def test_no_sample_has_the_id_of_an_example() -> None:
    """Whatever the ids of the gold set are."""
    ids = {"q", "q (sample 1)", "q (sample' 7)", "(sample'' 1)", ""}
    samples = SampleIds(ids)
    named = {samples.of(id, k) for id in ids for k in range(20)}
    assert len(named) == 20 * len(ids)
    assert {samples.of(id, 0) for id in ids} == ids
    assert not {samples.of(id, k) for id in ids for k in range(1, 20)} & ids


def test_greedy_answers_are_not_repeated() -> None:
    """They would be the same text each time; one is no repeat."""
    refuse_repeats(1, sampled=False)
    with pytest.raises(ConfigError, match="repeats: needs do_sample: true"):
        refuse_repeats(2, sampled=False)


def test_mathematics_votes() -> None:
    """By math-verify a half is one answer however it is written, also where another is no term."""
    half = ["1/2", "2", "0.5", "2", r"$\frac{1}{2}$", "I give up, sorry"]
    assert vote(half, "0.5", 6, BUILT_IN["math_equal"]) == 1
    assert vote(half, "2", 4, BUILT_IN["math_equal"]) == Fraction(1, 2)
    assert vote(half, "2", 6) == 1


class Seeded:
    """An engine that answers with the seed, the last request first."""

    info = ModelInfo("student", "student")

    def predict(self, requests: Sequence[Any]) -> Iterator[Prediction]:
        """Yield a text a request."""
        for request in reversed(requests):
            yield Prediction(request.id, text=str(request.decoding.seed))

    def close(self) -> None:
        """Hold nothing."""


def test_an_engine_may_answer_in_any_order() -> None:
    """Every sample finds its example and its place; progress is told of all of them."""
    told: list[tuple[str, int]] = []
    steps: list[int] = []

    @contextmanager
    def progress(what: str, total: int) -> Iterator[Callable[[int, str], None]]:
        told.append((what, total))
        yield lambda count, _status: steps.append(count)

    on = sampled([["a"] * 3] * 2, ["a", "a"]).eval
    found = RunModel("student", "student", Seeded, progress).evaluate(on)
    assert isinstance(found, MeasuredEvaluation)
    seeds = [str(seed_of(1, k)) for k in range(3)]
    assert [[sample.text for sample in samples] for samples in found.samples] == [seeds, seeds]
    assert [prediction.text for prediction in found.predictions] == ["1", "1"]
    assert (told, steps) == ([("student on e", 6)], [1] * 6)


def test_a_sample_that_lacks_is_named() -> None:
    """An engine that forgets one is told which."""

    class Forgets(Seeded):
        def predict(self, requests: Sequence[Any]) -> Iterator[Prediction]:
            return super().predict(requests[:-1])

    on = sampled([["a"] * 3] * 2, ["a", "a"]).eval
    with pytest.raises(EvaluationError, match=r"no prediction for example 'e1 \(sample 2\)'"):
        RunModel("student", "student", Forgets).evaluate(on)
