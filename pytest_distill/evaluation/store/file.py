"""Every prediction on disk, as it is made: what was evaluated once is not evaluated again.

One SQLite file in WAL mode. Predictions are found by what the model is (its bytes) and what it was
asked, never by a path or a name. Every row that can reach a verdict has a checksum over all of it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pytest_distill.engines import ModelInfo, info_from
from pytest_distill.engines.file_digests import Stamp
from pytest_distill.errors import DistillError
from pytest_distill.evals.requests import Prediction
from pytest_distill.evaluation.store.sqlite import (
    FAILURES,
    TABLES,
    DamagedStoreError,
    checksum,
    connect,
    error_of,
    of_version_1,
    set_up,
)
from pytest_distill.evaluation.store.stored import StoredFigure, StoredLooks, StoredRun
from pytest_distill.evaluation.store.writer import Writer, prediction_from

FILE_NAME = "predictions.sqlite3"
_LOOK = "a look at a gold set"
_CHUNK = 500  # SQLite's least limit for variables in one statement is 999


class Store:
    """The predictions of one project.

    Parameters
    ----------
    folder : Path
        Where the file is; must be there and writable.
    session : int
        Number of the pytest run that uses the store.
    refresh : bool
        Use nothing but what this session itself, or another process of it, has made.

    Attributes
    ----------
    migrated : bool
        Whether the file was of an earlier version, whose predictions are of no more use.

    Raises
    ------
    DamagedStoreError
        Where the file is not as it was written.
    OSError, sqlite3.Error
        Where the folder cannot be used.
    """

    def __init__(self, folder: Path, session: int = 0, *, refresh: bool = False) -> None:
        self.path = folder / FILE_NAME
        self._session = session
        self._only = f" AND session = {session}" if refresh else ""
        with self._whole():
            self._connection = connect(self.path)
            try:
                self.migrated = set_up(self._connection, self.path)
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def read(self, run: str, requests: Sequence[bytes]) -> dict[bytes, Prediction]:
        """Return what is stored of these requests, by request; ids are left empty.

        Parameters
        ----------
        run : str
            The model and its settings.
        requests : sequence of bytes
            Digests of requests.

        Raises
        ------
        DamagedStoreError
            Where a row is not as it was written.
        """
        found: dict[bytes, Prediction] = {}
        for start in range(0, len(requests), _CHUNK):
            chunk = requests[start : start + _CHUNK]
            marks = ",".join("?" * len(chunk))
            where = f"WHERE run = ? AND request IN ({marks}){self._only}"
            rows = self._rows("a prediction", "predictions", where, run, *chunk)
            for _, request, answer, *_ in rows:
                found[request] = prediction_from(json.loads(answer))
        return found

    def info(self, run: str) -> ModelInfo | None:
        """Return what is known of a model that was evaluated before."""
        found = self._runs(f"WHERE run = ?{self._only}", run)
        return next((stored.info for stored in found), None)

    def add_run(self, run: str, identity: Mapping[str, Any], info: ModelInfo) -> None:
        """Remember a model, so that its size is known without loading it."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        about = (json.dumps(identity, sort_keys=True), json.dumps(asdict(info)))
        self._put("runs", (run, *about, now, self._session))

    @contextmanager
    def writing(self, run: str) -> Iterator[Writer]:
        """Give a writer that keeps predictions as they are made, until the block ends."""
        writer = Writer(self.path, run, self._session)
        try:
            yield writer
        finally:
            writer.close()

    def runs(self) -> list[StoredRun]:
        """Return every model that has predictions here."""
        return list(self._runs("ORDER BY made"))

    def forget(self, runs: Sequence[str]) -> int:
        """Drop the predictions of some models, and what an earlier version left behind.

        Returns
        -------
        int
            How many predictions of the models there were.
        """
        dropped = 0
        with self._whole(), self._connection:
            for run in runs:
                cursor = self._connection.execute("DELETE FROM predictions WHERE run = ?", (run,))
                dropped += cursor.rowcount
                self._connection.execute("DELETE FROM runs WHERE run = ?", (run,))
            for table in TABLES:
                self._connection.execute(f"DROP TABLE IF EXISTS {of_version_1(table)}")
        with self._whole():
            self._connection.execute("VACUUM")
        return dropped

    def take_back(self, run: str) -> None:
        """Drop what this session has made of a model."""
        with self._whole(), self._connection:
            for table in ("predictions", "runs"):
                self._connection.execute(
                    f"DELETE FROM {table} WHERE run = ? AND session = ?",  # noqa: S608 (two names)
                    (run, self._session),
                )

    def figure(self, key: str) -> StoredFigure | None:
        """Return what was measured; None where it was not.

        Raises
        ------
        DamagedStoreError
            Where it is not as it was written.
        """
        rows = self._rows("a figure", "figures", f"WHERE key = ?{self._only}", key)
        for _, value, made, session, _ in rows:
            return StoredFigure(json.loads(value), made, earlier=session != self._session)
        return None

    def add_figure(self, key: str, value: Any, made: float) -> None:
        """Keep what was measured, JSON-able."""
        self._put("figures", (key, json.dumps(value), made, self._session))

    def file_digest(self, stamp: Stamp) -> str | None:
        """Return the digest of a file that had this stamp before."""
        where = "WHERE device = ? AND inode = ? AND size = ? AND modified = ? AND changed = ?"
        rows = self._rows("a file's digest", "files", f"{where}{self._only}", *_columns(stamp))
        return next((row[5] for row in rows), None)

    def add_file_digest(self, stamp: Stamp, digest: str) -> None:
        """Remember a file's digest."""
        self._put("files", (*_columns(stamp), digest, self._session))

    def looks(self, gold: str) -> list[str]:
        """Return the digests of the students that were judged on a gold set, whenever that was.

        Also with `refresh`, which evaluates anew: that a gold set was looked at stays true.

        Raises
        ------
        DamagedStoreError
            Where one is not as it was written.
        """
        return [student for _, student, *_ in self._rows(_LOOK, "looks", "WHERE gold = ?", gold)]

    def add_looks(self, gold: str, students: Iterable[str], eval: str = "") -> None:
        """Remember students that were judged on a gold set; those that are known stay as they are.

        Parameters
        ----------
        gold : str
            Digest of the gold set.
        students : iterable of str
            Their digests, of this run or of what another store knew.
        eval : str
            What the gold set is called.
        """
        rows = ((gold, student, eval, time.time(), self._session) for student in students)
        self._put("looks", *rows, instead="IGNORE")

    def all_looks(self) -> list[StoredLooks]:
        """Return the looks at every gold set, the one that was looked at first first."""
        by_gold: dict[str, list[Any]] = {}
        for row in self._rows(_LOOK, "looks", "ORDER BY made"):
            by_gold.setdefault(row[0], []).append(row)
        found = []
        for gold, rows in by_gold.items():
            evals = dict.fromkeys(eval for _, _, eval, *_ in rows if eval)
            found.append(StoredLooks(gold, tuple(evals), len(rows), first=rows[0][3]))
        return found

    def _runs(self, where: str, *values: Any) -> Iterator[StoredRun]:
        rows = self._rows("what is known of a model", "runs", where, *values)
        for run, identity, info, made, *_ in rows:
            ((n,),) = self._ask("SELECT count(*) FROM predictions WHERE run = ?", (run,))
            try:
                yield StoredRun(run, json.loads(identity), info_from(json.loads(info)), made, n)
            except (ValueError, DistillError) as error:
                raise DamagedStoreError(f"{self.path}: what is known of a model: {error}") from None

    def _rows(self, what: str, table: str, where: str, *values: Any) -> list[Any]:
        """Return rows of a table; DamagedStoreError where one is not as it was written."""
        rows = self._ask(f"SELECT * FROM {table} {where}", values)  # noqa: S608 (a table of ours)
        if any(checksum(*row[:-1]) != row[-1] for row in rows):
            raise DamagedStoreError(f"{self.path}: {what} is not as it was written")
        return rows

    def _put(self, table: str, *rows: tuple[Any, ...], instead: str = "REPLACE") -> None:
        """Write rows in one transaction, each with its checksum."""
        with self._whole(), self._connection:
            for values in rows:
                marks = ",".join("?" * (len(values) + 1))
                self._connection.execute(
                    f"INSERT OR {instead} INTO {table} VALUES ({marks})",  # noqa: S608 (ours)
                    (*values, checksum(*values)),
                )

    def _ask(self, query: str, values: Sequence[Any]) -> list[Any]:
        with self._whole():
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Tell a damaged file from one that cannot be used."""
        try:
            yield
        except FAILURES as error:
            raise error_of(self.path, error) from None


def inode_of(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another one under its name; None where there is none."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _columns(stamp: Stamp) -> tuple[int, ...]:
    # SQLite's integers have a sign; numbers of devices and inodes may use all 64 bits.
    values = (stamp.device, stamp.inode, stamp.size, stamp.modified, stamp.changed)
    return tuple(value - 2**64 if value >= 2**63 else value for value in values)
