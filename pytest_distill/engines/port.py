"""What an engine is: the protocol that each has, and those that say what more one can."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from pytest_distill.engines.info import Memory, ModelInfo, Timing
from pytest_distill.evals.requests import Prediction, Request


@runtime_checkable
class Engine(Protocol):
    """Runs one model. A class of one's own is built as ``MyEngine(spec)`` with a `ModelSpec`."""

    @property
    def info(self) -> ModelInfo:
        """What is known of the model."""

    def predict(self, requests: Sequence[Request]) -> Iterator[Prediction]:
        """Yield one prediction a request, in any order, each as soon as it is there."""

    def close(self) -> None:
        """Free the model's memory. The engine is not used afterwards."""


@runtime_checkable
class Identified(Protocol):
    """An engine whose predictions may be stored: it can say exactly what makes them."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """The model's digest, the engine and its version, and all settings that may matter.

        JSON-able values, known without loading the model.
        """


@runtime_checkable
class Dated(Protocol):
    """An engine whose prompts may depend on the clock: then a request doesn't say all it asks."""

    def dated_prompts(self, requests: Sequence[Request]) -> Mapping[str, str]:
        """Return by id the whole prompt of each request that depends on more than the request says.

        A model is not loaded for it.
        """


@runtime_checkable
class Measurable(Protocol):
    """An engine that can say how fast it is and what it holds, and where."""

    @property
    def setting(self) -> Mapping[str, Any]:
        """What a measurement depends on beside `identity`: device, its name, dtype, threads.

        JSON-able values. Figures of different settings are never compared.
        """

    def time_one(self, request: Request) -> Timing:
        """Answer one request alone."""

    def time_all(self, requests: Sequence[Request], batch_tokens: int) -> float:
        """Return how many seconds all requests take in batches of at most so many tokens."""

    def memory(self, requests: Sequence[Request]) -> Memory:
        """Return what the model holds while it answers the requests."""
