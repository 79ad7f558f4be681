"""The store's SQLite file: how it is opened, what its errors mean, and its rows' checksums."""

from __future__ import annotations

import sqlite3
import time
import zlib
from pathlib import Path

from pytest_distill.errors import DistillError

BUSY_SECONDS = 60.0
# A damaged length asks for more memory than there is, and a damaged name cannot even be told.
FAILURES = (sqlite3.Error, MemoryError, UnicodeDecodeError)
# What SQLite says where the file is not at fault: busy, no space, no permission and the like.
_NOT_THE_FILE = {
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_NOLFS,
    sqlite3.SQLITE_AUTH,
}


class DamagedStoreError(DistillError):
    """The store's file is not what was written to it."""


def connect(path: Path) -> sqlite3.Connection:
    """Open a store's file so that a committed row survives a power cut."""
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS)
    try:
        _write_ahead(connection)
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def _write_ahead(connection: sqlite3.Connection) -> None:
    """Turn on WAL mode, in which readers and a writer don't wait for each other.

    SQLite's own timeout doesn't hold for the first switch of a file: of several processes that
    open a new one at once all but one are told at once that it is locked.
    """
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(0.01)
        else:
            return


def error_of(path: Path, error: Exception) -> Exception:
    """Return the error to raise: that of a damaged file, or `error` where the file is not at fault.

    At fault may also be the disk, the folder, or another program that uses the file.
    """
    if isinstance(error, sqlite3.ProgrammingError):  # a mistake of the code, or a wrong thread
        return error
    code: int | None = getattr(error, "sqlite_errorcode", None)  # none: it could not be decoded
    if code is not None and (code & 0xFF) in _NOT_THE_FILE:
        return error
    told = str(error)
    return DamagedStoreError(told if str(path) in told else f"{path}: {told}")


def checksum(*values: str | bytes | float) -> int:
    """Return a CRC-32 over values, their types, and where one ends and the next begins."""
    return zlib.crc32(repr(values).encode("utf-8", "surrogatepass"))
