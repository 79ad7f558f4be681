"""vLLM in a process of its own: what runs there, and what it is asked and answers, line by line.

So its environment, its threads, its log and its memory are its own, whoever asks: what it holds is
free when the process has ended, and a kernel that crashes ends no test run.

Each line is JSON. The first two that come in are the module search path and the arguments of
``LLM``. It answers ``{"ready": {...}}`` or ``{"failed": what}``, and then to every
``{"ask": [[number, tokens, params], ...]}`` with lines of ``[[number, ...], ...]``; see `Told`.
``{"abort": [number, ...]}`` ends what is not finished. At the end of its input it ends.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, BinaryIO, Literal, TypeAlias

START = (
    "import json, sys; sys.path[:] = json.loads(sys.stdin.buffer.readline()); "
    "from pytest_distill.engines.vllm.inside import main; main()"
)
"""What Python is told to run."""

PATIENCE = 20.0
"""Seconds in which it ends in good order when nobody asks any more."""

Told: TypeAlias = tuple[Literal["scored", "written", "refused"], Sequence[Any]]
"""What is told of a request.

``scored``: log-probabilities of the last tokens of a prompt, and whether each was the likeliest.
``written``: further tokens, their log-probabilities, and why it ended, or null. ``refused``: why.
"""


class InputReader:
    """What comes in, read by a thread of its own, so that who asks never waits."""

    def __init__(self, lines: BinaryIO) -> None:
        self._lines = lines
        self._read: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self.ended = False

    def begin(self) -> None:
        """Start to read."""
        threading.Thread(target=self._follow, daemon=True).start()

    def _follow(self) -> None:
        with suppress(ValueError):  # torn: who asks has ended in the middle of a line
            for line in self._lines:
                self._read.put(json.loads(line))
        self._read.put(None)
        threading.Event().wait(PATIENCE)
        os.killpg(0, signal.SIGKILL)  # it leads its group: what it started ends too

    def take(self, *, wait: bool) -> Iterator[dict[str, Any]]:
        """Yield what has come in; where that is nothing and there is nothing to do, wait for it."""
        while not self.ended:
            try:
                said = self._read.get(block=wait)
            except queue.Empty:
                return
            wait = False
            if said is None:
                self.ended = True
            else:
                yield said


class StepLoop:
    """The step loop of one engine.

    Parameters
    ----------
    engine
        The ``LLMEngine``.
    """

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.scored: dict[str, int] = {}  # request -> how many of its last tokens are scored

    def heed(self, said: Mapping[str, Any]) -> Iterator[list[Any]]:
        """Do what is asked; yield what is told of requests that vLLM does not take."""
        if stopped := said.get("abort"):
            self.engine.abort_request([str(number) for number in stopped])
        for number, tokens, params in said.get("ask", ()):
            try:
                self._add(str(number), tokens, dict(params))
            except Exception as error:  # noqa: BLE001 (told, with the example's id)
                yield [number, "refused", [told(error)]]

    def _add(self, key: str, tokens: list[int], params: dict[str, Any]) -> None:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        if (count := params.pop("score", None)) is not None:
            # The likeliest token beside the prompt's own: vLLM ranks equals as low as the last.
            params |= {"prompt_logprobs": 1, "max_tokens": 1, "temperature": 0.0}
            self.scored[key] = count
        sampling = SamplingParams(
            **params, detokenize=False, output_kind=RequestOutputKind.DELTA, skip_clone=True
        )
        self.engine.add_request(key, {"prompt_token_ids": tokens}, sampling)

    def step(self) -> list[list[Any]]:
        """Let the model make a step; return what is told of it."""
        return [line for output in self.engine.step() for line in self._told(output)]

    def _told(self, output: Any) -> Iterator[list[Any]]:
        key = output.request_id
        if key in self.scored:
            if output.finished:
                yield [int(key), "scored", self._scores(output, self.scored.pop(key))]
            return
        one = output.outputs[0]
        likely = [
            at[token].logprob for at, token in zip(one.logprobs or (), one.token_ids, strict=True)
        ]
        yield [int(key), "written", [list(one.token_ids), likely, one.finish_reason]]

    def _scores(self, output: Any, count: int) -> list[Any]:
        last = list(zip(output.prompt_token_ids, output.prompt_logprobs, strict=True))[-count:]
        found = [at[token] for token, at in last]
        return [[each.logprob for each in found], [each.rank == 1 for each in found]]


def main() -> None:
    """Answer until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal; it ends with who asks
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever is printed is no answer
    arguments = json.loads(sys.stdin.buffer.readline())
    asked = InputReader(sys.stdin.buffer)
    asked.begin()

    def tell(line: Any) -> None:
        with suppress(BrokenPipeError):  # nobody listens: the end of the input comes too
            answers.write(json.dumps(line).encode() + b"\n")
            answers.flush()

    try:
        engine, about = loaded(arguments)
        tell({"ready": about})
        answering = StepLoop(engine)
        while not asked.ended:
            for said in asked.take(wait=not engine.has_unfinished_requests()):
                if refused := list(answering.heed(said)):
                    tell(refused)
            if not asked.ended and engine.has_unfinished_requests() and (lines := answering.step()):
                tell(lines)
    except Exception as error:  # noqa: BLE001 (told to who asks)
        traceback.print_exc()
        tell({"failed": told(error)})
    if not multiprocessing.active_children():
        os._exit(0)  # nothing is to be put in order, and that takes seconds


def loaded(arguments: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Load the model; return the engine, and what is to be known of it."""
    from vllm import LLM
    from vllm.platforms import current_platform

    engine = LLM(**arguments).llm_engine
    about = {
        "device": current_platform.device_type,
        "max_model_len": engine.model_config.max_model_len,
    }
    return engine, about


def told(error: BaseException) -> str:
    """Return what an exception says, with its class, in as few words as it has."""
    listed = getattr(error, "errors", None)
    if callable(listed):  # pydantic's, with which vLLM refuses arguments
        with suppress(Exception):
            return "; ".join(
                str(one["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
                for one in listed()
            )
    return f"{type(error).__name__}: {error}" if str(error).strip() else type(error).__name__
