"""HTTP requests for examples: prompts and conversations as servers take them."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_distill.errors import ModelError
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest

CHAT, PLAIN = "chat/completions", "completions"
"""Where each is asked."""
_TOO_LARGE = 413


@dataclass(frozen=True, slots=True)
class Call:
    """What is sent for one example.

    Parameters
    ----------
    id : str
        The example's id, for messages.
    path : str
        What follows the base URL, as ``chat/completions``.
    body : mapping
        The JSON of the request, without what every request of the model has.
    most : int
        At most how many tokens are written for it.
    aside : bool
        Whether the answer is none of the model's: a text's tokens. It has no fingerprint, and is
        not billed.
    """

    id: str
    path: str
    body: Mapping[str, Any]
    most: int = 0
    aside: bool = False


Send = Callable[[Call], Awaitable[Mapping[str, Any]]]
"""Sends one call, tries again where that may help, and returns the JSON of its answer."""


class CallRefusedError(ModelError):
    """A server refused a call by a status of 4xx: the same call is refused again.

    Parameters
    ----------
    message : str
        What is told the user.
    status : int
        Of HTTP.
    said : str
        What the server said.
    """

    def __init__(self, message: str, status: int, said: str) -> None:
        super().__init__(message)
        self.status, self.said = status, said

    @property
    def is_too_long(self) -> bool:
        """Whether the prompt may be longer than the model's context."""
        return self.status == _TOO_LARGE or "context" in self.said.lower()


def call_of(request: GenerationRequest, who: str) -> Call:
    """Return what is sent for a request.

    Parameters
    ----------
    request : GenerationRequest
        What is asked.
    who : str
        Model and example, for messages.

    Raises
    ------
    ModelError
        Where it wants what no server can be asked.
    """
    body = _decoded(request.decoding)
    most = request.decoding.max_new_tokens
    if not request.is_chat:
        return Call(request.id, PLAIN, {"prompt": request.prompt, **body, "logprobs": 1}, most)
    return Call(request.id, CHAT, {**_asked(request, who), **body, "logprobs": True}, most)


def _asked(request: GenerationRequest, who: str) -> dict[str, Any]:
    asked = request.conversation
    if asked is None:
        return {"messages": [{"role": "user", "content": request.prompt}]}
    if asked.template is not None:
        raise ModelError(
            f"{who}: the server puts the chat template on, so that none can be chosen by name "
            f"('{asked.template}'): leave 'template' out, or its name, and let the server have "
            "that template"
        )
    body: dict[str, Any] = {"messages": _messages(asked.messages)}
    if asked.tools:
        body["tools"] = [dict(tool) for tool in asked.tools]
    if asked.arguments:
        body["chat_template_kwargs"] = dict(asked.arguments)
    return body


def _decoded(decoding: Decoding) -> dict[str, Any]:
    body: dict[str, Any] = {"max_tokens": decoding.max_new_tokens, "temperature": 0}
    if decoding.stop:
        body["stop"] = list(decoding.stop)
    if decoding.do_sample:
        body |= {"temperature": decoding.temperature, "top_p": decoding.top_p}
        body["seed"] = decoding.seed
    return body


def _messages(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return messages as the API takes them: arguments of calls as text, and ids for all calls.

    A gold set need have no ids: then calls are numbered, and results belong to them in their order.
    """
    found, open_calls, number = [], [], 0
    for message in messages:
        told = dict(message)
        if message.get("tool_calls"):
            calls = []
            for call in message["tool_calls"]:
                number += 1
                calls.append(_numbered(call, number))
            told["tool_calls"] = calls
            open_calls = [call["id"] for call in calls]
        if message["role"] == "tool":
            id = told.setdefault("tool_call_id", open_calls[0] if open_calls else "")
            open_calls = [other for other in open_calls if other != id]
        found.append(told)
    return found


def _numbered(call: Mapping[str, Any], number: int) -> dict[str, Any]:
    function = call["function"]
    arguments = json.dumps(function["arguments"], ensure_ascii=False)
    return {
        "id": f"call_{number}",
        **call,
        "type": "function",
        "function": {**function, "arguments": arguments},
    }
