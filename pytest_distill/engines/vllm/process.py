"""The process that runs vLLM: how it is started, asked and ended, and what its end means."""

from __future__ import annotations

import atexit
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, Any

from pytest_distill.engines.transformers.options import Spec
from pytest_distill.engines.vllm.inside import PATIENCE, START
from pytest_distill.errors import ModelError, one_line

_AT_ONCE = 1024
"""How many requests vLLM holds at most: enough for it to fill its batches from."""
_LOOKED_AT = 2**16  # bytes at the end of the log in which the cause of an end is looked for
_MOST = 500  # characters of what vLLM says
_NO_MEMORY = ("out of memory", "outofmemory", "memory ran out", "can't allocate memory")
_NO_ROOM = ("kv cache", "gpu memory utilization", "available memory", "--gpu-memory-utilization")
_RAISED = re.compile(r"\b([A-Z]\w*(?:Error|Exception)): (.*\S)")


class VLLMFailedError(Exception):
    """vLLM did not load the model, or came to an end: what it said."""


@dataclass(frozen=True, slots=True)
class Job:
    """What vLLM is asked once.

    Parameters
    ----------
    of : int
        What it belongs to, for who asks.
    tokens : list of int
        The prompt.
    params : mapping
        Of ``SamplingParams``; or ``score``: how many of the last tokens get log-probabilities.
    """

    of: int
    tokens: list[int]
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class JobAnswer:
    """What vLLM tells of a request; see `inside.Told`.

    Parameters
    ----------
    job : Job
        What was asked.
    kind : str
        Of what kind it is.
    values : list
        What is told.
    stop : callable
        Ends the request, which is not finished.
    """

    job: Job
    kind: str
    values: list[Any]
    stop: Callable[[], None]


class Process:
    """vLLM with one model.

    Parameters
    ----------
    arguments : mapping
        Of ``LLM``.
    environment : mapping
        What it finds in its environment beside ours.

    Raises
    ------
    VLLMFailedError
        Where the model is not loaded.
    """

    def __init__(self, arguments: Mapping[str, Any], environment: Mapping[str, str]) -> None:
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (as long as the process)
        self._number = 0
        # Not by multiprocessing: it would run the user's main module again, guarded or not.
        self._process = subprocess.Popen(  # noqa: S603 (this Python, and a text of ours)
            [sys.executable, "-P", "-c", START],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env={**os.environ, **environment},
            start_new_session=True,  # so that what it starts can be ended with it
        )
        self._owner = os.getpid()
        atexit.register(self.close)
        try:
            path = [str(Path(entry).absolute()) for entry in sys.path]
            self._say(path, dict(arguments))
            self.about: dict[str, Any] = self._hear()["ready"]
        except BaseException:
            self.close()
            raise

    def answers(self, jobs: Iterable[Job]) -> Iterator[JobAnswer]:
        """Ask, and yield what is told of each request as it comes.

        Requests that are not finished when nobody listens any more are ended.

        Raises
        ------
        VLLMFailedError
            Where vLLM came to an end.
        """
        coming, going = iter(jobs), dict[int, Job]()

        def stop(number: int) -> None:
            if going.pop(number, None) is not None:
                self._say({"abort": [number]})

        try:
            while True:
                self._ask(islice(coming, max(0, _AT_ONCE - len(going))), going)
                if not going:
                    return
                for number, kind, values in self._hear():
                    job = going.get(number)  # None of what was ended meanwhile
                    if job is None:
                        continue
                    if kind != "written" or values[-1] is not None:
                        del going[number]
                    yield JobAnswer(job, kind, values, partial(stop, number))
        except VLLMFailedError:
            going.clear()
            raise
        finally:
            if going and not self.ended:
                self._say({"abort": list(going)})

    def _ask(self, jobs: Iterable[Job], going: dict[int, Job]) -> None:
        new = []
        for job in jobs:
            self._number += 1
            going[self._number] = job
            new.append([self._number, job.tokens, dict(job.params)])
        if new:
            self._say({"ask": new})

    def _say(self, *lines: Any) -> None:
        assert self._process.stdin is not None  # noqa: S101 (for mypy: they are pipes)
        with suppress(BrokenPipeError, ValueError):  # it has ended: then nothing is heard either
            self._process.stdin.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
            self._process.stdin.flush()

    def _hear(self) -> Any:
        assert self._process.stdout is not None  # noqa: S101
        try:
            line = self._process.stdout.readline()
        except BaseException:  # Ctrl-C: a line that is torn can't be gone on from
            self.close()
            raise
        if not line.endswith(b"\n"):
            raise VLLMFailedError(self._end())
        said = json.loads(line)
        if isinstance(said, dict) and "failed" in said:
            raise VLLMFailedError(self._cause(said["failed"]))
        return said

    def _end(self) -> str:
        """Return how the process ended by itself."""
        code = self._process.wait()
        how = f"its process ended with status {code}"
        if code < 0:
            name = signal.Signals(-code).name if -code in [*signal.Signals] else str(-code)
            memory = ": memory ran out, most likely" if -code == signal.SIGKILL else ""
            how = f"its process was ended by {name}{memory}"
        return self._cause(how)

    def _cause(self, said: str) -> str:
        """Return the cause that the log has where an exception only says that there is one."""
        if "root cause" not in said.lower() and not said.startswith("its process"):
            return said
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - _LOOKED_AT))
        raised = _RAISED.findall(self._log.read().decode(errors="replace"))
        causes = [f"{name}: {text}" for name, text in raised if "root cause" not in text.lower()]
        return f"{said} ({causes[-1]})" if causes else said

    @property
    def ended(self) -> bool:
        """Whether nothing can be asked any more."""
        return self._process.poll() is not None

    def close(self) -> None:
        """End the process and all that it started."""
        atexit.unregister(self.close)
        process = self._process
        if self._owner != os.getpid():  # of a fork, which shares the pipes
            return
        with suppress(OSError):
            if process.stdin is not None:
                process.stdin.close()
        try:
            process.wait(PATIENCE if hasattr(self, "about") else 0)
        except subprocess.TimeoutExpired:  # not yet reaped: the number is its own still
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        with suppress(OSError):
            if process.stdout is not None:
                process.stdout.close()
        self._log.close()


def load_error(spec: Spec, said: str, engine_args: Collection[str]) -> ModelError:
    """Return the error of a model that vLLM does not load; it was given these `engine_args`."""
    given = (
        f"; engine_args ({', '.join(engine_args)}) went to vLLM as they are: see that it knows "
        "each, with a value of this type"
    )
    return ModelError(
        f"model '{spec.name}' can't be loaded by vLLM from {spec.path}: {shortened(said)}"
        f"{_remedy(said)}{given if engine_args else ''}"
    )


def answer_error(spec: Spec, example: str, said: str) -> ModelError:
    """Return the error of a model at which vLLM came to an end while it answered."""
    return ModelError(
        f"model '{spec.name}': vLLM came to an end while it answered example '{example}' and those "
        f"beside it: {shortened(said)}{_remedy(said)}"
    )


def shortened(said: str) -> str:
    """Return what vLLM says in one line, without its advice on how to read a log."""
    line = one_line(re.sub(r"\s+", " ", said).strip())
    line = re.sub(r"See (the )?(root cause|stack trace)[^.]*\.?\s*", "", line).strip()
    return line if len(line) <= _MOST else f"{line[:_MOST]}..."


def _remedy(said: str) -> str:
    low = said.lower()
    if any(words in low for words in _NO_ROOM):
        return (
            "; set a smaller 'max_model_len', or give the cache more room ('kv_cache_gib', on a "
            "GPU 'gpu_memory_utilization')"
        )
    if any(words in low for words in _NO_MEMORY):
        return "; use a smaller dtype or 'max_model_len', or a device with more memory"
    return ""
