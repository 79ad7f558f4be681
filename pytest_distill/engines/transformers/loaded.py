"""A model in memory, and what was found out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch

from pytest_distill.engines.transformers.batching import Budget
from pytest_distill.engines.transformers.chats import Chat
from pytest_distill.engines.transformers.clocks import Clock
from pytest_distill.engines.transformers.findings import Findings
from pytest_distill.errors import ModelError


def tokens_named(*values: object) -> set[int]:
    """Return the ids in what a config says of some tokens: one, several, or None."""
    several = [value if isinstance(value, list | tuple) else [value] for value in values]
    return {token for tokens in several for token in tokens if isinstance(token, int)}


@dataclass(frozen=True)
class Loaded:
    """A model in memory, ready to be asked.

    Parameters
    ----------
    name : str
        The model's name in ``distill.yaml``.
    model, tokenizer
        The transformers objects; the model is on its device and in eval mode.
    kind : str
        What the architecture can do.
    device : torch.device
        Where the inputs go.
    context : int or None
        How many tokens the model can read; None where nothing limits it.
    budget, generation_budget : Budget
        How many tokens, padding included, one forward pass takes, and how many a batch that is
        generated has in the end. They shrink when memory runs out.
    vocabulary : int or None
        How many tokens the model has embeddings for; None where it doesn't tell.
    onednn : bool
        Whether matrix products run in oneDNN; see `onednn`.
    findings : Findings
        What each way to run the model found out of it.
    settled : bool
        Whether nothing is tried any more: while the clock runs.
    joins : bool
        Whether what requests have in common may be answered once: not while it is measured.
    clock : Clock
        What its chat template is told of the time.
    notes : list of str
        What a reader of the results should know about how they came about.
    """

    name: str
    model: Any
    tokenizer: Any
    kind: str
    device: torch.device
    context: int | None
    budget: Budget
    generation_budget: Budget
    vocabulary: int | None
    onednn: bool
    clock: Clock
    notes: list[str]
    findings: Findings = field(default_factory=Findings)
    settled: bool = False
    joins: bool = True

    @property
    def architecture(self) -> str:
        """Name of the model's class."""
        return type(self.model).__name__

    @property
    def who(self) -> str:
        """How messages call it."""
        return f"model '{self.name}' ({self.architecture})"

    @cached_property
    def special_tokens(self) -> Mapping[int, str]:
        """How each special token is written. Made once: a tokenizer may have thousands."""
        added = getattr(self.tokenizer, "added_tokens_decoder", {})
        ids, names = self.tokenizer.all_special_ids, self.tokenizer.all_special_tokens
        return {
            **dict(zip(ids, names, strict=True)),
            **{at: token.content for at, token in added.items() if token.special},
        }

    @property
    def chat(self) -> Chat:
        """What makes a prompt of a conversation."""
        return Chat(self.name, self.tokenizer, self.clock, self.note)

    def note(self, text: str) -> None:
        """Tell the reader of the results something, once."""
        if text not in self.notes:
            self.notes.append(text)

    def checked(self, id: str, tokens: list[int]) -> list[int]:
        """Return the tokens of example `id`, refused where the model has no embedding for one."""
        if self.vocabulary is not None and tokens and max(tokens) >= self.vocabulary:
            raise ModelError(
                f"model '{self.name}', example '{id}': the tokenizer gives token {max(tokens)}, "
                f"but the model knows only {self.vocabulary}: the tokenizer is another model's"
            )
        return tokens

    def knows(self, token: int) -> bool:
        """Return whether the model has an embedding for a token, as far as can be told."""
        return token >= 0 and (self.vocabulary is None or token < self.vocabulary)

    def refuse_unknown(self, token: int | None, key: str) -> None:
        """Raise ModelError where the model has no embedding for a token that `key` names.

        A number below 0 names none.
        """
        if token is None or token < 0 or self.vocabulary is None or self.knows(token):
            return
        raise ModelError(
            f"model '{self.name}': {key} is {token}, but the model knows only the tokens 0 to "
            f"{self.vocabulary - 1}: give the id of one of these, or save the model after "
            "resize_token_embeddings"
        )
