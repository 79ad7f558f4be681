from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from typing import Any

import pytest
from lm_eval.api import metrics as lm_eval_metrics

from pytest_distill.errors import ConfigError, EvaluationError, GoldSetError
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.metrics import Answer, Metric
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks import Perplexity
from pytest_distill.evals.tasks.perplexity import PerplexityRequest

TEXTS = ["one two  three", " leading\nand trailing ", "größer 日本", "x"]


@pytest.fixture
def answers(example: Callable[..., Example]) -> list[Answer]:
    """Return answers to TEXTS with random log-likelihoods."""
    rng = random.Random(0)  # noqa: S311 - no secret
    task = Perplexity(input="text")
    return [
        task.answer(
            example(text=text),
            Prediction("r3", loglikelihoods=(-10 * rng.random(),), tokens=rng.randint(1, 9)),
        )
        for text in TEXTS
    ]


def loglikelihood(answer: Answer) -> float:
    """Return the log-likelihood of the whole text."""
    assert answer.prediction.loglikelihoods is not None
    return answer.prediction.loglikelihoods[0]


def test_request(example: Callable[..., Example]) -> None:
    """The text and the sliding window; there is no target."""
    task = Perplexity(input="text", window=8, stride=4)
    assert task.request(example(text="x")) == PerplexityRequest("r3", "x", 8, 4)


def test_answer_holds_the_text(example: Callable[..., Example]) -> None:
    """The text is what words and bytes are counted in; right and wrong don't exist."""
    prediction = Prediction("r3", loglikelihoods=(-1.0,), tokens=2)
    answer = Perplexity().answer(example(input="x y"), prediction)
    assert (answer.targets, answer.correct) == (("x y",), None)


def test_perplexity_is_per_token_over_the_corpus(answers: list[Answer]) -> None:
    """It is exp of the summed nats over the summed tokens, and likewise for each text alone."""
    metric = BUILT_IN["perplexity"]
    nats = -sum(map(loglikelihood, answers))
    tokens = sum(a.prediction.tokens or 0 for a in answers)
    totals = metric.statistics(answers).sum(axis=0)
    assert float(metric.aggregate(totals)) == pytest.approx(math.exp(nats / tokens), rel=1e-14)
    first = answers[0]
    assert metric.scores(answers)[0] == pytest.approx(
        math.exp(-loglikelihood(first) / (first.prediction.tokens or 0)), rel=1e-14
    )


def test_word_perplexity_equals_lm_evaluation_harness(answers: list[Answer]) -> None:
    """word_perplexity is lm-eval's weighted perplexity, over words split at whitespace."""
    metric = BUILT_IN["word_perplexity"]
    words = [3, 5, 2, 1]  # an empty word before leading and after trailing whitespace counts
    expected = lm_eval_metrics.weighted_perplexity(
        list(zip(map(loglikelihood, answers), words, strict=True))
    )
    totals = metric.statistics(answers).sum(axis=0)
    assert float(metric.aggregate(totals)) == pytest.approx(expected, rel=1e-14)


def test_bits_per_byte_equals_lm_evaluation_harness(answers: list[Answer]) -> None:
    """bits_per_byte is lm-eval's, over UTF-8 bytes."""
    metric = BUILT_IN["bits_per_byte"]
    sizes = [len(text.encode("utf-8")) for text in TEXTS]
    expected = lm_eval_metrics.bits_per_byte(
        list(zip(map(loglikelihood, answers), sizes, strict=True))
    )
    totals = metric.statistics(answers).sum(axis=0)
    assert float(metric.aggregate(totals)) == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("metric", Perplexity.metrics, ids=lambda metric: metric.name)
def test_lower_is_better(metric: Metric) -> None:
    """The metrics of plain text fall as a model gets better, and have no upper end."""
    assert metric.higher_is_better is False
    assert metric.range[1] == math.inf


def test_overflow_is_infinite_without_a_warning(example: Callable[..., Example]) -> None:
    """A text beyond the range of floats gives infinity, for its reader to refuse."""
    prediction = Prediction("r3", loglikelihoods=(-1e6,), tokens=1)
    answer = Perplexity().answer(example(input="x"), prediction)
    assert BUILT_IN["perplexity"].scores([answer]).tolist() == [math.inf]


@pytest.mark.parametrize(
    ("prediction", "message"),
    [
        ({}, "the prediction has no answer; it needs 'loglikelihoods' (and 'tokens' for"),
        ({"tokens": 2}, "the prediction has no answer; it needs"),
        ({"loglikelihoods": (-1.0, -1.0), "tokens": 2}, "2 log-likelihoods for one text"),
        (
            {"loglikelihoods": (0.5,), "tokens": 2},
            "the log-likelihood 0.5 is not a finite number up",
        ),
        ({"loglikelihoods": (-1.0,), "tokens": 0}, "'tokens' must be at least 1, not 0"),
    ],
)
def test_bad_prediction(
    example: Callable[..., Example], prediction: dict[str, Any], message: str
) -> None:
    """A prediction that cannot be scored is named with the example."""
    with pytest.raises(EvaluationError) as raised:
        Perplexity().answer(example(input="x"), Prediction("r3", **prediction))
    assert str(raised.value).startswith(f"gold/reviews.jsonl:3 (id 'r3'): {message}")


def test_a_text_whose_tokens_nobody_counted(example: Callable[..., Example]) -> None:
    """Words and bytes are counted here; what is by token says that nothing tells it."""
    answer = Perplexity().answer(example(input="a b"), Prediction("r3", loglikelihoods=(-2.0,)))
    assert BUILT_IN["word_perplexity"].scores([answer]).tolist() == [pytest.approx(math.e)]
    assert BUILT_IN["bits_per_byte"].scores([answer]) == pytest.approx(2 / math.log(2) / 3)
    with pytest.raises(EvaluationError, match=r"id 'r3'.*how many tokens.*'tokens', or judge by"):
        BUILT_IN["perplexity"].scores([answer])


def test_empty_text(example: Callable[..., Example]) -> None:
    """An empty text has no perplexity."""
    with pytest.raises(GoldSetError, match="'input' is empty"):
        Perplexity().request(example(input=""))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 1}, "window: must be at least 2, not 1"),
        ({"stride": 0}, "stride: must be at least 1, not 0"),
        ({"window": 4, "stride": 5}, "stride: 5 would skip tokens of a window of 4"),
        *(
            (
                {"share_cache": True, **options},
                "share_cache: windows share what they have in common, for all models alike: set "
                "'window', and a 'stride' below it",
            )
            for options in ({}, {"window": 8}, {"window": 8, "stride": 8}, {"stride": 4})
        ),
    ],
)
def test_bad_settings(options: dict[str, Any], message: str) -> None:
    """A window that would not read every token is refused when the eval is read."""
    with pytest.raises(ConfigError) as raised:
        Perplexity(**options)
    assert str(raised.value) == message


def test_settings_are_json() -> None:
    """The settings are plain JSON values."""
    settings = Perplexity(window=8).settings()
    assert (
        json.loads(json.dumps(settings))
        == settings
        == {
            "input": "input",
            "window": 8,
            "stride": None,
            "share_cache": False,
        }
    )


def test_metric_on_another_task(text_answer: Callable[..., Answer]) -> None:
    """On answers without log-likelihoods the metric says which task it suits."""
    with pytest.raises(EvaluationError, match="it suits the task perplexity"):
        BUILT_IN["perplexity"].scores([text_answer("x", "y")])
