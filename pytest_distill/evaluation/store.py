"""Every prediction on disk, as it is made: what was evaluated once is not evaluated again.

One SQLite file in WAL mode. Predictions are found by what the model is (its bytes) and what it was
asked, never by a path or a name.
"""

from __future__ import annotations

import json
import queue
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_distill.engines import ModelInfo
from pytest_distill.errors import DistillError
from pytest_distill.evals.requests import Prediction

FILE_NAME = "predictions.sqlite3"
SCHEMA = 1
BUSY_SECONDS = 60.0
_ANSWER = tuple(field.name for field in fields(Prediction) if field.name != "id")
_CHUNK = 500  # SQLite's least limit for variables in one statement is 999

_TABLES = """
CREATE TABLE IF NOT EXISTS runs (
    run TEXT PRIMARY KEY,          -- digest of `identity`
    identity TEXT NOT NULL,        -- JSON: the model's digest, engine, versions, dtype
    info TEXT NOT NULL,            -- JSON: what is known of the model, for reports
    made TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS predictions (
    run TEXT NOT NULL,
    request BLOB NOT NULL,         -- digest of the rendered request
    answer TEXT NOT NULL,          -- JSON: the fields of a Prediction that are there
    checksum INTEGER NOT NULL,     -- CRC-32 of `answer`
    made REAL NOT NULL,            -- seconds since 1970
    PRIMARY KEY (run, request)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
    device INTEGER, inode INTEGER, size INTEGER, modified INTEGER,
    digest TEXT NOT NULL,
    PRIMARY KEY (device, inode, size, modified)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS figures (
    key TEXT PRIMARY KEY,          -- digest of what was measured, of whom, where and how
    value TEXT NOT NULL,           -- JSON
    checksum INTEGER NOT NULL,     -- CRC-32 of `value`
    made REAL NOT NULL             -- seconds since 1970
) STRICT;
"""


class DamagedStoreError(DistillError):
    """The store's file is not what was written to it."""


@dataclass(frozen=True, slots=True)
class StoredRun:
    """One model under one setting, as the store knows it.

    Parameters
    ----------
    run : str
        Digest of `identity`.
    identity : mapping
        The model's digest, engine, versions, dtype.
    info : ModelInfo
        What is known of the model.
    made : str
        When it was first evaluated, in UTC.
    n : int
        Number of predictions.
    """

    run: str
    identity: Mapping[str, Any]
    info: ModelInfo
    made: str
    n: int


class Store:
    """The predictions of one project.

    Parameters
    ----------
    folder : Path
        Where the file is; must be there and writable.

    Raises
    ------
    OSError, sqlite3.Error
        Where the folder cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_NAME
        self._connection = self._open_sound()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def read(
        self, run: str, requests: Sequence[bytes], since: float = 0.0
    ) -> dict[bytes, Prediction]:
        """Return what is stored of these requests, by request; ids are left empty.

        Parameters
        ----------
        run : str
            The model and its settings.
        requests : sequence of bytes
            Digests of requests.
        since : float
            Leave out what was made before, in seconds since 1970.

        Raises
        ------
        DamagedStoreError
            Where a row is not as it was written.
        """
        found: dict[bytes, Prediction] = {}
        for start in range(0, len(requests), _CHUNK):
            chunk = requests[start : start + _CHUNK]
            marks = ",".join("?" * len(chunk))
            rows = self._ask(
                "SELECT request, answer, checksum FROM predictions "  # noqa: S608 (marks only)
                f"WHERE run = ? AND made >= ? AND request IN ({marks})",
                (run, since, *chunk),
            )
            for request, answer, checksum in rows:
                if zlib.crc32(answer.encode()) != checksum:
                    raise DamagedStoreError(f"{self.path}: a prediction is not as it was written")
                found[request] = prediction_from(json.loads(answer))
        return found

    def info(self, run: str) -> ModelInfo | None:
        """Return what is known of a model that was evaluated before."""
        rows = self._ask("SELECT info FROM runs WHERE run = ?", (run,))
        return ModelInfo(**json.loads(rows[0][0])) if rows else None

    def add_run(self, run: str, identity: Mapping[str, Any], info: ModelInfo) -> None:
        """Remember a model, so that its size is known without loading it."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with self._writing():
            self._connection.execute(
                "INSERT OR IGNORE INTO runs VALUES (?, ?, ?, ?)",
                (run, json.dumps(identity, sort_keys=True), json.dumps(asdict(info)), now),
            )

    @contextmanager
    def writing(self, run: str) -> Iterator[Writer]:
        """Give a writer that keeps predictions as they are made, until the block ends."""
        writer = Writer(self.path, run)
        try:
            yield writer
        finally:
            writer.close()

    def runs(self) -> list[StoredRun]:
        """Return every model that has predictions here."""
        rows = self._ask(
            "SELECT runs.run, identity, info, made, "
            "(SELECT count(*) FROM predictions WHERE predictions.run = runs.run) FROM runs "
            "ORDER BY made",
            (),
        )
        return [
            StoredRun(run, json.loads(identity), ModelInfo(**json.loads(info)), made, n)
            for run, identity, info, made, n in rows
        ]

    def forget(self, runs: Sequence[str]) -> int:
        """Drop the predictions of some models and return how many there were."""
        dropped = 0
        with self._writing():
            for run in runs:
                cursor = self._connection.execute("DELETE FROM predictions WHERE run = ?", (run,))
                dropped += cursor.rowcount
                self._connection.execute("DELETE FROM runs WHERE run = ?", (run,))
        self._connection.execute("VACUUM")
        return dropped

    def figure(self, key: str, since: float = 0.0) -> tuple[Any, float] | None:
        """Return what was measured, and when in seconds since 1970; None where it was not.

        Raises
        ------
        DamagedStoreError
            Where it is not as it was written.
        """
        rows = self._ask(
            "SELECT value, checksum, made FROM figures WHERE key = ? AND made >= ?", (key, since)
        )
        if not rows:
            return None
        value, checksum, made = rows[0]
        if zlib.crc32(value.encode()) != checksum:
            raise DamagedStoreError(f"{self.path}: a figure is not as it was written")
        return json.loads(value), made

    def add_figure(self, key: str, value: Any, made: float) -> None:
        """Keep what was measured, JSON-able."""
        text = json.dumps(value)
        with self._writing():
            self._connection.execute(
                "INSERT OR REPLACE INTO figures VALUES (?, ?, ?, ?)",
                (key, text, zlib.crc32(text.encode()), made),
            )

    def file_digest(self, identity: tuple[int, int, int, int]) -> str | None:
        """Return the digest of a file that had this device, inode, size and time (ns) before."""
        rows = self._ask(
            "SELECT digest FROM files WHERE device = ? AND inode = ? AND size = ? AND modified = ?",
            identity,
        )
        return str(rows[0][0]) if rows else None

    def add_file_digest(self, identity: tuple[int, int, int, int], digest: str) -> None:
        """Remember a file's digest."""
        with self._writing():
            self._connection.execute(
                "INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", (*identity, digest)
            )

    def _open_sound(self) -> sqlite3.Connection:
        try:
            connection = connect(self.path)
        except sqlite3.OperationalError:
            raise  # no folder, no permission, no space: not the file's fault
        except sqlite3.DatabaseError as error:
            raise DamagedStoreError(f"{self.path}: {error}") from None
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, SCHEMA):
                raise DamagedStoreError(f"{self.path}: made by another version ({version})")
            connection.executescript(f"{_TABLES} PRAGMA user_version = {SCHEMA};")
        except sqlite3.OperationalError:
            connection.close()
            raise
        except (sqlite3.DatabaseError, DamagedStoreError) as error:
            connection.close()
            raise DamagedStoreError(_once(self.path, error)) from None
        return connection

    def _ask(self, query: str, values: Sequence[Any]) -> list[Any]:
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.DatabaseError as error:
            raise DamagedStoreError(f"{self.path}: {error}") from None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with self._connection:
            yield


class Writer:
    """Writes predictions in a thread of its own, so that each is safe while the next is computed.

    One transaction holds what came in meanwhile: a crash loses what was finished within the last
    few milliseconds at most. When the disk is full the rows before stay, and `problem` says so.
    """

    def __init__(self, path: Path, run: str) -> None:
        self.problem: Exception | None = None
        self._path = path
        self._run = run
        self._queue: queue.SimpleQueue[tuple[bytes, Prediction] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="distill-store", daemon=True)
        self._thread.start()

    def put(self, request: bytes, prediction: Prediction) -> None:
        """Keep one prediction."""
        self._queue.put((request, prediction))

    def close(self) -> None:
        """Wait until everything is written."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        try:
            connection = connect(self._path)
        except sqlite3.Error as error:
            self.problem = error
            connection = None
        closing = False
        while not closing:
            batch = [self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get())
            closing = None in batch
            rows = [self._row(*kept) for kept in batch if kept is not None]
            if connection is not None and rows and self.problem is None:
                try:
                    with connection:
                        connection.executemany(
                            "INSERT OR REPLACE INTO predictions VALUES (?, ?, ?, ?, ?)", rows
                        )
                except sqlite3.Error as error:
                    self.problem = error
        if connection is not None:
            connection.close()

    def _row(self, request: bytes, prediction: Prediction) -> tuple[str, bytes, str, int, float]:
        answer = json.dumps(prediction_fields(prediction))
        return self._run, request, answer, zlib.crc32(answer.encode()), time.time()


def _once(path: Path, error: Exception) -> str:
    return str(error) if str(path) in str(error) else f"{path}: {error}"


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


def prediction_fields(prediction: Prediction) -> dict[str, Any]:
    """Return the fields that are there, without the id."""
    # asdict would copy every value of very many predictions.
    return {name: v for name in _ANSWER if (v := getattr(prediction, name)) is not None}


def prediction_from(answer: Mapping[str, Any], id: str = "") -> Prediction:
    """Return the prediction of `prediction_fields`."""
    values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in answer.items()}
    return Prediction(id=id, **values)
