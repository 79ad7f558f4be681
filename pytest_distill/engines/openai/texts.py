"""Generated texts: a request as the server takes it, and its answer as a prediction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_distill.engines.openai.calls import Call, Send
from pytest_distill.evals.requests import Finish, Prediction
from pytest_distill.evals.tasks.generation import Decoding, GenerationRequest

_FINISHES: Mapping[str, Finish] = {"stop": "end", "length": "length", "tool_calls": "tool_call"}


async def generate(send: Send, request: GenerationRequest) -> Prediction:
    """Return the text that answers a prompt, or a conversation."""
    answer = await send(_call(request))
    choice = answer["choices"][0]
    text = choice["message"]["content"] if request.is_chat else choice["text"]
    usage = answer.get("usage") or {}
    return Prediction(
        request.id,
        text=text or "",
        tokens=usage.get("completion_tokens"),
        finish=_FINISHES.get(choice.get("finish_reason")),
    )


def _call(request: GenerationRequest) -> Call:
    body, most = _decoding(request.decoding), request.decoding.max_new_tokens
    if not request.is_chat:
        return Call(request.id, "completions", {"prompt": request.prompt, **body}, most)
    messages: list[Any] = [{"role": "user", "content": request.prompt}]
    if request.conversation is not None:
        messages = [dict(message) for message in request.conversation.messages]
    return Call(request.id, "chat/completions", {"messages": messages, **body}, most)


def _decoding(decoding: Decoding) -> dict[str, Any]:
    body: dict[str, Any] = {"max_tokens": decoding.max_new_tokens, "temperature": 0}
    if decoding.stop:
        body["stop"] = list(decoding.stop)
    if decoding.do_sample:
        body |= {"temperature": decoding.temperature, "top_p": decoding.top_p}
        body["seed"] = decoding.seed
    return body
