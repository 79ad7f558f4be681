"""Workers of pytest-xdist that are forked, instead of started: what they import is there already.

A run in two workers imports all that the package needs twice over, three seconds of processor time
that are the same in hundreds of tests. Here one process imports it once, as the outer run has for
the runs inside of it, and forks whenever execnet would start an interpreter; from then on a worker
is an ordinary one, with pipes, a folder and an environment of its own. Runs in a process of their
own (`run_apart`) start their workers as a user's do.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest
from execnet.gateway_base import Popen2IO
from execnet.gateway_io import popen_bootstrapline

_ROOT = Path(__file__).parents[2]
_LENGTH = 8


class Forks:
    """A process that forks workers; it ends with the one that has it, or by `close`."""

    def __init__(self) -> None:
        here, there = socket.socketpair()
        self._asked = here
        with there:
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"from {__name__} import serve; serve({there.fileno()})"],
                pass_fds=[there.fileno()],
                cwd=_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )

    def fork(self, stdin: int, stdout: int, alive: int) -> int:
        """Return the number of a new process, in this one's folder and with its environment.

        Parameters
        ----------
        stdin, stdout : int
            Its files.
        alive : int
            A file that it keeps open as long as it lives.
        """
        told = json.dumps({"folder": str(Path.cwd()), "environment": dict(os.environ)}).encode()
        socket.send_fds(self._asked, [len(told).to_bytes(_LENGTH)], [stdin, stdout, 2, alive])
        self._asked.sendall(told)
        return int.from_bytes(_received(self._asked, _LENGTH))

    def close(self) -> None:
        """End it."""
        self._asked.close()
        self._process.wait()


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
        self._pid, self._ended = forks.fork(stdin, stdout, alive), os.fdopen(ended, "rb")
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


def serve(asked: int) -> None:
    """Fork whenever the socket `asked` asks for it, until it closes; a fork becomes a worker."""
    _import_all()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how a worker ended
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
    for number, file in enumerate(files[:3]):
        os.dup2(file, number)
        os.close(file)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)  # noqa: SIM115
    os.chdir(told["folder"])
    os.environ.clear()
    os.environ.update(told["environment"])
    exec(popen_bootstrapline, {"__name__": "__main__"})  # noqa: S102 - as execnet's interpreter does


def _import_all() -> None:
    """Import what runs import, in a run of no test: pytest rewrites the asserts of its plugins."""
    needed = f"{__package__}.conftest"
    with tempfile.TemporaryDirectory() as empty:
        pytest.main(["-p", needed, "-p", "no:cacheprovider", "--distill-report", empty])


def _received(connection: socket.socket, length: int) -> bytes:
    got = b""
    while len(got) < length:
        more = connection.recv(length - len(got))
        assert more, "the process that forks workers has ended"
        got += more
    return got
