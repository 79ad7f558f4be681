"""What a model is asked where it is to write a text, and how it is to decode it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from pytest_distill._util.strict import PositiveCount
from pytest_distill.errors import ConfigError
from pytest_distill.evals.requests import CAUSAL, LATER, SEQ2SEQ, Head, Request
from pytest_distill.evals.tasks.bounds import refuse_out_of_bounds
from pytest_distill.evals.tasks.repeats import MOST, seed_of


@dataclass(frozen=True, eq=False)
class Conversation:
    """What a model's chat template is asked to render. Two that say the same are equal.

    Parameters
    ----------
    messages : sequence of mapping
        Each with a ``role`` and its ``content``, as transformers takes them.
    tools : sequence of mapping
        Definitions of the tools that the model may call, as OpenAI's API takes them.
    template : str, optional
        Name of the chat template, where the tokenizer has several.
    arguments : mapping
        What the template is told beside, such as ``enable_thinking``.
    """

    messages: Sequence[Mapping[str, Any]]
    tools: Sequence[Mapping[str, Any]] = ()
    template: str | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def key(self) -> str:
        """All of it as JSON, its keys in their order: a template may write them in that order."""
        said = [self.messages, self.tools, self.template, self.arguments]
        return json.dumps(said, ensure_ascii=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Conversation) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


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


def sample_of(request: Request, number: int, id: str) -> GenerationRequest:
    """Return the request for a further sample: the same with a seed and an id of its own."""
    assert isinstance(request, GenerationRequest)  # noqa: S101 (for mypy)
    return replace(request, id=id, decoding=_with_seed_of(request.decoding, number))


@lru_cache(maxsize=MOST)
def _with_seed_of(decoding: Decoding, number: int) -> Decoding:
    """Return how a sample is generated: one object for all examples."""
    return replace(decoding, seed=seed_of(decoding.seed or 0, number))
