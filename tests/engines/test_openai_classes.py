"""Labels from a server: what the model is told, held to and believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pytest_distill import ModelError
from pytest_distill.engines import ModelSpec
from pytest_distill.engines.openai import OpenAIEngine
from pytest_distill.evals.distributions import softmax
from pytest_distill.evals.request_keys import request_key
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from tests.servers.scoring import HONEST, LABEL_KEYS, Lies, Scored
from tests.servers.served import Asked, Reply, Served, chat_answer, served

from .tiny import Make, predicted

ODD = ("New", "New York", 'say "x"', "a\nb", "café 👍", "back\\slash")
REQUESTS = [
    ClassificationRequest("one", "The early bird gets the worm", labels=("nine", "a worm")),
    ClassificationRequest("pair", "A stitch", "in time", labels=("no", "yes", "maybe")),
    ClassificationRequest("odd", "The quick brown fox", labels=ODD),
]


def asked(url: str, **options: object) -> OpenAIEngine:
    """Return an engine for a server's model."""
    said = {"base_url": url, "model": "m", **options}
    return OpenAIEngine(ModelSpec("teacher", "teacher", options=said))


@pytest.mark.parametrize("way", LABEL_KEYS)
def test_a_model_is_held_to_the_labels_and_told_them(server: Served, way: str) -> None:
    """Also to labels that begin alike, or hold quotes, new lines and signs of other scripts."""
    found = predicted(asked(server.url, classify_by=way), REQUESTS)
    for request, prediction in zip(REQUESTS, found, strict=True):
        assert prediction.prediction in request.labels
    tried, *bodies = [one.body for one in server.asked]
    assert "Is snow white?" in tried["messages"][0]["content"]
    texts = {body["messages"][0]["content"] for body in bodies}
    assert (
        "Which label fits the two texts? Answer with one of these labels and nothing else: "
        '"no", "yes", "maybe"\n\nA stitch\n\nin time'
    ) in texts
    assert {body["max_tokens"] > 32 for body in bodies} == {True}


def test_the_likeliest_label_is_that_of_the_same_model_here(
    server: Served, engine: Make, causal_folder: Path
) -> None:
    """With the probabilities of all labels, in their order."""
    requests = REQUESTS[:2]
    found = predicted(asked(server.url, classify_by="loglikelihoods", instruction=""), requests)
    texts = ("The early bird gets the worm", "A stitch\n\nin time")
    for request, text, got in zip(requests, texts, found, strict=True):
        choices = tuple(f" {label}" for label in request.labels)
        (here,) = engine(causal_folder).predict([ChoiceRequest(request.id, text, choices)])
        assert here.loglikelihoods is not None
        expected = softmax(here.loglikelihoods)
        assert got.probabilities == pytest.approx(expected, abs=1e-4)
        assert got.labels == request.labels
        assert got.prediction == request.labels[int(expected.argmax())]


@pytest.mark.parametrize(
    ("lies", "options", "request_", "message"),
    [
        (
            Lies(ignores=LABEL_KEYS),
            {},
            REQUESTS[0],
            "takes response_format without a word and does not hold the model to it",
        ),
        (
            Lies(ignores=LABEL_KEYS),
            {"classify_by": "structured_outputs"},
            REQUESTS[0],
            "none of 'qzxwv' and 'jgkpq'. Set classify_by to another way for this model: resp",
        ),
        (
            Lies(shifted=1),
            {"classify_by": "loglikelihoods"},
            REQUESTS[0],
            "neighbour's.*task classification needs a server that scores.*Set classify_by",
        ),
        (
            HONEST,
            {"classify_by": "loglikelihoods"},
            REQUESTS[2],
            "label 'New' is the beginning of 'New York'.*Set classify_by to another way",
        ),
        (HONEST, {}, ClassificationRequest("e1", "x"), "example 'e1'.*list all classes"),
    ],
)
def test_what_a_server_does_not_honour_is_refused(
    server: Served,
    model: Scored,
    lies: Lies,
    options: dict[str, Any],
    request_: ClassificationRequest,
    message: str,
) -> None:
    """One error that says which other way there is."""
    model.lies = lies
    with pytest.raises(ModelError, match=message):
        list(asked(server.url, **options).predict([request_]))


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ('{"label": "maybe"}', 'the answer \'{"label": "maybe"}\' is none of the labels'),
        ('{"label": "no"', "none of the labels .no, yes. in the JSON that was asked for"),
        ('{"label": 1}', "in the JSON that was asked for"),
        ("[]", "in the JSON that was asked for"),
        (None, "the message in the answer has neither"),
    ],
)
def test_an_answer_that_is_no_label_is_an_error(said: Any, message: str) -> None:
    """With the example's id; a label is never guessed."""

    def handle(call: Asked) -> Reply:
        tried = "snow" in call.body["messages"][0]["content"]
        return Reply(chat_answer('{"label": "qzxwv"}' if tried else said))

    request = ClassificationRequest("e1", "x", labels=("no", "yes"))
    with served(handle) as server, pytest.raises(ModelError, match=f"example 'e1'.*{message}"):
        list(asked(server.url).predict([request]))


@pytest.mark.parametrize("tried", [True, False])
def test_a_model_that_thinks_needs_room(tried: bool) -> None:
    """An answer that is cut before it begins is no lie of the server."""

    def handle(call: Asked) -> Reply:
        if "snow" in call.body["messages"][0]["content"] and not tried:
            return Reply(chat_answer('{"label": "qzxwv"}'))
        message = {"role": "assistant", "content": "", "reasoning_content": "Let me think"}
        return Reply({"choices": [{"message": message, "finish_reason": "length"}]})

    with (
        served(handle) as server,
        pytest.raises(ModelError, match=r"thinks first.*'extra_body: {max_tokens: 4096}'"),
    ):
        list(asked(server.url).predict(REQUESTS[:1]))


def test_a_text_that_is_too_long_is_an_error_with_its_id() -> None:
    """Nothing is cut."""

    def handle(call: Asked) -> Reply:
        if "snow" in call.body["messages"][0]["content"]:
            return Reply(chat_answer('{"label": "qzxwv"}'))
        return Reply({"error": {"message": "the maximum context length is 8 tokens"}}, 400)

    with (
        served(handle) as server,
        pytest.raises(ModelError, match=r"'one'.*context length is 8 tokens.*shorten it"),
    ):
        list(asked(server.url).predict(REQUESTS[:1]))


def test_a_refusal_of_the_way_names_the_others() -> None:
    """A server that knows no response_format says so by its status."""
    with (
        served(lambda _: Reply({"error": "unknown field"}, 400)) as server,
        pytest.raises(ModelError, match=r"answered 400.*structured_outputs \(vLLM's own key\)"),
    ):
        list(asked(server.url).predict(REQUESTS[:1]))


def test_an_answer_is_found_again_by_labels_and_instruction() -> None:
    """They are no part of what other engines' answers are found by."""
    request = ClassificationRequest("e1", "x", labels=("no", "yes"))
    other = ClassificationRequest("e1", "x", labels=("no", "yes", "maybe"))
    assert request_key(request) == request_key(other)
    ways: list[dict[str, Any]] = [
        {},
        {"instruction": ""},
        {"classify_by": "structured_outputs"},
        {"classify_by": "loglikelihoods"},
    ]
    keys = {
        json.dumps(asked("http://127.0.0.1:1/v1", **options).dated_prompts([one]))
        for options in ways
        for one in (request, other)
    }
    assert len(keys) == 2 * len(ways)
    assert asked("http://127.0.0.1:1/v1").dated_prompts([ChoiceRequest("c", "x", ("y", "z"))]) == {}
