"""What an engine holds and has running: arrays in reach, threads, processes, sockets, files."""

from __future__ import annotations

import gc
import logging
import os
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any

SEES_ALL = Path("/proc/self/fd").exists()
"""Whether this system tells of processes and sockets; threads are seen everywhere."""
PATIENCE = 2.0
"""Seconds in which what was ended may go."""
LEAST = 32_768
"""Bytes of arrays below which nothing is said of what an engine has loaded."""
_LISTENS = "0A"
_MOST_OBJECTS = 1_000_000
_LEAVES = (str, int, float, type, ModuleType, FrameType, CodeType, logging.Logger)


def bytes_held(thing: object) -> int:
    """Return how many bytes the arrays and byte strings have that an object leads to.

    Modules, classes and the global names of functions are not followed: they are not its own.
    """
    found, seen, ahead = 0, {id(thing)}, [thing]
    while ahead and len(seen) < _MOST_OBJECTS:
        each = ahead.pop()
        found += _size(each)
        parts = (
            (each.__closure__, each.__defaults__, each.__kwdefaults__)
            if isinstance(each, FunctionType)
            else gc.get_referents(each)
        )
        for part in parts:
            if id(part) not in seen and not isinstance(part, _LEAVES) and not _is_globals(part):
                seen.add(id(part))
                ahead.append(part)
    return found


def _size(thing: Any) -> int:
    if isinstance(thing, bytes | bytearray):
        return len(thing)
    kind = type(thing)
    if hasattr(kind, "nbytes") and hasattr(kind, "dtype"):
        try:
            return int(thing.nbytes)
        except Exception:  # noqa: BLE001 (an array of any library, which may be gone)
            return 0
    return 0


def _is_globals(thing: object) -> bool:
    return isinstance(thing, dict) and "__builtins__" in thing


@dataclass(frozen=True)
class ProcessResources:
    """What runs in this process at one moment.

    Parameters
    ----------
    threads : frozenset of Thread
        Its threads, as far as Python knows them.
    processes : frozenset of int
        Its child processes that have not ended.
    sockets : frozenset of str
        Its open sockets.
    files : frozenset of str
        Its open files and pipes, each with the number that it has here.
    """

    threads: frozenset[threading.Thread]
    processes: frozenset[int]
    sockets: frozenset[str]
    files: frozenset[tuple[str, str]]

    @classmethod
    def now(cls) -> ProcessResources:
        """Return what runs now."""
        return cls(frozenset(threading.enumerate()), _children(), _sockets(), _files())

    def more_than(self, before: ProcessResources) -> list[str]:
        """Return in words what runs now and did not before."""
        threads = sorted(thread.name for thread in self.threads - before.threads)
        processes = sorted(self.processes - before.processes)
        sockets = self.sockets - before.sockets
        files = sorted(target for _, target in self.files - before.files)
        return [
            *(f"thread '{name}'" for name in threads),
            *(f"process {pid}" for pid in processes),
            *([f"{len(sockets)} open socket{'s' if len(sockets) > 1 else ''}"] if sockets else []),
            *(f"open file {target}" for target in files),
        ]


def left_running(before: ProcessResources) -> list[str]:
    """Return what still runs that did not before; what is about to end is waited for."""
    until = time.monotonic() + PATIENCE
    while left := ProcessResources.now().more_than(before):
        if time.monotonic() > until:
            return left
        gc.collect()  # of what nobody holds any more
        time.sleep(0.02)
    return []


def _children() -> frozenset[int]:
    """Return this process's children that have not ended; none where the system has no /proc."""
    own, found = os.getpid(), set()
    for folder in _listed(Path("/proc")):
        if folder.name.isdecimal():
            try:
                state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
            except (OSError, ValueError):  # it has ended
                continue
            if int(parent) == own and state not in "ZX":
                found.add(int(folder.name))
    return frozenset(found)


def _sockets() -> frozenset[str]:
    """Return this process's open sockets; none where the system has no /proc.

    The sides of a server in this process are none of what asks it: they end when it has noticed.
    """
    found = {target for _, target in _open() if target.startswith("socket:[")}
    of_port: dict[str, set[str]] = {}
    served = set()
    for port, state, inode in _connections():
        socket = f"socket:[{inode}]"
        if socket in found:
            of_port.setdefault(port, set()).add(socket)
            if state == _LISTENS:
                served.add(port)
    return frozenset(found.difference(*(of_port[port] for port in served)))


def _files() -> frozenset[tuple[str, str]]:
    """Return this process's open files and pipes, without devices and what the system tells."""
    others = ("/dev/", "/proc/", "/sys/")
    return frozenset(
        (number, target)
        for number, target in _open()
        if target.startswith(("/", "pipe:[")) and not target.startswith(others)
    )


def _open() -> Iterator[tuple[str, str]]:
    """Yield number and target of whatever this process has open; nothing without /proc."""
    for link in _listed(Path("/proc/self/fd")):
        with suppress(OSError):
            yield link.name, str(link.readlink())


def _connections() -> Iterator[tuple[str, str, str]]:
    """Yield port, state and inode of each of the system's TCP sockets, as /proc writes them."""
    for name in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path("/proc/self/net", name).read_text().splitlines()[1:]:
                own, state, inode = itemgetter(1, 3, 9)(line.split())
                yield own.rpartition(":")[2], state, inode


def _listed(folder: Path) -> Collection[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return ()
