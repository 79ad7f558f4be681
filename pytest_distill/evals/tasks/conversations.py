"""Conversations: messages, and what a chat template is told beside them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any


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
