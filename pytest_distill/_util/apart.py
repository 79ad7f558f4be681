"""A function in a process of its own, with a limit on each call that no code can get around.

What hangs in C can't be interrupted from within, nor by a thread: the kernel ends the process when
its processor time is over, and the next call starts another. Where there is no such limit (Windows)
a timer does it.
"""

from __future__ import annotations

import atexit
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

SECONDS = 5
"""Of processor time, which a call may take: as much as math-verify's own limit."""
MEMORY = 4 << 30
"""Bytes of address space."""

_START = (
    "import json, sys; sys.path[:] = json.loads(sys.stdin.buffer.readline()); "
    "from pytest_distill._util.apart import serve; serve()"
)
_PATIENCE = 12
"""How many times its limit a call may wait for, on a machine that does other things too."""
_STARTING = 300
"""Seconds in which the function must have been imported."""
_EXCEEDED = "exceeded"


class LimitExceededError(Exception):
    """A call took more time or memory than it may."""


class FailedApartError(Exception):
    """The process could not be started, or the function raised: what was said."""


class _EndedError(Exception):
    """The process ended before it answered; whether by its limit."""

    def __init__(self, code: int, *, by_limit: bool) -> None:
        super().__init__(f"its process ended with {code}")
        self.by_limit = by_limit


class Apart:
    """A function of JSON-able values that is called in a process of its own.

    The process is started by the first call, and again after one that exceeded a limit. It ends
    with the one that asks, however that ends.

    Parameters
    ----------
    function : str
        Where it is, as ``package.module:name``. What it imports is imported there alone.
    seconds : int
        Processor time of a call.
    memory : int
        Bytes of the address space of the process.
    """

    def __init__(self, function: str, *, seconds: int = SECONDS, memory: int = MEMORY) -> None:
        self.function = function
        self.seconds = seconds
        self.memory = memory
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0

    def __call__(self, *arguments: Any) -> Any:
        """Return what the function returns.

        Raises
        ------
        LimitExceededError
            The call was ended.
        FailedApartError
            The function raised, or its process can't be started.
        """
        with self._lock:
            try:
                return self._asked(list(arguments))
            except _EndedError as ended:
                if ended.by_limit:
                    raise LimitExceededError from None
            try:  # once more: it may have been ended from without
                return self._asked(list(arguments))
            except _EndedError:
                raise LimitExceededError from None

    @property
    def pid(self) -> int | None:
        """The process that waits for the next call; None where there is none."""
        return None if self._process is None else self._process.pid

    def close(self) -> None:
        """End the process, if there is one."""
        process, self._process = self._process, None
        if process is None or self._owner != os.getpid():
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()

    def _asked(self, arguments: list[Any]) -> Any:
        if self._process is None or self._owner != os.getpid():  # a fork shares the pipes
            self._process = self._started()
        return self._exchange(self._process, [arguments], self.seconds * _PATIENCE)

    def _started(self) -> subprocess.Popen[bytes]:
        try:
            # Not by multiprocessing: it would run the user's main module again, guarded or not.
            process = subprocess.Popen(  # noqa: S603 (this Python, and a text of ours)
                [sys.executable, "-P", "-W", "ignore", "-c", _START],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            self._process, self._owner = process, os.getpid()
            atexit.unregister(self.close)
            atexit.register(self.close)
            path = [str(Path(entry).absolute()) for entry in sys.path]
            begin = [self.function, self.seconds, self.memory]
            self._exchange(process, [path, begin], _STARTING)
        except (OSError, _EndedError) as error:
            raise FailedApartError(f"no process can be started for it: {error}") from None
        return process

    def _exchange(self, process: subprocess.Popen[bytes], lines: list[Any], patience: float) -> Any:
        assert process.stdin is not None  # noqa: S101 (they are pipes)
        assert process.stdout is not None  # noqa: S101
        late = threading.Event()

        def too_late() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(patience, too_late)
        timer.daemon = True
        timer.start()
        try:
            with suppress(BrokenPipeError):  # it has ended: then it says nothing below
                process.stdin.write(b"".join(json.dumps(line).encode() + b"\n" for line in lines))
                process.stdin.flush()
            answer = process.stdout.readline()
        except BaseException:  # Ctrl-C: what comes later is no answer to the next call
            self.close()
            raise
        finally:
            timer.cancel()
        if not answer.endswith(b"\n"):
            code = process.wait()
            self.close()
            by_limit = late.is_set() or code == -getattr(signal, "SIGXCPU", 0)
            raise _EndedError(code, by_limit=by_limit)
        returned, raised = json.loads(answer)
        if raised == _EXCEEDED:
            raise LimitExceededError
        if raised is not None:
            raise FailedApartError(raised)
        return returned


def serve() -> None:
    """Answer calls until nobody can ask any more: what runs in the process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal; it ends with who asks
    if hasattr(signal, "SIGXCPU"):
        signal.signal(signal.SIGXCPU, signal.SIG_DFL)
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever the function prints is no answer
    limited = _Limits()
    function: Callable[..., Any] | None = None
    for line in sys.stdin.buffer:
        returned = raised = None
        try:
            if function is None:
                name, limited.seconds, limited.memory = json.loads(line)
                module, _, attribute = name.partition(":")
                function = getattr(importlib.import_module(module), attribute)
                limited.begin()
            else:
                limited.renew()
                returned = function(*json.loads(line))
        except MemoryError:
            raised = _EXCEEDED
        except Exception as error:  # noqa: BLE001 (told to who asked)
            raised = f"{type(error).__name__}: {error}"
        answers.write(json.dumps([returned, raised]).encode() + b"\n")
        answers.flush()


class _Limits:
    """What this process may use; nothing where the system knows no such limits."""

    seconds = 0
    memory = 0

    def begin(self) -> None:
        with suppress(ImportError, ValueError, OSError):
            import resource

            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            _lower(resource.RLIMIT_AS, self.memory)

    def renew(self) -> None:
        """Allow so many seconds more than were used."""
        with suppress(ImportError, ValueError, OSError):
            import resource

            used = resource.getrusage(resource.RUSAGE_SELF)
            _lower(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime) + 1 + self.seconds)


def _lower(which: int, soft: int) -> None:
    """Set a limit, but not beyond what the system allows."""
    import resource

    _, hard = resource.getrlimit(which)
    most = soft if hard == resource.RLIM_INFINITY else min(soft, hard)
    resource.setrlimit(which, (most, hard))
