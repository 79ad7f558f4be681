"""What a model makes of texts before any of its layers sees them: its tokens, and how many."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pytest_distill.engines.transformers.chats import Chat
from pytest_distill.engines.transformers.clocks import Clock
from pytest_distill.errors import ModelError


def tokens_named(*values: object) -> set[int]:
    """Return the ids in what a config says of some tokens: one, several, or None."""
    several = [value if isinstance(value, list | tuple) else [value] for value in values]
    return {token for tokens in several for token in tokens if isinstance(token, int)}


@dataclass(frozen=True)
class Reader:
    """What a model reads of a text, whatever runs it.

    Parameters
    ----------
    name : str
        The model's name in ``distill.yaml``.
    architecture : str
        Name of the model's class.
    tokenizer
        The transformers object.
    kind : str
        What the architecture can do.
    context : int or None
        How many tokens the model can read; None where nothing limits it.
    vocabulary : int or None
        How many tokens the model has embeddings for; None where it doesn't tell.
    clock : Clock
        What its chat template is told of the time.
    notes : list of str
        What a reader of the results should know about how they came about.
    """

    name: str
    architecture: str
    tokenizer: Any
    kind: str
    context: int | None
    vocabulary: int | None
    clock: Clock
    notes: list[str]

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
