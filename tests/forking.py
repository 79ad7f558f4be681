"""Interpreters that are forked, instead of started: what they import is there already.

A run of pytest takes a second of processor time to import what the package needs, and four more
to import what a model needs, the same in hundreds of tests. Here one process imports it once, and
forks whenever a test, or execnet for a worker of a run, would start an interpreter; from then on
the fork is an ordinary process, with files, a folder, an environment, threads and an end of its
own. Tests of what a run imports, or does without, start their own (`run_apart`).
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import IO, Any, NoReturn

import pytest
from execnet.gateway_base import Popen2IO
from execnet.gateway_io import popen_bootstrapline

TORCH = ("torch", "torch._dynamo", "torch.distributed.tensor")
"""What a run that loads models imports before it reads the settings of the hub."""
MODELS = (
    *TORCH,
    "pytest_distill.engines.transformers.loading",
    "transformers.models.auto.modeling_auto",
    "transformers.models.auto.tokenization_auto",
    "transformers.models.llama.modeling_llama",
)
"""What a run that loads models imports."""

_ROOT = Path(__file__).parents[1]
_LENGTH = 8


class Forks:
    """A process that forks interpreters; it ends with the one that has it, or by `close`.

    Parameters
    ----------
    *modules : str
        What it imports beside what every run of pytest does.
    """

    def __init__(self, *modules: str) -> None:
        here, there = socket.socketpair()
        self._asked = here
        with there:
            call = f"serve({there.fileno()}, {modules!r})"
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"from {__name__} import serve; {call}"],
                pass_fds=[there.fileno()],
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )

    def worker(self, stdin: int, stdout: int, alive: int) -> int:
        """Return the number of a new worker, in this process's folder and with its environment.

        Parameters
        ----------
        stdin, stdout : int
            Its files.
        alive : int
            A file that it keeps open as long as it lives.
        """
        return self._fork(_surroundings(), [stdin, stdout, 2, alive])

    def start(
        self,
        module: str,
        arguments: Sequence[str],
        stdout: IO[Any],
        stderr: IO[Any],
        environment: Mapping[str, str] | None = None,
        *,
        folder: Path | None = None,
        safe_path: bool = False,
    ) -> Forked:
        """Return a process that does what ``python -m`` would, in this folder, with no input.

        Parameters
        ----------
        safe_path : bool
            As ``python -P``: no folder of its own stands in the path.
        """
        told = _surroundings(folder, environment)
        told |= {"module": module, "arguments": list(arguments), "safe_path": safe_path}
        heard, telling = os.pipe()
        with ExitStack() as opened:
            opened.callback(os.close, telling)
            nothing = opened.enter_context(Path(os.devnull).open("rb"))
            self._fork(told, [nothing.fileno(), stdout.fileno(), stderr.fileno(), telling])
        return Forked([module, *arguments], heard)

    def run(
        self,
        module: str,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None = None,
        *,
        folder: Path | None = None,
        safe_path: bool = False,
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Do what `start` does to its end, and return what was printed."""
        with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
            process = self.start(
                module, arguments, out, err, environment, folder=folder, safe_path=safe_path
            )
            try:
                status = process.wait(timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            out.seek(0)
            err.seek(0)
            return subprocess.CompletedProcess([module, *arguments], status, out.read(), err.read())

    def close(self) -> None:
        """End it."""
        self._asked.close()
        self._process.wait()

    def _fork(self, told: Mapping[str, Any], files: list[int]) -> int:
        packed = json.dumps(told).encode()
        socket.send_fds(self._asked, [len(packed).to_bytes(_LENGTH)], files)
        self._asked.sendall(packed)
        return int.from_bytes(_received(self._asked, _LENGTH))


@cache
def forks(*modules: str) -> Forks:
    """Return what forks for this process, as long as it lives."""
    made = Forks(*modules)
    atexit.register(made.close)
    return made


class Forked:
    """A process that `Forks.start` made, with what is used of a `subprocess.Popen`.

    Parameters
    ----------
    command : sequence of str
        What it does.
    told : int
        A file with its number and, when it has ended, its exit status.
    """

    stdin = None

    def __init__(self, command: Sequence[str], told: int) -> None:
        self._command, self._told = command, os.fdopen(told, "rb", buffering=0)
        self.pid = int(self._told.readline())

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit status, minus the signal's number where one ended it."""
        ending = select.poll()  # `select.select` takes no file beyond the thousandth
        ending.register(self._told, select.POLLIN)
        if not ending.poll(None if timeout is None else timeout * 1000):
            assert timeout is not None
            raise subprocess.TimeoutExpired(self._command, timeout)
        with self._told:
            return int(self._told.readline())

    def kill(self) -> None:
        """End it at once."""
        os.kill(self.pid, signal.SIGKILL)


class ForkedIO(Popen2IO):
    """What execnet talks to a worker by, as its own `Popen2IOMaster`.

    Parameters
    ----------
    forks : Forks
        What makes the worker.
    execmodel : execnet.gateway_base.ExecModel
        How execnet waits.
    """

    def __init__(self, forks: Forks, execmodel: Any) -> None:
        (stdin, to_it), (from_it, stdout), (ended, alive) = os.pipe(), os.pipe(), os.pipe()
        self._pid, self._ended = forks.worker(stdin, stdout, alive), os.fdopen(ended, "rb")
        for file in (stdin, stdout, alive):
            os.close(file)
        super().__init__(os.fdopen(to_it, "wb"), os.fdopen(from_it, "rb"), execmodel=execmodel)

    def wait(self) -> None:
        """Return when the process has ended."""
        with self._ended:
            self._ended.read()

    def kill(self) -> None:
        """End the process at once."""
        os.kill(self._pid, signal.SIGKILL)


def serve(asked: int, modules: Sequence[str]) -> None:
    """Fork whenever the socket `asked` asks for it, until it closes; a fork becomes a process."""
    path = _own_path()
    _import_all(modules)
    gc.collect()
    gc.freeze()  # a collection in a fork would write to, and so copy, the memory of all of it
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks here how a fork ended
    with socket.socket(fileno=asked) as connection:
        while True:
            length, files, *_ = socket.recv_fds(connection, _LENGTH, 4)
            if not length:
                return
            told = json.loads(_received(connection, int.from_bytes(length)))
            pid = os.fork()
            if not pid:
                break
            connection.sendall(pid.to_bytes(_LENGTH))
            for file in files:
                os.close(file)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    if "module" in told:
        _part(files.pop())
    for number, file in enumerate(files[:3]):
        os.dup2(file, number)
        os.close(file)
    os.chdir(told["folder"])
    os.environ.clear()
    os.environ.update(told["environment"])
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
    if "module" in told:
        _run(told, path)
    exec(popen_bootstrapline, {"__name__": "__main__"})  # noqa: S102 - as execnet's interpreter does


def _part(telling: int) -> None:
    """Fork once more: the child goes on, and its parent waits for it and tells how it ended."""
    child = os.fork()
    if not child:
        os.close(telling)
        return
    os.write(telling, f"{child}\n".encode())
    _, status = os.waitpid(child, 0)
    os.write(telling, f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _run(told: Mapping[str, Any], path: Sequence[str]) -> NoReturn:
    """Run a module and end, as the interpreter's own main function does."""
    sys.__stdin__, sys.__stdout__ = sys.stdin, sys.stdout  # type: ignore[misc, assignment]
    own = [] if told["safe_path"] else [told["folder"]]
    sys.path[:] = [*own, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)), *path]
    importlib.invalidate_caches()
    sys.argv[1:] = told["arguments"]
    runpy.run_module(told["module"], run_name="__main__", alter_sys=True)
    raise SystemExit


def _surroundings(
    folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> dict[str, Any]:
    known = os.environ if environment is None else environment
    return {"folder": str(folder or Path.cwd()), "environment": dict(known)}


def _own_path() -> list[str]:
    """Return where modules are looked for, without what the environment and the command add."""
    added = {"", *os.environ.get("PYTHONPATH", "").split(os.pathsep)}
    return [entry for entry in sys.path if entry not in added]


def _import_all(modules: Sequence[str]) -> None:
    """Import what runs import, in a run of no test: pytest rewrites the asserts of its plugins."""
    with tempfile.TemporaryDirectory() as empty:
        pytest.main(
            ["-p", "tests.plugin.conftest", "-p", "no:cacheprovider", "--distill-report", empty]
        )
    for module in modules:
        importlib.import_module(module)


def _received(connection: socket.socket, length: int) -> bytes:
    got = b""
    while len(got) < length:
        more = connection.recv(length - len(got))
        assert more, "the process that forks has ended"
        got += more
    return got
