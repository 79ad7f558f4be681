"""A server on loopback that answers as a function says."""

from __future__ import annotations

import inspect
import json
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import uvicorn

from pytest_distill.engines.openai.text_trials import PROMPT


@dataclass(frozen=True)
class Asked:
    """One request as it came in."""

    path: str
    body: Any
    headers: Mapping[str, str]

    @property
    def is_trial(self) -> bool:
        """Whether it is no example's, but sent to see what the server honours."""
        return PROMPT in json.dumps(self.body)


@dataclass(frozen=True)
class Reply:
    """What is answered. A `body` that is no bytes is sent as JSON."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def raw(self) -> bytes:
        """The bytes of the body."""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


Handle = Callable[[Asked], Reply | Awaitable[Reply]]
"""Answers one request."""


@dataclass
class Served:
    """A server that is running: where it is, and what it was asked so far."""

    port: int
    asked: list[Asked] = field(default_factory=list)
    scheme: str = "http"

    @property
    def url(self) -> str:
        """The base URL."""
        return f"{self.scheme}://127.0.0.1:{self.port}/v1"


@contextmanager
def served(
    handle: Handle, port: int = 0, certificate: str | None = None, *, trials: bool = False
) -> Iterator[Served]:
    """Run a server as long as the block lasts.

    Parameters
    ----------
    handle : callable
        Answers one request.
    port : int
        Where it listens; a free port unless one is given.
    certificate : str, optional
        The file of one with its key, for TLS.
    trials : bool
        Whether it answers trials too; by default they find a server that honours all, and are not
        among what was asked.
    """
    listener = socket.create_server(("127.0.0.1", port))
    running = Served(listener.getsockname()[1], scheme="https" if certificate else "http")
    numbers = count()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        content, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            content, more = content + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        asked = Asked(scope["path"], json.loads(content) if content else None, headers)
        tried = asked.is_trial and not trials
        if not tried:
            running.asked.append(asked)
        given = _honoured(asked, next(numbers)) if tried else handle(asked)
        reply = await given if inspect.isawaitable(given) else given
        sent = {"content-type": "application/json", **reply.headers}
        pairs = [(name.encode(), value.encode("latin-1")) for name, value in sent.items()]
        await send({"type": "http.response.start", "status": reply.status, "headers": pairs})
        await send({"type": "http.response.body", "body": reply.raw})

    with running_app(app, listener, certificate):
        yield running


@contextmanager
def running_app(
    app: Any, listener: socket.socket, certificate: str | None = None
) -> Iterator[None]:
    """Run an ASGI application as long as the block lasts."""
    config = uvicorn.Config(app, lifespan="off", log_level="error", ssl_certfile=certificate)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join()


def _honoured(asked: Asked, number: int) -> Reply:
    """Return what a server answers to a trial that honours temperature and seed."""
    drawn = asked.body["temperature"] > 0
    text = f"{asked.body['seed']} ships" if drawn else "a ship"
    answer = chat_answer if asked.path.endswith("chat/completions") else completion
    return Reply(answer(text) | {"id": f"trial-{number}"})


def chat_answer(text: str, number: int = 0, **more: Any) -> dict[str, Any]:
    """Return the JSON of a chat completion."""
    message = {"role": "assistant", "content": text}
    return _answer(number, {"index": 0, "message": message, "finish_reason": "stop"}, more)


def completion(text: str, number: int = 0, **more: Any) -> dict[str, Any]:
    """Return the JSON of a completion."""
    return _answer(number, {"index": 0, "text": text, "finish_reason": "stop"}, more)


def _answer(number: int, choice: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    return {"id": f"answer-{number}", "choices": [choice], "usage": usage, **more}
