"""A server whose answers fail in every way that real ones do, as a process of its own.

`FaultyApp` is the ASGI application; `faulty` runs it. What no ASGI application can do, as resetting
a connection or sending an answer twice, `raw` does: it sends the bytes that it is given.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import uvicorn

from pytest_distill.engines.openai.text_trials import PROMPT
from tests.servers.served import completion

FAULTS = (
    "429",
    "429 now",
    "429 date",
    "500",
    "502",
    "503",
    "wrong JSON",
    "no choices",
    "cut",
    "cut in chunks",
    "slow",
    "repeated",
)
"""What may become of a request."""


class FaultyApp:
    """Answers a prompt with itself, but for a share of faults.

    Parameters
    ----------
    share : float
        Of the requests that meet a fault.
    seed : int
        Draws which ones.
    """

    def __init__(self, share: float, seed: int) -> None:
        self.met: Counter[str] = Counter()
        self._share, self._draw = share, random.Random(seed)  # noqa: S311 (draws faults)
        self._earlier: list[dict[str, Any]] = []
        self._faults: dict[str, Callable[[Any, dict[str, Any]], Awaitable[None]]] = {
            "429": lambda send, _: _reply(send, 429, b'{"error": {"message": "slow down"}}'),
            "429 now": lambda send, _: _reply(send, 429, b"", ("retry-after", "0")),
            "429 date": lambda send, _: _reply(send, 429, b"", ("retry-after", formatdate())),
            "500": lambda send, _: _reply(send, 500, b"Internal Server Error"),
            "502": lambda send, _: _reply(send, 502, b"<html>Bad gateway</html>"),
            "503": lambda send, _: _reply(send, 503, b""),
            "wrong JSON": lambda send, answer: _reply(send, 200, json.dumps(answer).encode()[:-9]),
            "no choices": lambda send, answer: _json(send, {**answer, "choices": []}),
            "cut": _cut,
            "cut in chunks": _cut_in_chunks,
            "slow": _slow,
            "repeated": self._repeated,
        }

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        content, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            content, more = content + message.get("body", b""), message.get("more_body", False)
        if scope["method"] == "GET":
            await _json(send, self.met)
            return
        answer = completion(json.loads(content)["prompt"], sum(self.met.values()))
        fault = "" if self._draw.random() >= self._share else self._draw.choice(FAULTS)
        self.met[fault] += 1
        if fault:
            await self._faults[fault](send, answer)
        else:
            self._earlier.append(answer)
            await _json(send, answer)

    async def _repeated(self, send: Any, answer: dict[str, Any]) -> None:
        """Answer with what answered another request."""
        await _json(send, self._draw.choice(self._earlier) if self._earlier else answer)


async def _json(send: Any, answer: Any) -> None:
    await _reply(send, 200, json.dumps(answer).encode())


async def _reply(send: Any, status: int, body: bytes, *headers: tuple[str, str]) -> None:
    pairs = [(name.encode(), value.encode()) for name, value in headers]
    await send({"type": "http.response.start", "status": status, "headers": pairs})
    await send({"type": "http.response.body", "body": body})


async def _slow(send: Any, answer: dict[str, Any]) -> None:
    """Answer rightly, a few bytes at a time."""
    body = json.dumps(answer).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for start in range(0, len(body), 40):
        part = body[start : start + 40]
        await send({"type": "http.response.body", "body": part, "more_body": True})
        await asyncio.sleep(0.002)
    await send({"type": "http.response.body", "body": b""})


async def _cut(send: Any, answer: dict[str, Any]) -> None:
    """Say how long the answer is, and end before that."""
    body = json.dumps(answer).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body[:-30], "more_body": True})
    raise ConnectionAbortedError


async def _cut_in_chunks(send: Any, answer: dict[str, Any]) -> None:
    """End before the last chunk."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    body = json.dumps(answer).encode()
    await send({"type": "http.response.body", "body": body, "more_body": True})
    raise ConnectionAbortedError


@dataclass(frozen=True)
class Faulty:
    """A faulty server that is running."""

    port: int

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def met(self) -> Counter[str]:
        """How many requests met which fault; those that met none are under the empty text."""
        with urlopen(self.url) as response:  # noqa: S310 (of this machine)
            return Counter(json.load(response))


@contextmanager
def faulty(share: float, seed: int = 0) -> Iterator[Faulty]:
    """Run a faulty server, in a process of its own, as long as the block lasts."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    fd = listener.fileno()
    command = [sys.executable, "-m", "tests.servers.faults", str(fd), str(share), str(seed)]
    root = Path(__file__).parents[2]
    process = subprocess.Popen(command, pass_fds=[fd], cwd=root, env=dict(os.environ))
    try:
        yield Faulty(listener.getsockname()[1])
    finally:
        process.terminate()
        process.wait()
        listener.close()


def main(fd: int, share: float, seed: int) -> None:
    """Run the server on a socket that is handed over."""
    config = uvicorn.Config(FaultyApp(share, seed), lifespan="off", log_level="critical")
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=fd)])


RESET = b"\0reset"
"""In place of bytes: the connection is reset."""


@dataclass
class Raw:
    """A server that sends bytes as they are: where it is, and what came so far."""

    port: int
    asked: list[Any] = field(default_factory=list)
    heads: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://127.0.0.1:{self.port}/v1"


@contextmanager
def raw(answer: Callable[[Any], list[bytes | float]]) -> Iterator[Raw]:
    """Run a server that sends what a function says for the JSON of a request.

    Connections are kept alive as long as the client wants them. A number among the bytes is a pause
    in seconds, `RESET` resets the connection, and `b""` closes it.
    """
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    running = Raw(listener.getsockname()[1])
    serving: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
    ended = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving[task] = writer
        try:
            while await _one(reader, writer, running, answer):
                pass
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def run() -> None:
        server = await asyncio.start_server(serve, sock=listener)
        await ended.wait()
        loop.remove_reader(listener)
        # Who was accepted just now is a task of asyncio's own, and then one of these. A connection
        # that begins when the server, or its loop, has ended is never closed: these end first.
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for task, writer in serving.items():
                task.cancel()
                writer.transport.abort()
            await asyncio.wait(others, timeout=0.01)
        server.close()

    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(run(),), daemon=True)
    thread.start()
    try:
        yield running
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()


async def _one(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    running: Raw,
    answer: Callable[[Any], list[bytes | float]],
) -> bool:
    """Answer one request; whether another may come on the same connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
    body = json.loads(await reader.readexactly(int(fields["content-length"])))
    if PROMPT in json.dumps(body):  # a trial of what is honoured
        writer.write(bytes_of(completion("a ship", -len(running.heads))))
        await writer.drain()
        return False
    running.heads.append(head)
    running.asked.append(body)
    for part in answer(body):
        if isinstance(part, float):
            await asyncio.sleep(part)
        elif part == RESET:
            writer.transport.abort()
            return False
        elif not part:
            return False
        else:
            writer.write(part)
            await writer.drain()
    return True


def bytes_of(answer: Any, status: int = 200, **headers: str) -> bytes:
    """Return a whole response with the JSON of an answer; one that is bytes is sent as it is."""
    body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
    more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    length = "" if status == 204 else f"content-length: {len(body)}\r\n"
    return f"HTTP/1.1 {status} X\r\n{length}{more}\r\n".encode() + body


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]))
