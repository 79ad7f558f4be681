"""A text that is being generated: its next token, its end, and what reading all of it says."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
import transformers

from pytest_distill.engines.transformers.batching import pad
from pytest_distill.engines.transformers.findings import Neighbours
from pytest_distill.engines.transformers.likelihood import Span, score_places, score_spans
from pytest_distill.engines.transformers.loaded import Loaded
from pytest_distill.engines.transformers.neighbours import in_company
from pytest_distill.engines.transformers.trials import differ
from pytest_distill.evals.tasks.generation import Decoding


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
    """

    index: int
    prompt: list[int]
    decoding: Decoding
    ends: Sequence[int]
    tokens: list[int] = field(default_factory=list)
    log_probabilities: list[float] = field(default_factory=list)
    padding: int = 0
    rows: int = 0

    def begin(self) -> None:
        """Forget what was generated."""
        self.tokens.clear()
        self.log_probabilities.clear()

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

    def is_finished(self, loaded: Loaded) -> bool:
        """Return whether its last token ended it."""
        if self.tokens[-1] in self.ends or self.size >= self.longest:
            return True
        if not self.decoding.stop:
            return False
        # Only generated text counts: a prompt that ends in half a stop string stops nothing.
        tail = loaded.tokenizer.decode(self.tokens[-tail_length(self.decoding.stop) :])
        return any(string in tail for string in self.decoding.stop)


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


def crosses(loaded: Loaded, text: Text, size: int) -> bool:
    """Return whether a text of `size` tokens ends beyond a border that it began before.

    What a cache keeps of its beginning is then not what the model makes of all of it.
    """
    border = loaded.findings.border
    return border is not None and len(text.prompt) <= border < size


def forced_token(loaded: Loaded) -> int | None:
    """Return the token that every text of a translation model begins with: its language."""
    token = loaded.model.generation_config.forced_bos_token_id
    return int(token) if loaded.kind == "seq2seq" and token is not None else None


def difference(loaded: Loaded, text: Text) -> str | None:
    """Return how a text's log-likelihood differs from that of reading all of it in one pass.

    The token that a checkpoint forces at the start of every text is not looked at. Nor are texts
    that cross a border of the model's positions: read at once, their beginning is another's.
    """
    if crosses(loaded, text, text.size):
        return None
    first = 0 if forced_token(loaded) is None else 1
    targets = tuple(text.tokens[first:])
    if not targets:
        return None
    got = math.fsum(text.log_probabilities[first:])
    if loaded.kind == "causal":
        start = len(text.prompt) - 1
        (expected,) = score_spans(loaded, [text.row[:-1]], [[Span(start, targets)]])
    else:
        inputs = whole(loaded, [text])
        places = [(0, first + offset) for offset in range(len(targets))]
        (expected,) = score_places(loaded, inputs, [(places, targets)])
    if not differ(loaded, len(targets), got, expected):
        return None
    return (
        f"the log-likelihood of a generated text was {got:.4f}, and {expected:.4f} when all of it "
        "was read at once"
    )


def in_batches_of_texts(
    loaded: Loaded,
    texts: Sequence[Text],
    neighbours: Neighbours,
    generate: Callable[[Loaded, Sequence[Text]], None],
) -> Iterator[Text]:
    """Yield every text once `generate` has generated all of its batch.

    Raises
    ------
    WrongAloneError
        When a text isn't what the model says when it reads all of it at once.
    """

    def forward(batch: list[int]) -> list[Text]:
        chosen = [texts[place] for place in batch]
        generate(loaded, chosen)
        return chosen

    def wrong(_: int, text: Text) -> str | None:
        return difference(loaded, text)

    budget = loaded.generation_budget
    lengths = [text.longest for text in texts]
    for _, finished in in_company(
        loaded, budget, neighbours, lengths, forward, wrong, alone_is_right=False
    ):
        yield from finished


def whole(loaded: Loaded, texts: Sequence[Text]) -> dict[str, torch.Tensor | bool]:
    """Return what a model reads of texts whose prompts, and answers, are of one length."""
    if loaded.kind == "causal":
        rows = pad([text.row for text in texts], 0, loaded.device)
        return {"input_ids": rows, "use_cache": False}
    start = start_token(loaded)
    return {
        "input_ids": pad([text.prompt for text in texts], 0, loaded.device),
        "decoder_input_ids": pad([[start, *text.tokens] for text in texts], 0, loaded.device),
        "use_cache": False,
    }


def start_token(loaded: Loaded) -> int:
    """Return the token that the decoder of a seq2seq model begins with."""
    theirs, config = loaded.model.generation_config, loaded.model.config
    known = (
        theirs.decoder_start_token_id,
        getattr(config, "decoder_start_token_id", None),
        theirs.bos_token_id,
    )
    return next((int(token) for token in known if isinstance(token, int)), 0)
