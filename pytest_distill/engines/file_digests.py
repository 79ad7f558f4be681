"""The digest of a file's bytes, and whether the file is still the one that was read.

A file is cut into pieces of 64 MiB; its digest is the SHA-256 of their SHA-256 digests. So a
pool of threads takes it, while other work goes on.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from pytest_distill.errors import ModelError

PIECE = 64 * 2**20
"""Bytes of a piece. Part of what a digest is: with another number it is another digest."""
SETTLED_SECONDS = 3.0
"""How long a file must have been left alone before its time stamps can tell of a later change.

File systems count in steps of up to two seconds, within which a second change leaves no trace.
"""
_READ = 2**20


class Stamp(NamedTuple):
    """What changes with a file's bytes, without reading them: sizes in bytes, times in ns.

    The time of the last change of any kind, `changed`, cannot be set back as that of the contents
    can (``cp -p``, ``rsync --times``).
    """

    size: int
    modified: int
    changed: int
    inode: int
    device: int

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """Return the stamp of a file."""
        stat = path.stat()
        return cls(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev)

    def settled(self, at: float) -> bool:
        """Return whether a change after `at`, in seconds since 1970, would show in a stamp."""
        return max(self.modified, self.changed) / 1e9 < at - SETTLED_SECONDS


@dataclass(frozen=True, slots=True)
class Remembered:
    """Where digests of big files are kept from one run to the next.

    Parameters
    ----------
    find : callable
        Stamp -> digest, or None.
    keep : callable
        Told a stamp and its digest.
    least : int
        Bytes from which on a file's digest is worth remembering.
    """

    find: Callable[[Stamp], str | None]
    keep: Callable[[Stamp, str], None]
    least: int


class FileDigests:
    """The digests of the files that one model is made of: ``digests(path)`` gives one.

    Parameters
    ----------
    remembered : Remembered, optional
        Digests of earlier runs.
    threads : int, optional
        How many threads read; as many as there are cores by default.
    """

    def __init__(self, remembered: Remembered | None = None, threads: int | None = None) -> None:
        self._remembered = remembered
        self._threads = threads
        self._begun: dict[Path, _Hashing] = {}
        self._used: dict[Path, Stamp] = {}
        self._known: dict[Path, _Known] = {}

    def __call__(self, path: Path | str) -> str:
        """Return the digest of a file's bytes, in hexadecimal.

        Raises
        ------
        ModelError
            Where the file changes meanwhile, or has other bytes than when it was used in this run.
        """
        path = Path(path)
        hashing = self._begun.pop(path, None)
        stamp = Stamp.of(path)
        known = self._known.get(path)
        if known is not None and known.settled and known.stamp == stamp:
            return known.digest
        if known is None and self._used.get(path, stamp) != stamp:
            raise _changed(path)
        if hashing is not None and hashing.stamp != stamp:
            hashing.cancel()
            hashing = None
        new = self._read(path, stamp, hashing)
        if known is not None and known.digest != new.digest:
            raise _changed(path)
        self._known[path] = new
        return new.digest

    def begin(self, paths: Iterable[Path]) -> None:
        """Begin to read files in the background; their digests will be asked for later."""
        for path in paths:
            if path not in self._begun and path not in self._known:
                stamp = Stamp.of(path)
                if self._find(stamp) is None:
                    self._begun[path] = _Hashing(path, stamp, _pool(self._threads))

    def cancel(self) -> None:
        """Stop reading files whose digest has not been asked for."""
        for hashing in self._begun.values():
            hashing.cancel()
        self._begun.clear()

    def use(self, paths: Iterable[Path]) -> None:
        """Note that files are about to be loaded; from now on their bytes must stay as they are."""
        self.refuse_changed()
        for path in paths:
            if path not in self._known:
                self._used.setdefault(path, Stamp.of(path))

    def refuse_changed(self) -> None:
        """Raise ModelError where a file is no longer what was hashed, or what was to be loaded.

        Only stamps are looked at, unless nothing but the time of the last change differs: a new
        hard link or another mode leave the bytes as they are.
        """
        for path, known in tuple(self._known.items()):
            now = _stamp_now(path)
            if now == known.stamp:
                continue
            if now is None or now._replace(changed=known.stamp.changed) != known.stamp:
                raise _changed(path)
            again = self._read(path, now, None)
            if again.digest != known.digest:
                raise _changed(path)
            self._known[path] = again
        for path, stamp in self._used.items():
            if path not in self._known and _stamp_now(path) != stamp:
                raise _changed(path)

    def _read(self, path: Path, stamp: Stamp, hashing: _Hashing | None) -> _Known:
        """Return the digest of a file that has this stamp now, remembered or read."""
        if hashing is None:
            found = self._find(stamp)
            if found is not None:
                return _Known(stamp, found, settled=True)
            hashing = _Hashing(path, stamp, _pool(self._threads))
        digest = hashing.result()
        if _stamp_now(path) != stamp:
            raise _changed(path)
        settled = stamp.settled(hashing.begun)
        if settled and self._remembered is not None and stamp.size >= self._remembered.least:
            self._remembered.keep(stamp, digest)
        return _Known(stamp, digest, settled)

    def _find(self, stamp: Stamp) -> str | None:
        if self._remembered is None or stamp.size < self._remembered.least:
            return None
        return self._remembered.find(stamp)


class _Known(NamedTuple):
    """The digest of a file that had this stamp, and whether a later change would show in it."""

    stamp: Stamp
    digest: str
    settled: bool


def file_digest(path: Path) -> str:
    """Return the digest of a file's bytes: the SHA-256 over those of its pieces, in hexadecimal."""
    return _Hashing(path, Stamp.of(path), _pool(None)).result()


class _Hashing:
    """A file that is being read, piece by piece, in a pool of threads."""

    def __init__(self, path: Path, stamp: Stamp, pool: ThreadPoolExecutor) -> None:
        self.stamp = stamp
        self.begun = time.time()
        starts = range(0, max(1, stamp.size), PIECE)
        self._pieces: list[Future[bytes]] = [pool.submit(_piece, path, at) for at in starts]

    def result(self) -> str:
        """Wait for all pieces and return the file's digest."""
        try:
            return hashlib.sha256(b"".join(p.result() for p in self._pieces)).hexdigest()
        finally:
            self.cancel()

    def cancel(self) -> None:
        """Leave out the pieces that are not begun."""
        for piece in self._pieces:
            piece.cancel()


def _piece(path: Path, start: int) -> bytes:
    """Return the SHA-256 of a piece. hashlib and the read let other threads go on."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_READ))
    left = PIECE
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while left and (n := file.readinto(buffer[: min(left, _READ)])):
            digest.update(buffer[:n])
            left -= n
    return digest.digest()


@lru_cache
def _pool(threads: int | None) -> ThreadPoolExecutor:
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return ThreadPoolExecutor(max(1, threads or cores), thread_name_prefix="distill-digest")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads stay behind in the parent


def _stamp_now(path: Path) -> Stamp | None:
    try:
        return Stamp.of(path)
    except OSError:
        return None


def _changed(path: Path) -> ModelError:
    return ModelError(
        f"{path} was changed while its model was being loaded or used, so that nobody knows which "
        "bytes gave the answers: let what writes it finish, and run again"
    )
