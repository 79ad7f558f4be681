"""What passes between a task and an engine: one request and one prediction an example."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class ClassificationRequest:
    """Ask for the probability of every label.

    Parameters
    ----------
    id : str
        The example's id.
    text, text_pair : str
        What the model reads; `text_pair` is the second segment of a sentence-pair task.
    truncate : {"left", "right"}, optional
        Which end to cut off where the text is longer than the model's context; None: an error.
    """

    id: str
    text: str
    text_pair: str | None = None
    truncate: Literal["left", "right"] | None = None


@dataclass(frozen=True, slots=True)
class ChoiceRequest:
    """Ask for the log-likelihood of each continuation after the context.

    Parameters
    ----------
    id : str
        The example's id.
    context : str
        The rendered prompt; may be empty.
    continuations : tuple of str
        What could follow, each with its leading delimiter (``" Paris"``).
    truncate : {"left"}, optional
        Whether the start of the context may be cut off. None: a too long prompt is an error.
    """

    id: str
    context: str
    continuations: tuple[str, ...]
    truncate: Literal["left"] | None = None


@dataclass(frozen=True, slots=True)
class Decoding:
    """How text is generated. Greedy unless `do_sample`, which needs a `seed`."""

    max_new_tokens: int = 128
    stop: tuple[str, ...] = ()
    do_sample: bool = False
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class GenerationRequest:
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
    """

    id: str
    prompt: str
    chat: bool = False
    decoding: Decoding = Decoding()
    truncate: Literal["left"] | None = None


@dataclass(frozen=True, slots=True)
class PerplexityRequest:
    """Ask for the log-likelihood of a text and the number of tokens that it was taken over.

    Texts longer than the model's context (or than `window`) are scored with a sliding window that
    moves `stride` tokens a step; every token is scored once. With `share_cache` a window that has
    moved reads its new tokens alone, after what the model kept of the others.
    """

    id: str
    text: str
    window: int | None = None
    stride: int | None = None
    share_cache: bool = False


Request = ClassificationRequest | ChoiceRequest | GenerationRequest | PerplexityRequest


@dataclass(frozen=True, slots=True)
class GoldText:
    """A gold text on whose tokens two models' distributions are compared.

    Parameters
    ----------
    request : PerplexityRequest or GenerationRequest
        What a model is asked: a whole text, or a prompt.
    target : str
        The accepted answer that follows a prompt, with what stands between the two.
    """

    request: PerplexityRequest | GenerationRequest
    target: str = ""

    @property
    def id(self) -> str:
        """The example's id."""
        return self.request.id


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
    """

    id: str
    prediction: str | None = None
    probabilities: tuple[float, ...] | None = None
    labels: tuple[str, ...] | None = None
    loglikelihoods: tuple[float, ...] | None = None
    text: str | None = None
    tokens: int | None = None
