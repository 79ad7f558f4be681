"""A text that is being generated: its next token, and its end."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
import transformers

from pytest_distill.engines.transformers.reader import Reader
from pytest_distill.evals.requests import Finish
from pytest_distill.evals.tasks.decoding import Decoding


@dataclass(eq=False)
class Text:
    """A text that is being generated.

    Parameters
    ----------
    index : int
        Which request it answers.
    prompt : list of int
        The tokens that it follows.
    decoding : Decoding
        How it is generated; those of one batch differ in their seeds alone.
    ends : sequence of int
        The tokens that end it.
    tokens : list of int
        What was generated so far, an end token included.
    log_probabilities : list of float
        The model's log-probability of each of these tokens, before temperature and nucleus.
    padding, rows : int
        How many masked columns the model saw beside it at most, and how many texts in a pass.
    shorter : sequence of Text
        Those that differ from it in their greatest length alone, which is smaller or the same:
        they are what it was when it had so many tokens.
    """

    index: int
    prompt: list[int]
    decoding: Decoding
    ends: Sequence[int]
    tokens: list[int] = field(default_factory=list)
    log_probabilities: list[float] = field(default_factory=list)
    padding: int = 0
    rows: int = 0
    shorter: Sequence[Text] = ()

    def begin(self) -> None:
        """Forget what was generated."""
        self.tokens.clear()
        self.log_probabilities.clear()

    def beginnings(self, length: int | None = None) -> list[Text]:
        """Return `shorter` as they are by what it has so far; those of one greatest length only.

        Parameters
        ----------
        length : int, optional
            In tokens. None: all of them, where the text is finished.
        """
        chosen = [text for text in self.shorter if length in (None, text.decoding.max_new_tokens)]
        for text in chosen:
            most = text.decoding.max_new_tokens
            text.tokens, text.log_probabilities = self.tokens[:most], self.log_probabilities[:most]
            text.padding, text.rows = self.padding, self.rows
        return chosen

    @cached_property
    def key(self) -> int:
        """What its sampling follows from: its seed and its prompt, and nothing beside it."""
        of = hashlib.sha256(f"{self.decoding.seed}:{self.prompt}".encode()).digest()
        return int.from_bytes(of[:8], "big", signed=True)

    @property
    def row(self) -> list[int]:
        """All of its tokens."""
        return [*self.prompt, *self.tokens]

    @property
    def size(self) -> int:
        """How many tokens it has."""
        return len(self.prompt) + len(self.tokens)

    @property
    def longest(self) -> int:
        """How many tokens it has in the end, at most."""
        return len(self.prompt) + self.decoding.max_new_tokens

    @property
    def extent(self) -> tuple[int, int, int]:
        """How long it is, how padded it was, and beside how many it stood; see `Neighbours`."""
        return self.size, self.padding, self.rows

    def ending(self, reader: Reader) -> Finish | None:
        """Return why its last token ended it, the length last of all; None where it goes on."""
        if self.tokens[-1] in self.ends:
            return "end"
        stop, decode = self.decoding.stop, reader.tokenizer.decode
        # Only generated text counts: a prompt that ends in half a stop string stops nothing.
        if (
            stop
            and holds(decode(self.tokens[-tail_length(stop) :]), stop)
            and holds(decode(self.tokens), stop)
        ):
            return "stop"
        return "length" if self.size >= self.longest else None


def holds(text: str, stop: Sequence[str]) -> bool:
    """Return whether a stop string stands in a text.

    What stands in the end of a text alone need not stand in all of it: a WordPiece that goes on
    within a word is written as "##s" where nothing stands before it.
    """
    return any(string in text for string in stop)


def tail_length(stop: Sequence[str]) -> int:
    """Return how many tokens at the end of a text have to be looked at for stop strings.

    A token holds a byte at least, so as many as the longest string has bytes. The rest is room
    for what a decoder strips from the first token.
    """
    return max((len(string.encode()) for string in stop), default=0) + 8


class SeededSampling(transformers.LogitsProcessor):
    """Makes the sampled token of every row the one with the largest score, for ``generate``.

    transformers' sampling has one generator for the whole batch, and so gives another text when
    the batch is put together otherwise.
    """

    def __init__(self, texts: Sequence[Text]) -> None:
        self.texts = texts
        self.step = 0

    def __call__(
        self,
        input_ids: torch.Tensor,  # noqa: ARG002 - as in the base class
        scores: torch.Tensor,
    ) -> torch.Tensor:
        """Return scores of which one a row isn't minus infinity."""
        tokens = drawn(self.texts, scores.float(), [self.step] * len(self.texts))
        self.step += 1
        return torch.full_like(scores, -torch.inf).scatter_(-1, tokens.unsqueeze(-1), 0.0)


def drawn(texts: Sequence[Text], logits: torch.Tensor, steps: Sequence[int]) -> torch.Tensor:
    """Return the sampled next token of every text, shape (texts,).

    A uniform number falls on one token of the cumulative distribution, whose tokens stand in the
    order of their ids: rounding moves its steps by as little as itself, where an order by
    probability would change.

    Parameters
    ----------
    texts : sequence of Text
        They differ in their prompts and seeds alone.
    logits : torch.Tensor
        In float32, of shape (texts, vocabulary).
    steps : sequence of int
        How many tokens each text has so far.
    """
    decoding = texts[0].decoding
    probabilities = torch.softmax(logits / decoding.temperature, dim=-1)
    if decoding.top_p < 1.0:
        ordered, order = probabilities.sort(descending=True, dim=-1)
        outside = ordered.cumsum(dim=-1) - ordered >= decoding.top_p
        probabilities = probabilities.masked_fill(outside.scatter(-1, order, outside), 0.0)
    reached = probabilities.double().cumsum(dim=-1)
    chosen = uniform([text.key for text in texts], steps, logits.device) * reached[:, -1]
    tokens = torch.searchsorted(reached, chosen.unsqueeze(-1), right=True).squeeze(-1)
    return tokens.clamp_(max=logits.shape[-1] - 1)  # beyond, where the logits are no numbers


def uniform(keys: Sequence[int], steps: Sequence[int], device: torch.device) -> torch.Tensor:
    """Return a number in [0, 1) for every key and step, in float64: the same on every device.

    SplitMix64 of Steele, Lea and Flood (2014), "Fast splittable pseudorandom number generators",
    whose value at a step needs none of those before: integers of 64 bits that wrap around.
    """
    key, step = torch.tensor([keys, steps], dtype=torch.long, device=device)
    bits = key + (step + 1) * -0x61C8864680B583EB
    bits = (bits ^ _shifted(bits, 30)) * -0x40A7B892E31B1A47
    bits = (bits ^ _shifted(bits, 27)) * -0x6B2FB644ECCEEE15
    numbers: torch.Tensor = _shifted(bits ^ _shifted(bits, 31), 12).double() * 2.0**-52
    return numbers


def _shifted(bits: torch.Tensor, by: int) -> torch.Tensor:
    """Return integers of 64 bits shifted to the right, zeros coming in from the left."""
    shifted: torch.Tensor = (bits >> by) & (2 ** (64 - by) - 1)
    return shifted


def of_tokens(scores: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Return the log-probability of one token a row, shape (rows,), under float32 scores."""
    chosen = scores.gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    return chosen - scores.logsumexp(dim=-1)


def go_on(texts: Sequence[Text], logits: torch.Tensor) -> None:
    """Add the next token to each text, and the model's log-probability of it.

    Parameters
    ----------
    texts : sequence of Text
        All sampled, or all greedy.
    logits : torch.Tensor
        Shape (texts, vocabulary).
    """
    scores = logits.float()
    if texts[0].decoding.do_sample:
        tokens = drawn(texts, scores, [len(text.tokens) for text in texts])
    else:
        tokens = scores.argmax(dim=-1)
    likely = of_tokens(scores, tokens).tolist()
    for text, token, log_probability in zip(texts, tokens.tolist(), likely, strict=True):
        text.tokens.append(token)
        text.log_probabilities.append(log_probability)
