"""Requests to vLLM's server and its answers, in a file: written once, and replayed in CI."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_distill.engines import ModelSpec
from pytest_distill.engines.openai import OpenAIEngine
from pytest_distill.evals.requests import Request
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest
from tests.servers.served import Asked, Reply, Served, served

FILE = Path(__file__).with_name("recorded.json.gz")
MODEL = "smollm2-135m-instruct"
BOS = "<|im_start|>"
LONG = (
    "The early bird gets the worm, and the second mouse gets the cheese. Dans un café à Orléans, "
    "l'été, on boit ☕ et on rit 👍🏽. A stitch in time saves nine; one, two, three, four."
)
CHOICES: list[Request] = [
    ChoiceRequest(
        "capital", "Question: What is the capital of France?\nAnswer:", (" Paris", " Rome")
    ),
    ChoiceRequest("spaces", "The early  \n", (" bird", "bird", "\tbird")),
    ChoiceRequest("empty", "", ("The quick brown fox", "one, two, three")),
    ChoiceRequest("begun", f"{BOS}one, two,", (" three", " nine")),
    ChoiceRequest("seam", "Paris is a cap", ("tains its own", "itals of all", "ital city")),
    ChoiceRequest("accents", "Café né", ("e à Paris", "gation 👍🏽", "é")),
    ChoiceRequest("half", "👍", ("🏽", "🏾")),
    ChoiceRequest("contexts", "", (" nine", " worm"), contexts=("It saves", "It gets the")),
    ChoiceRequest("alike", "A stitch", (" in time", " in time")),
]
TEXTS: list[Request] = [
    PerplexityRequest("short", "good"),
    PerplexityRequest("whole", LONG),
    PerplexityRequest("begun", f"{BOS}one, two, three"),
    PerplexityRequest("windows", LONG, 16),
    PerplexityRequest("strides", LONG, 20, 7),
    PerplexityRequest("one window", "one, two", 50, 10),
]
_ODD = ("New", "New York", 'say "x"', "a\nb", "café 👍", "back\\slash")
LABELS: list[Request] = [
    ClassificationRequest("film", "I love this film.", labels=("negative", "positive")),
    ClassificationRequest("pair", "It rains.", "It is wet.", labels=("no", "yes", "maybe")),
    ClassificationRequest("city", "I moved to the Big Apple.", labels=("Paris", "York", "Rome")),
]
ODD_LABELS: list[Request] = [
    ClassificationRequest(f"only {n}", "Say it.", labels=(label, label + label))
    for n, label in enumerate(_ODD)
]


@dataclass(frozen=True)
class Part:
    """Requests of one kind, and how their model is asked."""

    requests: list[Request]
    options: Mapping[str, Any] = field(default_factory=dict)


PARTS = {
    "choices": Part(CHOICES, {"bos": BOS}),
    "texts": Part(TEXTS, {"bos": BOS}),
    "response_format": Part([*LABELS, *ODD_LABELS]),
    "structured_outputs": Part([*LABELS, *ODD_LABELS], {"classify_by": "structured_outputs"}),
    "loglikelihoods": Part(LABELS, {"classify_by": "loglikelihoods"}),
}


def engine(url: str, part: Part) -> OpenAIEngine:
    """Return the engine that asks a server a part."""
    options = {"base_url": url, "model": MODEL, **part.options}
    return OpenAIEngine(ModelSpec("teacher", "teacher", options=options))


def key_of(asked: Asked) -> str:
    """Return what an answer is found by: all that was asked."""
    return f"{asked.path} {json.dumps(asked.body, sort_keys=True)}"


@dataclass(frozen=True)
class Recording:
    """What was recorded.

    Parameters
    ----------
    versions : mapping
        Of the server and what it runs on.
    answers : mapping
        What was asked -> status and answer.
    found : mapping
        Part -> id -> what came of it, and what the same model said in this process.
    """

    versions: dict[str, str] = field(default_factory=dict)
    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    found: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls) -> Recording:
        """Return what the file has."""
        with gzip.open(FILE, "rt", encoding="utf-8") as file:
            return cls(**json.load(file))

    def write(self) -> None:
        """Write the file; the same bytes for the same recording."""
        text = json.dumps(vars(self), ensure_ascii=False, sort_keys=True)
        FILE.write_bytes(gzip.compress(text.encode(), mtime=0))

    @contextmanager
    def replayed(self) -> Iterator[Served]:
        """Run a server that answers what was asked then, letter by letter; else 404."""

        def handle(asked: Asked) -> Reply:
            status, answer = self.answers.get(key_of(asked), (404, {"error": "never recorded"}))
            return Reply(answer, status)

        with served(handle) as server:
            yield server


def plain_choice(request: Request) -> Request:
    """Return the choice between labels that a classification by log-likelihoods is."""
    assert isinstance(request, ClassificationRequest)
    listed = ", ".join(f'"{label}"' for label in request.labels)
    pair = request.text_pair is not None
    text = (
        f"Which label fits the {'two texts' if pair else 'text'}? Answer with one of these labels "
        f"and nothing else: {listed}\n\n{request.text}"
        + (f"\n\n{request.text_pair}" if pair else "")
        + "\n\nLabel:"
    )
    return ChoiceRequest(request.id, text, tuple(f" {label}" for label in request.labels))
