"""The store's SQLite file: how it is opened, its tables, and what its errors mean."""

from __future__ import annotations

import sqlite3
import time
import zlib
from collections.abc import Mapping
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

SCHEMA = 2
"""Of the tables; one more makes no other version."""

TABLES: Mapping[str, str] = {
    "runs": """(
    run TEXT PRIMARY KEY,          -- digest of `identity`
    identity TEXT NOT NULL,        -- JSON: the model's digest, engine, versions, dtype
    info TEXT NOT NULL,            -- JSON: what is known of the model, for reports
    made TEXT NOT NULL,
    session INTEGER NOT NULL,      -- number of the pytest run that made the row
    checksum INTEGER NOT NULL      -- CRC-32 of the other columns, here and below
) STRICT""",
    "predictions": """(
    run TEXT NOT NULL,
    request BLOB NOT NULL,         -- digest of the rendered request
    answer TEXT NOT NULL,          -- JSON: the fields of a Prediction that are there
    made REAL NOT NULL,            -- seconds since 1970
    session INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (run, request)
) STRICT, WITHOUT ROWID""",
    "files": """(
    device INTEGER NOT NULL, inode INTEGER NOT NULL, size INTEGER NOT NULL,
    modified INTEGER NOT NULL, changed INTEGER NOT NULL,
    digest TEXT NOT NULL,
    session INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (device, inode)
) STRICT, WITHOUT ROWID""",
    "figures": """(
    key TEXT PRIMARY KEY,          -- digest of what was measured, of whom, where and how
    value TEXT NOT NULL,           -- JSON
    made REAL NOT NULL,            -- seconds since 1970
    session INTEGER NOT NULL,
    checksum INTEGER NOT NULL
) STRICT""",
    "looks": """(
    gold TEXT NOT NULL,            -- digest of a gold set
    student TEXT NOT NULL,         -- digest of a student that was judged on it
    eval TEXT NOT NULL,            -- what the gold set was called then; empty: not known
    made REAL NOT NULL,            -- seconds since 1970, of the first time
    session INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (gold, student)
) STRICT, WITHOUT ROWID""",
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


def set_up(connection: sqlite3.Connection, path: Path) -> bool:
    """Make the tables that are lacking, and return whether the file was of version 1.

    The tables of version 1 are put aside under another name. A table that came later is made beside
    the others, which stay as they are, and leaves the version alone: an installation that does not
    know the table goes on with the rest.

    Raises
    ------
    DamagedStoreError
        Where the file is of a later version.
    """
    if _version(connection) == SCHEMA and not TABLES.keys() - _there(connection):
        return False
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        version, there = _version(connection), _there(connection)  # another process may be quicker
        if version not in (0, 1, SCHEMA):
            raise DamagedStoreError(f"{path}: made by another version ({version})")
        if version != SCHEMA:
            for table in there & TABLES.keys():
                connection.execute(f"ALTER TABLE {table} RENAME TO {of_version_1(table)}")
            there -= TABLES.keys()
        for table, columns in TABLES.items():
            if table not in there:
                connection.execute(f"CREATE TABLE {table} {columns}")
        connection.execute(f"PRAGMA user_version = {SCHEMA}")
    return version == 1


def of_version_1(table: str) -> str:
    """Return the name under which a table of version 1 is put aside."""
    return f"{table}_of_version_1"


def _version(connection: sqlite3.Connection) -> int:
    ((version,),) = connection.execute("PRAGMA user_version")
    return int(version)


def _there(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
