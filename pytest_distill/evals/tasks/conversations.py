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
    def text(self) -> str:
        """All of it as JSON, whatever the order of its keys."""
        said = [self.messages, self.tools, self.template, self.arguments]
        return json.dumps(said, sort_keys=True, ensure_ascii=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Conversation) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)
