"""The tables of the store's file, and how a file comes to have them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from pathlib import Path

from pytest_distill.evaluation.store.sqlite import DamagedStoreError

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
