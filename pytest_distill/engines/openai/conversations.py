"""Prompts and conversations as servers take them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_distill.engines.openai.calls import Call
from pytest_distill.errors import ModelError
from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest

CHAT, PLAIN = "chat/completions", "completions"
"""Where each is asked."""


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
                calls.append(_call(call, number))
            told["tool_calls"] = calls
            open_calls = [call["id"] for call in calls]
        if message["role"] == "tool":
            id = told.setdefault("tool_call_id", open_calls[0] if open_calls else "")
            open_calls = [other for other in open_calls if other != id]
        found.append(told)
    return found


def _call(call: Mapping[str, Any], number: int) -> dict[str, Any]:
    function = call["function"]
    arguments = json.dumps(function["arguments"], ensure_ascii=False)
    return {
        "id": f"call_{number}",
        **call,
        "type": "function",
        "function": {**function, "arguments": arguments},
    }
