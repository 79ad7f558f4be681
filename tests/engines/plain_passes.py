"""What a model answers when it reads one text at a time: no padding, no mask, no cache.

This is the reference that the engine is held to. It shares no code with it: the tokenizer, the
transformers model and the definition of each task are all that it uses.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch

TIE = 1e-3
"""Two tokens whose logits are this close may be taken for one another."""


@dataclass
class PlainModel:
    """A model in float32 that is given one text at a time.

    Parameters
    ----------
    cls
        Its transformers class.
    folder : Path
        Its checkpoint.
    stateful : bool
        Whether it remembers what it read before; then it is loaded anew for every pass.
    """

    cls: Any
    folder: Path
    tokenizer: Any
    stateful: bool = False

    def __post_init__(self) -> None:
        self.model = self._load()
        self.taken = inspect.signature(self.cls.forward).parameters
        # Some models mask what follows only then.
        self.cacheless = {"use_cache": False} if "use_cache" in self.taken else {}
        self.end = self.tokenizer.eos_token_id
        # What follows a text is asked for again and again while a text is generated.
        self.logits = cache(self._logits)

    def _load(self) -> Any:
        return self.cls.from_pretrained(self.folder, dtype=torch.float32).eval()

    @torch.inference_mode()
    def _logits(self, row: tuple[int, ...]) -> torch.Tensor:
        """Return a causal model's logits after each token of a row."""
        if self.stateful:
            self.model = self._load()
        logits: torch.Tensor = self.model(input_ids=torch.tensor([row]), **self.cacheless).logits[0]
        return logits

    def likelihood(self, row: Sequence[int], targets: int) -> float:
        """Return the log-probability of the last `targets` tokens of a row, each after its past."""
        # A row that differs in its last token alone is read once.
        logits = self.logits(tuple(row[:-1]))[-targets:].log_softmax(-1)
        return sum(float(one[token]) for one, token in zip(logits, row[-targets:], strict=True))

    def choices(self, context: str, continuations: Sequence[str]) -> list[float]:
        """Return the log-likelihood of each continuation; words are tokens."""
        before = self.ids(context)
        whole = [self.ids(context + continuation) for continuation in continuations]
        return [self.likelihood(row, len(row) - len(before)) for row in whole]

    def ids(self, text: str) -> list[int]:
        """Return the tokens of a text, with those that the tokenizer adds by itself."""
        return list(self.tokenizer(text)["input_ids"])

    def text(self, text: str, window: int, stride: int) -> float:
        """Return the log-likelihood of a text, read in windows of which each scores what is new."""
        row = [self.tokenizer.bos_token_id, *self.ids(text)]
        total, done = 0.0, 1
        while done < len(row):
            end = min(done + (window if done == 1 else stride), len(row))
            total += self.likelihood(row[max(0, end - window - 1) : end], end - done)
            done = end
        return total

    @torch.inference_mode()
    def next_token(self, prompt: Sequence[int], made: Sequence[int]) -> torch.Tensor:
        """Return the logits of the token that follows."""
        if not self.model.config.is_encoder_decoder:
            return self.logits((*prompt, *made))[-1]
        start = self.model.generation_config.decoder_start_token_id
        logits: torch.Tensor = self.model(
            input_ids=torch.tensor([prompt]),
            decoder_input_ids=torch.tensor([[start, *made]]),
            **self.cacheless,
        ).logits[0, -1]
        return logits

    def greedy(self, text: str, length: int) -> list[torch.Tensor]:
        """Return the logits of every token of the likeliest answer, that of its end included."""
        prompt, made, steps = self.ids(text), list[int](), list[torch.Tensor]()
        while len(made) < length and (not made or made[-1] != self.end):
            steps.append(self.next_token(prompt, made))
            made.append(int(steps[-1].argmax()))
        return steps

    @torch.inference_mode()
    def probabilities(self, text: str, pair: str | None) -> list[float]:
        """Return the probability of each label."""
        encoded = self.tokenizer(text, pair, return_tensors="pt")
        inputs = {
            name: encoded[name]
            for name in ("input_ids", "token_type_ids")
            if name in encoded and name in self.taken
        }
        if self.stateful:
            self.model = self._load()
        values: list[float] = self.model(**inputs).logits[0].softmax(-1).tolist()
        return values

    def foresees(self) -> bool:
        """Return whether a causal model says otherwise of a token when what follows is another.

        The rows read are of one length: what depends on the length alone is none of this.
        """
        row = tuple(range(4, 24))
        other = row[:10] + row[:9:-1]
        one, two = (self.logits(tokens)[:10].log_softmax(-1) for tokens in (row, other))
        return bool((one - two).abs().max() > 1e-2)
