"""Nothing in the store that can reach a verdict is believed unless it is as it was written."""

from __future__ import annotations

import errno
import os
import random
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from pytest_distill.engines import ModelInfo
from pytest_distill.engines.file_digests import Stamp
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evaluation.store.file import FILE_NAME, Store
from pytest_distill.evaluation.store.keeping import Keeper
from pytest_distill.evaluation.store.sqlite import checksum

IDENTITY = {"model": "d" * 64, "engine": "test"}
INFO = ModelInfo("student", "student", parameters=1000, bytes=4000, digest="ab")
REQUESTS: list[Request] = [ClassificationRequest(f"e{i}", f"text {i}") for i in range(40)]
STAMP = Stamp(1, 2, 3, 4, 2**64 - 1)  # as large as a device's number may be


class Run:
    """One pytest run that uses a store, and what it did and said."""

    def __init__(self, folder: Path, session: int = 0, *, refresh: bool = False) -> None:
        self.said: list[str] = []
        self.asked: list[str] = []
        self.keeper = Keeper(
            folder, session=session, refresh=refresh, warn=self.said.append, tell=pytest.fail
        )

    def use(self) -> None:
        """Ask for all that a store holds; what it says must be what it was told."""
        kept = self.keeper.evaluate("student on reviews", IDENTITY, REQUESTS, self._predict)
        assert {p.id: p.text for p in kept.predictions} == {r.id: r.id for r in REQUESTS}
        assert self.keeper.info(IDENTITY, self._describe) == INFO
        assert self.keeper.figure({"of": "speed"}, self._measure).value == [1.5, 2]
        digest = self.keeper._try(lambda store: store.file_digest(STAMP))
        assert digest in (None, "f" * 64)
        if digest is None:
            self.asked.append("digest")
            self.keeper._try(lambda store: store.add_file_digest(STAMP, "f" * 64))
        self.keeper.close()

    def _predict(self, wanted: Sequence[Request]) -> Iterator[Prediction]:
        for request in wanted:
            self.asked.append(request.id)
            yield Prediction(request.id, text=request.id)

    def _describe(self) -> ModelInfo:
        self.asked.append("info")
        return INFO

    def _measure(self) -> list[float]:
        self.asked.append("figure")
        return [1.5, 2]


@pytest.fixture
def used(tmp_path: Path) -> Path:
    """Return the folder of a store that holds a bit of everything, in one file."""
    run = Run(tmp_path)
    run.use()
    assert len(run.asked) == len(REQUESTS) + 3
    assert run.said == []
    return tmp_path


def change(folder: Path, statement: str) -> None:
    """Run a statement on the store's file; it must change something."""
    with closing(sqlite3.connect(folder / FILE_NAME)) as connection, connection:
        connection.execute(statement)
        assert connection.total_changes


def test_what_is_sound_is_used(used: Path) -> None:
    """A second run makes nothing anew and has nothing to say."""
    again = Run(used, session=1)
    again.use()
    assert (again.asked, again.said) == ([], [])


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("predictions", "answer", """'{"text": "e1"}'"""),
        ("predictions", "made", "made + 86400"),
        ("predictions", "session", "session + 1"),
        ("runs", "info", "replace(info, '1000', '2000')"),
        ("runs", "info", "'no JSON'"),
        ("runs", "identity", "'{}'"),
        ("runs", "made", "'2001-01-01'"),
        ("figures", "value", "'[9, 9]'"),
        ("figures", "made", "made + 1"),
        ("files", "digest", f"'{'a' * 64}'"),
    ],
)
def test_a_changed_row_is_not_believed(used: Path, table: str, column: str, value: str) -> None:
    """Whatever column it is in: the store is set aside, and all is made anew."""
    change(used, f"UPDATE {table} SET {column} = {value}")  # noqa: S608 (the names above)
    run = Run(used)
    run.use()
    assert len(run.said) == 1
    assert "is not as it was written; it was moved to damaged-1.sqlite3" in run.said[0]
    assert (used / "damaged-1.sqlite3").is_file()
    final = Run(used)
    final.use()
    assert final.said == []


@pytest.mark.parametrize(
    "info", ["[]", "3", '{"name": "a", "role": "student", "params": 3}', '{"role": "student"}',
             '{"name": "a", "role": "student", "parameters": -3}']
)  # fmt: skip
def test_an_info_of_other_fields_is_damage(used: Path, info: str) -> None:
    """Also where its checksum is right: it is set aside, with no traceback."""
    with closing(sqlite3.connect(used / FILE_NAME)) as connection, connection:
        run, identity, _, made, session, _ = connection.execute("SELECT * FROM runs").fetchone()
        values = (run, identity, info, made, session)
        connection.execute("UPDATE runs SET info = ?, checksum = ?", (info, checksum(*values)))
    again = Run(used)
    again.use()
    assert "what is known of a model" in again.said[0]


def test_flipped_bits_never_change_an_answer(used: Path, tmp_path: Path) -> None:
    """Anywhere in the file: either nothing is hit, or the store is set aside and begun anew."""
    with closing(sqlite3.connect(used / FILE_NAME)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = (used / FILE_NAME).read_bytes()
    draw, hit = random.Random(3), 0  # noqa: S311 (which bits, nothing more)
    for _ in range(60):
        content = bytearray(whole)
        for _bit in range(draw.choice([1, 1, 20])):
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
        folder = tmp_path / "flipped"
        folder.mkdir()
        (folder / FILE_NAME).write_bytes(content)
        run = Run(folder)
        run.use()
        hit += bool(run.said)
        shutil.rmtree(folder)
    assert hit > 5


def test_refresh_goes_by_the_run_and_not_by_the_clock(used: Path) -> None:
    """Rows of a clock that was ahead are old rows; what the run itself made serves its workers."""
    with closing(sqlite3.connect(used / FILE_NAME)) as connection, connection:
        rows = connection.execute("SELECT * FROM predictions").fetchall()
        connection.execute("DELETE FROM predictions")
        for run, request, answer, made, session, _ in rows:
            values = (run, request, answer, made + 86400, session)
            row = (*values, checksum(*values))
            connection.execute("INSERT INTO predictions VALUES (?, ?, ?, ?, ?, ?)", row)
    refreshed = Run(used, session=7, refresh=True)
    refreshed.use()
    assert len(refreshed.asked) == len(REQUESTS) + 3
    worker = Run(used, session=7, refresh=True)
    worker.use()
    assert worker.asked == []
    later = Run(used, session=8)
    later.use()
    assert (later.asked, later.said) == ([], [])


def test_what_a_run_made_can_be_taken_back(used: Path) -> None:
    """Only its own rows go: earlier ones are of bytes that were checked then."""
    run = Run(used, session=5)
    more: list[Request] = [*REQUESTS, ClassificationRequest("new", "new text")]
    run.keeper.evaluate("student on reviews", IDENTITY, more, run._predict)
    assert run.asked == ["new"]
    run.keeper.take_back(IDENTITY)
    again = Run(used, session=6)
    again.keeper.evaluate("student on reviews", IDENTITY, more, again._predict)
    assert again.asked == ["new"]


OLD = """
CREATE TABLE runs (run TEXT PRIMARY KEY, identity TEXT NOT NULL, info TEXT NOT NULL,
    made TEXT NOT NULL) STRICT;
CREATE TABLE predictions (run TEXT NOT NULL, request BLOB NOT NULL, answer TEXT NOT NULL,
    checksum INTEGER NOT NULL, made REAL NOT NULL, PRIMARY KEY (run, request))
    STRICT, WITHOUT ROWID;
CREATE TABLE files (device INTEGER, inode INTEGER, size INTEGER, modified INTEGER,
    digest TEXT NOT NULL, PRIMARY KEY (device, inode, size, modified)) STRICT, WITHOUT ROWID;
CREATE TABLE figures (key TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER NOT NULL,
    made REAL NOT NULL) STRICT;
INSERT INTO runs VALUES ('r', '{}', '{}', 'then');
PRAGMA user_version = 1;
"""


def test_a_store_of_version_1_is_begun_anew_with_one_note(tmp_path: Path) -> None:
    """Digests are taken another way now. What was there stays in the file until it is pruned."""
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        connection.executescript(OLD)
    run = Run(tmp_path)
    run.use()
    assert len(run.asked) == len(REQUESTS) + 3
    assert len(run.said) == 1
    assert "made by an earlier version, which took other digests" in run.said[0]
    again = Run(tmp_path)
    again.use()
    assert (again.asked, again.said) == ([], [])
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as connection:
        old = "SELECT count(*) FROM sqlite_master WHERE name LIKE '%_of_version_1'"
        assert connection.execute("SELECT run FROM runs_of_version_1").fetchall() == [("r",)]
        store = Store(tmp_path)
        assert store.forget([]) == 0
        store.close()
        assert connection.execute(old).fetchone() == (0,)


def test_another_process_may_have_begun_a_new_store(used: Path) -> None:
    """A damaged file that is no longer there is not moved: nor is the new one in its place."""
    slow = Run(used)
    assert slow.keeper._opened() is not None
    change(used, "UPDATE runs SET info = 'no JSON'")
    quick = Run(used)
    quick.use()
    slow.use()
    assert (used / "damaged-1.sqlite3").is_file()
    assert not (used / "damaged-2.sqlite3").exists()
    for expected in (len(REQUESTS), 0):  # what was read of the damaged file is not in the new one
        final = Run(used)
        final.use()
        assert (len(final.asked), final.said) == (expected, [])


def locks_is_a_file(folder: Path) -> None:
    """Put a file in the place of the folder."""
    (folder / "locks").touch()


def lock_is_a_folder(folder: Path) -> None:
    """Put a folder in the place of every lock file."""
    Run(folder).use()
    (lock,) = (folder / "locks").glob("*.lock")
    lock.unlink(missing_ok=True)
    lock.mkdir()
    (folder / FILE_NAME).unlink()


def locks_is_a_dangling_link(folder: Path) -> None:
    """Let the folder be a link to nowhere."""
    (folder / "locks").symlink_to("nowhere")


@pytest.mark.parametrize("spoil", [locks_is_a_file, lock_is_a_folder, locks_is_a_dangling_link])
def test_a_lock_that_cannot_be_had_is_a_warning(tmp_path: Path, spoil: object) -> None:
    """The run goes on without the store, and says so once."""
    assert callable(spoil)
    spoil(tmp_path)
    run = Run(tmp_path)
    run.use()
    assert len(run.said) == 1
    assert "a model cannot be locked: " in run.said[0]
    assert run.said[0].endswith("the run goes on without it")
    assert len(run.asked) == len(REQUESTS) + 3


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EDQUOT, errno.EROFS])
def test_a_lock_file_that_cannot_be_opened_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """No space for it, or it is another user's."""
    opens = os.open

    def refuses(path: str, *arguments: int, **keys: int) -> int:
        if str(path).endswith(".lock"):
            raise OSError(code, os.strerror(code), path)
        return opens(path, *arguments, **keys)

    monkeypatch.setattr(os, "open", refuses)
    run = Run(tmp_path)
    run.use()
    assert len(run.said) == 1
    assert os.strerror(code) in run.said[0]


def test_the_note_for_those_who_wait_is_not_needed(used: Path) -> None:
    """Where it cannot be written the lock holds all the same."""
    (lock,) = (used / "locks").glob("*.lock")
    note = lock.with_suffix(".txt")
    note.unlink()
    note.mkdir()
    run = Run(used, refresh=True, session=1)
    run.use()
    assert run.said == []
