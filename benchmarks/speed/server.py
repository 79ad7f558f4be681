"""`engine: openai` against lm-evaluation-harness's ``local-completions`` and OpenAI's own client.

All three ask the same server on this machine, a process of its own that answers after a while as a
model does, the same prompts, as many at once. None of them needs a model here.

Run from the repository's root; prints Markdown:

    python benchmarks/speed/server.py [--rounds 5] [--requests 2000] [--at-once 32]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from common import Measured, header, interleaved

Answers = dict[str, str]
TOKENS = 8


def serve(fd: int, seconds: float) -> None:
    """Answer each prompt with itself, after a while."""
    import uvicorn

    async def app(_scope: Any, receive: Any, send: Any) -> None:
        content, more = b"", True
        while more:
            message = await receive()
            content, more = content + message.get("body", b""), message.get("more_body", False)
        await asyncio.sleep(seconds)
        prompts = json.loads(content)["prompt"]
        prompts = [prompts] if isinstance(prompts, str) else prompts
        choices = [
            {"index": n, "text": prompt, "finish_reason": "stop", "logprobs": None}
            for n, prompt in enumerate(prompts)
        ]
        usage = {"prompt_tokens": 8, "completion_tokens": 8, "total_tokens": 16}
        answer = {"id": os.urandom(8).hex(), "object": "text_completion", "created": 0}
        body = json.dumps({**answer, "model": "m", "choices": choices, "usage": usage}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    config = uvicorn.Config(app, lifespan="off", log_level="critical")
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=fd)])


def ours(url: str, at_once: int) -> Callable[[list[str]], Answers]:
    """Return what asks with our engine."""
    from pytest_distill.engines import ModelSpec
    from pytest_distill.engines.openai import OpenAIEngine
    from pytest_distill.evals.tasks.decoding import Decoding, GenerationRequest

    options = {"base_url": url, "model": "m", "max_concurrency": at_once}
    engine = OpenAIEngine(ModelSpec("teacher", "teacher", options=options))

    def ask(prompts: list[str]) -> Answers:
        requests = [GenerationRequest(text, text, False, Decoding(TOKENS)) for text in prompts]
        return {answer.id: answer.text or "" for answer in engine.predict(requests)}

    return ask


def harness(url: str, at_once: int) -> Callable[[list[str]], Answers]:
    """Return what asks with lm-evaluation-harness."""
    from lm_eval.api.instance import Instance
    from lm_eval.models.openai_completions import LocalCompletionsAPI

    model = LocalCompletionsAPI(
        base_url=f"{url}/completions",
        model="m",
        tokenizer_backend=None,
        tokenized_requests=False,
        num_concurrent=at_once,
        batch_size=1,
    )
    until = {"until": ["\n"], "max_gen_toks": TOKENS, "do_sample": False}

    def ask(prompts: list[str]) -> Answers:
        asked = [Instance("generate_until", {}, (p, dict(until)), n) for n, p in enumerate(prompts)]
        found = model.generate_until(asked, disable_tqdm=True)
        return dict(zip(prompts, found, strict=True))

    return ask


def vendor(url: str, at_once: int) -> Callable[[list[str]], Answers]:
    """Return what asks with OpenAI's own client."""
    import openai

    async def all_of(prompts: list[str]) -> Answers:
        found: Answers = {}
        left = iter(prompts)
        async with openai.AsyncOpenAI(base_url=url, api_key="none") as client:

            async def some() -> None:
                for text in left:
                    answer = await client.completions.create(
                        model="m", prompt=text, max_tokens=TOKENS, temperature=0
                    )
                    found[text] = answer.choices[0].text

            await asyncio.gather(*(some() for _ in range(at_once)))
        return found

    return lambda prompts: asyncio.run(all_of(prompts))


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--at-once", type=int, default=32)
    parser.add_argument("--serve", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        serve(int(chosen.serve[0]), float(chosen.serve[1]))
        return
    names = ", ".join(f"{name} {version(name)}" for name in ("httpx2", "lm-eval", "openai"))
    print(
        f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}; Python "
        f"{platform.python_version()}, {names}; {chosen.requests} requests, {chosen.at_once} at "
        f"once, {chosen.rounds} rounds\n"
    )
    print(header("the peer"))
    for seconds in (0.0, 0.1):
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        fd, port = listener.fileno(), listener.getsockname()[1]
        command = [sys.executable, __file__, "--serve", str(fd), str(seconds)]
        server = subprocess.Popen(command, pass_fds=[fd])
        try:
            time.sleep(1)
            url = f"http://127.0.0.1:{port}/v1"
            for name, peer in (("lm-eval", harness), ("openai", vendor)):
                measure(f"{name}, answers after {seconds:g} s", url, peer, chosen)
        finally:
            server.terminate()
            server.wait()
            listener.close()


def measure(name: str, url: str, peer: Callable[..., Any], chosen: argparse.Namespace) -> None:
    """Print the row of a peer."""
    theirs, us = peer(url, chosen.at_once), ours(url, chosen.at_once)
    measured = Measured(name)
    for ask in (theirs, us):
        ask([f"warm {n}" for n in range(50)])
    for turn in range(chosen.rounds):
        prompts = [f"prompt {turn} {n}" for n in range(chosen.requests)]
        both = interleaved(measured, turn, lambda p=prompts: theirs(p), lambda p=prompts: us(p))
        assert all(found == {text: text for text in prompts} for found in both)
    print(measured.row(), flush=True)


if __name__ == "__main__":
    main()
