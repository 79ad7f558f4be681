"""Engines of a user's own, as actors of a cluster import them: each misbehaves in one way."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pytest_distill import EvaluationError, ModelError
from pytest_distill.engines import ModelInfo, ModelSpec
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evals.tasks.decoding import GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest


class Plain:
    """Answers with the length of each text; every further key is `said`."""

    def __init__(self, spec: ModelSpec) -> None:
        self.spec = spec
        self.said: dict[str, Any] = dict(spec.options)
        self.notes = ["answered by lengths"]

    @property
    def info(self) -> ModelInfo:
        """Nothing but the name."""
        return ModelInfo(self.spec.name, self.spec.role, device="cpu")

    def predict(self, requests: Sequence[Request]) -> Iterator[Prediction]:
        """Answer one after the other."""
        if "pids" in self.said:
            (Path(self.said["pids"]) / str(os.getpid())).touch()
        for request in requests:
            time.sleep(self.said.get("sleep", 0))
            self.before(request)
            yield self.answer(request)

    def answer(self, request: Request) -> Prediction:
        """Return the answer to either kind of request."""
        if isinstance(request, ClassificationRequest):
            return Prediction(request.id, prediction="a")
        if isinstance(request, GenerationRequest):
            return Prediction(request.id, text=request.prompt)
        assert isinstance(request, ChoiceRequest)
        contexts = request.contexts or [request.context] * len(request.continuations)
        texts = (one + other for one, other in zip(contexts, request.continuations, strict=True))
        return Prediction(request.id, loglikelihoods=tuple(-float(len(text)) for text in texts))

    def before(self, request: Request) -> None:
        """Do what this engine is for."""

    def close(self) -> None:
        """Hold nothing."""


class Named(Plain):
    """Has an identity; what it says is another on every node where it says so."""

    @property
    def identity(self) -> dict[str, Any]:
        """A name, and what process it is where that is asked for."""
        own = os.getpid() if self.said.get("differs") else 0
        return {"model": "lengths", "versions": {"process": own}}


class Deadly(Plain):
    """Ends its process at an example: always, or as often as there are marks to be made."""

    def before(self, request: Request) -> None:
        """End the process."""
        if request.id == self.said["at"]:
            marks = Path(self.said["marks"])
            if (made := len(list(marks.iterdir()))) < self.said.get("times", 1_000):
                (marks / str(made)).touch()
                os.kill(os.getpid(), signal.SIGKILL)


class Unloadable(Plain):
    """Cannot be made in an actor: it raises, or its process ends."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec)
        if os.getpid() != self.said["run"]:
            if self.said.get("ends"):
                os.kill(os.getpid(), signal.SIGKILL)
            raise ModelError(f"model '{spec.name}': its file is broken")


class Raising(Plain):
    """Raises at an example: an error of ours, or any other one."""

    def before(self, request: Request) -> None:
        """Raise."""
        if request.id == self.said["at"]:
            kinds = {"model": ModelError, "evaluation": EvaluationError, "exit": SystemExit}
            raise kinds.get(self.said["raises"], ZeroDivisionError)("it went wrong\nbadly")


class Omitting(Plain):
    """Leaves out an example, or answers one twice."""

    def predict(self, requests: Sequence[Request]) -> Iterator[Prediction]:
        """Answer all but one, or one more."""
        for prediction in super().predict(requests):
            if prediction.id != self.said.get("without"):
                yield prediction
            if prediction.id == self.said.get("twice"):
                yield prediction


class Shipped(Plain):
    """Answers what its file and its environment say."""

    def answer(self, request: Request) -> Prediction:
        """Read both."""
        known = Path(self.spec.path).read_text(), os.environ["DISTILL_TOLD"]
        return Prediction(request.id, loglikelihoods=tuple(-float(each) for each in known))
