"""What a model is asked where it is to write a text, and how it is to decode it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from pytest_distill._util.strict import PositiveCount
from pytest_distill.errors import ConfigError
from pytest_distill.evals.requests import CAUSAL, LATER, SEQ2SEQ, Head, Request
from pytest_distill.evals.tasks.bounds import refuse_out_of_bounds
from pytest_distill.evals.tasks.conversations import Conversation


@dataclass(frozen=True, slots=True)
class Decoding:
    """How text is generated. Greedy unless `do_sample`, which needs a `seed`.

    Parameters
    ----------
    max_new_tokens : int
        At most how many tokens are generated.
    stop : tuple of str
        Texts at which the answer ends.
    do_sample : bool
        Sampling in place of greedy decoding; needs `seed`.
    temperature : float
        What the logits are divided by in sampling.
    top_p : float
        Tokens are sampled from the most probable ones that together have this probability.
    seed : int, optional
        What sampling draws by.

    Raises
    ------
    ConfigError
        Beginning with the field that says what cannot be.
    """

    max_new_tokens: PositiveCount = 128
    stop: tuple[str, ...] = ()
    do_sample: bool = False
    temperature: Annotated[float, Field(gt=0)] = 1.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    seed: int | None = None

    def __post_init__(self) -> None:
        refuse_out_of_bounds(self)
        if "" in self.stop:
            raise ConfigError("stop: an empty text would stop before the first token")
        if self.do_sample and self.seed is None:
            raise ConfigError(
                "do_sample: needs a seed, so that a second run gives the same answers"
            )


@dataclass(frozen=True, slots=True)
class GenerationRequest(Request):
    """Ask for a text that answers the prompt.

    Parameters
    ----------
    id : str
        The example's id.
    prompt : str
        The rendered prompt, before any chat template.
    chat : bool
        Whether the prompt is a user's message, to be put through the model's chat template.
    decoding : Decoding
        Length, stop strings, sampling.
    truncate : {"left"}, optional
        Whether the start of the prompt may be cut off. None: a too long prompt is an error.
    conversation : Conversation, optional
        Messages in place of `prompt`, which is empty then, for the model's chat template.
    thinking : tuple of str, optional
        What the model's thinking begins and ends with: it stays in the text, also where these are
        special tokens.
    """

    task: ClassVar[str] = "generation"
    heads: ClassVar[tuple[Head, ...]] = (CAUSAL, SEQ2SEQ)
    generates: ClassVar[bool] = True

    prompt: str
    chat: bool = False
    decoding: Decoding = Decoding()
    truncate: Literal["left"] | None = None
    conversation: Conversation | None = field(default=None, metadata=LATER)
    thinking: tuple[str, str] | None = field(default=None, metadata=LATER)

    @property
    def is_chat(self) -> bool:
        """Whether what is asked goes through the model's chat template."""
        return self.chat or self.conversation is not None
