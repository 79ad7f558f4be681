"""Whether an engine of the user's looks at the conversations that it is asked.

In place of a conversation's messages a request has an empty prompt. An engine that knows prompts
alone would answer that, and be judged by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import Request
from pytest_distill.evals.tasks.decoding import Conversation

_READ = "_read"


class _Watched(Conversation):
    """A conversation that knows whether anybody looked into it."""

    def __getattribute__(self, name: str) -> Any:
        if name != "__class__":  # what isinstance() asks tells nothing
            object.__getattribute__(self, "__dict__")[_READ] = True
        return super().__getattribute__(name)


def watched(requests: Sequence[Request]) -> Sequence[Request]:
    """Return the same requests, with conversations that know whether anybody looked into them."""
    return [
        request
        if (talk := getattr(request, "conversation", None)) is None
        else replace(
            request,
            conversation=_Watched(  # type: ignore[call-arg]  # it is a kind that has it
                talk.messages, talk.tools, talk.template, talk.arguments
            ),
        )
        for request in requests
    ]


def refuse_unread(requests: Sequence[Request], who: str) -> None:
    """Raise ModelError where an engine has answered conversations, and looked into none of them.

    Parameters
    ----------
    requests : sequence of Request
        Those of `watched`.
    who : str
        The model, for the message.
    """
    asked = [r for r in requests if getattr(r, "conversation", None) is not None]
    if asked and not any(map(_was_read, asked)):
        raise ModelError(
            f"{who} answered example '{asked[0].id}' without a look at request.conversation: this "
            "eval asks messages, and request.prompt is empty; read request.conversation.messages, "
            "or ask this model an eval with a prompt"
        )


def _was_read(request: Any) -> bool:
    return _READ in object.__getattribute__(request.conversation, "__dict__")
