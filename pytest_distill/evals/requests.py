"""What passes between a task and an engine: one request and one prediction an example."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

LATER: dict[str, Any] = {"later": True}
"""Metadata of a field of a request or a task that earlier versions had not: as long as it says
nothing, it is no part of the digest of either, so that what is stored is found again."""

ASIDE: dict[str, Any] = {"aside": True}
"""Metadata of a field of a request that not every engine reads, so that it is no part of its
digest: an engine whose answers depend on it says so, see ``Dated``."""

Finish = Literal["end", "stop", "length", "tool_call"]
"""Why a text ended: at an end token, a stop string, the greatest length, or a call of a tool."""
FINISHES: tuple[Finish, ...] = get_args(Finish)


def says(value: Any, of: dataclasses.Field[Any]) -> bool:
    """Return whether a field's value is a part of its owner's digest."""
    if of.metadata.get("aside"):
        return False
    return not (of.metadata.get("later") and value == of.default)


@dataclass(frozen=True, slots=True)
class Head:
    """What a model ends in: it decides what the model can be asked.

    Parameters
    ----------
    name : str
        What engines call a model that has it.
    words : str
        The same for a reader.
    suffix : str
        How transformers ends the names of its classes.
    auto : str
        How transformers ends the name of the Auto class that loads it.
    adapter : str
        What peft calls the task of an adapter for it.
    """

    name: str
    words: str
    suffix: str
    auto: str
    adapter: str


CAUSAL = Head("causal", "causal", "ForCausalLM", "ForCausalLM", "CAUSAL_LM")
SEQ2SEQ = Head("seq2seq", "seq2seq", "ForConditionalGeneration", "ForSeq2SeqLM", "SEQ_2_SEQ_LM")


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is asked about one example. Each kind is declared beside its task.

    Parameters
    ----------
    id : str
        The example's id.
    """

    task: ClassVar[str]
    """Name of the task that asks it."""
    heads: ClassVar[tuple[Head, ...]]
    """The heads of models that can answer it."""
    generates: ClassVar[bool] = False
    """Whether the answer is written token by token, so that there is a first one to wait for."""

    id: str = field(hash=False)  # requests that ask the same have the same hash


@dataclass(frozen=True, slots=True)
class GoldText:
    """A gold text on whose tokens two models' distributions are compared.

    Parameters
    ----------
    request : Request
        What a model is asked: a whole text, or a prompt.
    target : str
        The accepted answer that follows a prompt, with what stands between the two.
    """

    request: Request
    target: str = ""

    @property
    def id(self) -> str:
        """The example's id."""
        return self.request.id


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call of a tool, as a model wrote it.

    Parameters
    ----------
    name : str
        The tool's name.
    arguments : str
        Its arguments as JSON; what the model wrote where that is none.
    """

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one model answered for one example; the fields that its task does not need stay None.

    Parameters
    ----------
    id : str
        The example's id.
    prediction : str, optional
        The answer in the gold set's words: a label, or a choice's text or index.
    probabilities : tuple of float, optional
        One probability an output of a classifier, in [0, 1].
    labels : tuple of str, optional
        The names of those outputs, in the same order.
    loglikelihoods : tuple of float, optional
        Natural logarithms: one a choice, or a single one for the whole text (perplexity, and
        generation where it is known).
    text : str, optional
        The generated text, without the prompt and without the stop string.
    tokens : int, optional
        Over how many tokens the log-likelihood of a text was taken (perplexity, generation).
    finish : {"end", "stop", "length", "tool_call"}, optional
        Why the generated text ended.
    thinking_tokens : int, optional
        How many of `tokens` stand before the answer: the model's thinking and its markers.
    greedy : tuple of bool, optional
        Of each choice, whether it is what the model would have generated greedily: lm-evaluation-
        harness's ``is_greedy``.
    tool_calls : tuple of ToolCall, optional
        The calls of tools, where they were told apart from the text, as servers do it.
    fingerprint : str, optional
        What a server calls the state that it answered in, as OpenAI's ``system_fingerprint``. It is
        no part of the answer.
    answered_as : str, optional
        What a server called the model that answered, where that is not what it was asked for.
    """

    id: str
    prediction: str | None = None
    probabilities: tuple[float, ...] | None = None
    labels: tuple[str, ...] | None = None
    loglikelihoods: tuple[float, ...] | None = None
    text: str | None = None
    tokens: int | None = None
    finish: Finish | None = None
    thinking_tokens: int | None = None
    greedy: tuple[bool, ...] | None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    fingerprint: str | None = None
    answered_as: str | None = None
