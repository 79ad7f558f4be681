"""What an engine is: the protocol that each has, and those that say what more one can."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pytest_distill.engines.info import Memory, ModelInfo, Timing
from pytest_distill.evals.requests import GoldText, Prediction, Request

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
    """An engine whose requests don't say all it asks: prompts may hold the date, or the labels."""

    def dated_prompts(self, requests: Sequence[Request]) -> Mapping[str, str]:
        """Return by id the whole prompt of each request that depends on more than the request says.

        A model is not loaded for it.
        """


@runtime_checkable
class Elsewhere(Protocol):
    """An engine whose model runs elsewhere and is asked from here.

    Its entries have neither ``path`` nor ``device``, and its speed and memory are not measured.
    """

    @property
    def asked_at(self) -> str:
        """What it is asked as, and where: ``teacher-7b at 127.0.0.1:8000``."""


@runtime_checkable
class Unsteady(Protocol):
    """An engine whose model may answer the same question otherwise when it is asked again."""

    @property
    def noise_check(self) -> int | None:
        """How many examples of each eval are asked twice, to tell how far it is from itself."""


@runtime_checkable
class Metered(Protocol):
    """An engine whose answers cost something: it counts that while it is asked."""

    @property
    def status(self) -> str:
        """How fast answers come and what they cost so far, in a few words, for a bar."""

    @property
    def spent(self) -> str:
        """What was asked and spent in this run, in a sentence for the report; empty for nothing."""


@runtime_checkable
class Patient(Metered, Protocol):
    """A metered engine that may wait for long, as for a server that has too much to do."""

    while_waiting: Callable[[], None]
    """Called now and then while no answer comes, in the thread that takes the answers."""


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


@dataclass(frozen=True, eq=False, slots=True)
class Captured:
    """A teacher's most likely tokens at every token of one text, recorded elsewhere.

    Parameters
    ----------
    place : str
        File, line and id, for messages.
    tokens : tuple of int
        The text.
    top : ndarray, shape (tokens, k)
        Ids of the captured tokens; -1 where a position has fewer.
    logprobs : ndarray, shape (tokens, k)
        Their natural log-probabilities; ``-inf`` where a position has fewer. A row without any is
        a position that was not captured, and is not compared.
    """

    place: str
    tokens: tuple[int, ...]
    top: NDArray[np.int64]
    logprobs: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TokenLikeness:
    """How alike two models' distributions are over the tokens of one text; sums over its tokens.

    Parameters
    ----------
    id : str
        The example's id.
    tokens : int
        How many tokens were compared.
    agreed : int
        At how many of them both have the same most likely token.
    divergence_low, divergence_high : float
        Bounds of KL(teacher || student), in nats; one number where the whole distributions are
        known. Infinite where the student rules out what the teacher does not.
    variation_low, variation_high : float
        Bounds of the total variation.
    mass : float
        How much of the teacher's probability is known: `tokens` where all is.
    note : str
        What a reader must know of how the numbers came about; the same for every text.
    """

    id: str
    tokens: int
    agreed: int
    divergence_low: float
    divergence_high: float
    variation_low: float
    variation_high: float
    mass: float
    note: str = ""


@runtime_checkable
class Distributional(Protocol):
    """An engine that can compare its model's distributions over tokens with a teacher's."""

    def token_likeness(self, teacher: Any, texts: Sequence[GoldText]) -> Iterator[TokenLikeness]:
        """Yield how alike the model is to its teacher on every text, in any order.

        Parameters
        ----------
        teacher : Engine, or mapping of str to Captured
            The teacher's engine, or by id what was captured of the teacher elsewhere. Both models
            must see the same token ids; ModelError where they cannot.
        texts : sequence of GoldText
            All of one kind.
        """
