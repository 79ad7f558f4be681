"""Both sides of a task of lm-evaluation-harness answered from one table: no model is needed.

What a text or a likelihood is depends on what is asked alone, so that both sides get the same.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_distill.engines import ModelInfo
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evals.tasks.decoding import GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest
from pytest_distill.evaluation.measured import MeasuredEvaluation
from tests.lm_eval_cases import Case
from tests.lm_eval_tasks import Difference, differences, ours, theirs


@dataclass(frozen=True)
class Made(Case):
    """A task with documents that were made for a test; they stand in one split."""

    source: str = ""
    rows: Sequence[Mapping[str, Any]] = ()
    texts: Sequence[str] = ("",)
    """What is generated: one of these, by the prompt."""
    said: Mapping[str, Any] = field(default_factory=dict)
    """What else the task's file is to say otherwise."""

    def __post_init__(self) -> None:
        none = dict.fromkeys(("training_split", "validation_split", "test_split"))
        place = {f"{self.split}_split": self.split, "fewshot_split": self.split}
        object.__setattr__(self, "override", {**none, **place, **self.said})

    def documents(self) -> Iterator[dict[str, Any]]:
        """Yield the documents."""
        yield from map(dict, self.rows)

    def here(self, **said: Any) -> MeasuredEvaluation:
        """Return what this package makes of the task."""
        with tempfile.TemporaryDirectory() as folder:
            return ours(self, self.written(Path(folder)), ScriptedEngine(self.texts), **said)

    def differences(self) -> list[Difference]:
        """Return in what the two sides differ."""
        with tempfile.TemporaryDirectory() as folder:
            data = self.written(Path(folder))
            found = ours(self, data, ScriptedEngine(self.texts))
            return differences(found, theirs(self, data, scripted_model(self.texts)))


def _number(*asked: str) -> int:
    return int(hashlib.sha256("\x1f".join(asked).encode()).hexdigest()[:12], 16)


def likelihood(context: str, continuation: str) -> tuple[float, bool]:
    """Return a log-likelihood, and whether the text is what a model would go on with."""
    return -0.01 - _number(context, continuation) % 900 / 100, bool(_number(continuation) % 2)


def rolling(text: str) -> float:
    """Return the log-likelihood of a whole text."""
    return -1 - _number(text) % 9000 / 100


def written(texts: Sequence[str], prompt: str) -> str:
    """Return what follows a prompt."""
    return texts[_number(prompt) % len(texts)]


class ScriptedEngine:
    """Our side."""

    info = ModelInfo("scripted", "teacher")

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = texts

    def predict(self, requests: Sequence[Request]) -> Iterator[Prediction]:
        """Yield the answers."""
        for request in requests:
            if isinstance(request, GenerationRequest):
                text = written(self.texts, request.prompt)
                yield Prediction(request.id, text=text, tokens=3, finish="end")
            elif isinstance(request, PerplexityRequest):
                found = (rolling(request.text),)
                yield Prediction(request.id, loglikelihoods=found, tokens=5)
            else:
                assert isinstance(request, ChoiceRequest)
                pairs = [(context, text) for context, own in request.asked for text in own]
                found, greedy = zip(*(likelihood(*pair) for pair in pairs), strict=True)
                yield Prediction(request.id, loglikelihoods=found, greedy=greedy)

    def close(self) -> None:
        """Do nothing: there is no model."""


def scripted_model(texts: Sequence[str]) -> Any:
    """Return lm-evaluation-harness's side: a model of its own kind."""
    from lm_eval.api.model import LM

    class Scripted(LM):  # type: ignore[misc]
        def loglikelihood(self, requests: Any, **_: Any) -> Any:
            return [likelihood(*request.args) for request in requests]

        def loglikelihood_rolling(self, requests: Any, **_: Any) -> Any:
            return [rolling(request.args[0]) for request in requests]

        def generate_until(self, requests: Any, **_: Any) -> Any:
            return [written(texts, request.args[0]) for request in requests]

    return Scripted()
