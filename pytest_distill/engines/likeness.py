"""What passes between an engine and whoever asks how alike two models are, token by token."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from pytest_distill.evals.requests import GoldText

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


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
