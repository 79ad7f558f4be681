"""Locks between processes, whose holders can be told to those that wait."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import FileLock

_TRIES = 40
_PAUSE_S = 0.05


def locked(path: Path, who: str, tell: Callable[[str], None], *, again: bool = False) -> FileLock:
    """Take a lock, and return it; it goes with its process, however that ends.

    Parameters
    ----------
    path : Path
        The lock's file without its suffix; a text beside it says who holds it.
    who : str
        What this process wants it for.
    tell : callable
        Told for whom this process waits.
    again : bool
        Whether this process may take it while it holds it, to release it as often.

    Raises
    ------
    OSError, NotImplementedError
        Where nothing can be locked there.
    """
    from filelock import FileLock, Timeout

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{path}.lock", thread_local=False, is_singleton=again)
    holder = path.with_name(f"{path.name}.txt")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        tell(f"{who}: waiting for {_text(holder)}")
        lock.acquire(poll_interval=0.2)
    with suppress(OSError):  # it only tells others for whom they wait
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()} ({who})")
    return lock


def _text(holder: Path) -> str:
    for _ in range(_TRIES):  # who has just taken the lock is about to write its name
        with suppress(OSError):
            if text := holder.read_text(errors="replace"):
                return text
        time.sleep(_PAUSE_S)
    return "another process"
