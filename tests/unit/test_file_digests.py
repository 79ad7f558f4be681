"""Digests are of these bytes: no trick of a file system makes an old one hold for new ones."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pytest_distill import ModelError
from pytest_distill.engines import FileDigests, file_digest, file_digests
from pytest_distill.engines.file_digests import PIECE
from pytest_distill.evaluation.store import keeping
from pytest_distill.evaluation.store.file import FILE_NAME
from pytest_distill.evaluation.store.keeping import Keeper


@pytest.fixture
def big(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a file that is worth remembering, and has been left alone for long enough."""
    monkeypatch.setattr(keeping, "BIG_FILE", 10)
    monkeypatch.setattr(file_digests, "SETTLED_SECONDS", -1.0)
    weights = tmp_path / "weights"
    weights.write_bytes(b"a" * 100)
    return weights


def keeper(folder: Path, *, session: int = 0, refresh: bool = False) -> Keeper:
    """Return a keeper of the store beside the weights, that must not complain."""
    store = folder / "store"
    return Keeper(store, session=session, refresh=refresh, warn=pytest.fail, tell=pytest.fail)


def read_from_now_on(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Return a list that gets every file that is read from now on."""
    read: list[Path] = []
    piece = file_digests._piece

    def noted(path: Path, start: int) -> bytes:
        read.append(path)
        return piece(path, start)

    monkeypatch.setattr(file_digests, "_piece", noted)
    return read


@pytest.mark.parametrize("size", [0, 5, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE + 3])
def test_a_digest_is_over_those_of_its_pieces(tmp_path: Path, size: int) -> None:
    """SHA-256 over the SHA-256 of each 64 MiB, of a small file too."""
    path = tmp_path / "file"
    content = b"\x01\x02\x03" * (size // 3) + b"\x04" * (size % 3)
    path.write_bytes(content)
    pieces = [content[at : at + PIECE] for at in range(0, max(1, size), PIECE)]
    whole = hashlib.sha256(b"".join(hashlib.sha256(p).digest() for p in pieces))
    assert file_digest(path) == whole.hexdigest()
    for threads in (1, 3):
        assert FileDigests(threads=threads)(path) == whole.hexdigest()


def test_pieces_are_read_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With two threads two pieces are under way together, and the digest is that of one thread."""
    monkeypatch.setattr(file_digests, "PIECE", 10)
    path = tmp_path / "file"
    path.write_bytes(bytes(range(40)))
    alone = FileDigests(threads=1)(path)
    both, piece = threading.Barrier(2), file_digests._piece

    def met(path: Path, start: int) -> bytes:
        both.wait(60)  # breaks where no other piece is begun before this one is done
        return piece(path, start)

    monkeypatch.setattr(file_digests, "_piece", met)
    assert FileDigests(threads=2)(path) == alone


def rewritten(path: Path) -> None:
    """Write other bytes into the same file, and set its time back (rsync --times --inplace)."""
    stat = path.stat()
    path.write_bytes(b"b" * 100)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def copied_over(path: Path) -> None:
    """Put another file in its place, with its time (cp -p, rsync --times)."""
    other = path.with_name("other")
    other.write_bytes(b"b" * 100)
    shutil.copystat(path, other)
    other.replace(path)


def unpacked(path: Path) -> None:
    """Remove it and write anew with the same time, so that the inode may be used again."""
    stat = path.stat()
    path.unlink()
    path.write_bytes(b"b" * 100)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("change", [rewritten, copied_over, unpacked])
def test_new_bytes_have_a_new_digest(
    big: Path, change: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where size, time and inode are the old file's; what did not change is known."""
    old = keeper(big.parent).file_digests()(big)
    read = read_from_now_on(monkeypatch)
    assert keeper(big.parent).file_digests()(big) == old
    assert read == []
    time.sleep(0.02)  # a tick of the file system's clock
    change(big)
    assert keeper(big.parent).file_digests()(big) == file_digest(big) != old


def test_a_file_that_was_just_written_is_not_remembered(
    big: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second change within the same tick of the file system's clock would leave no trace."""
    monkeypatch.setattr(file_digests, "SETTLED_SECONDS", 3.0)
    keeper(big.parent).file_digests()(big)
    read = read_from_now_on(monkeypatch)
    keeper(big.parent).file_digests()(big)
    assert read == [big]


def test_a_small_file_is_always_read(big: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its digest is not worth a row."""
    monkeypatch.setattr(keeping, "BIG_FILE", 101)
    keeper(big.parent).file_digests()(big)
    read = read_from_now_on(monkeypatch)
    keeper(big.parent).file_digests()(big)
    assert read == [big]


def test_refresh_reads_a_file_anew(big: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a run: its other workers use what the first has read."""
    keeper(big.parent).file_digests()(big)
    read = read_from_now_on(monkeypatch)
    for _worker in range(2):
        keeper(big.parent, session=1, refresh=True).file_digests()(big)
    assert read == [big]


def test_a_remembered_digest_is_under_a_checksum(big: Path) -> None:
    """One that is not as it was written is not believed: the store is set aside."""
    digest = keeper(big.parent).file_digests()(big)
    with closing(sqlite3.connect(big.parent / "store" / FILE_NAME)) as connection, connection:
        connection.execute("UPDATE files SET digest = 'f' || substr(digest, 2)")
        assert connection.total_changes == 1
    said: list[str] = []
    later = Keeper(big.parent / "store", warn=said.append, tell=pytest.fail)
    assert later.file_digests()(big) == digest
    assert "a file's digest is not as it was written" in said[0]


@pytest.mark.parametrize("change", [rewritten, copied_over, unpacked, Path.unlink])
def test_what_was_hashed_must_stay_as_it_is(big: Path, change: Callable[[Path], None]) -> None:
    """Other bytes under a model that is in use are an error, whatever the time stamps say."""
    digests = FileDigests()
    digests(big)
    digests.refuse_changed()
    time.sleep(0.02)
    change(big)
    with pytest.raises(ModelError, match="weights was changed while its model was being loaded"):
        digests.refuse_changed()


def test_what_is_about_to_be_loaded_must_stay_as_it_is(big: Path) -> None:
    """Also where its digest is asked for only after the load."""
    digests = FileDigests()
    digests.use([big])
    digests.begin([big])
    time.sleep(0.02)
    rewritten(big)
    with pytest.raises(ModelError, match="was changed while"):
        digests(big)
    with pytest.raises(ModelError, match="was changed while"):
        digests.refuse_changed()


def test_a_link_and_a_mode_are_no_change(big: Path) -> None:
    """The bytes are read once more and found to be the same."""
    digests = FileDigests()
    digests.use([big])
    digest = digests(big)
    time.sleep(0.02)
    big.with_name("link").hardlink_to(big)
    big.chmod(0o600)
    assert digests(big) == digest
    digests.refuse_changed()
    assert digests(big) == digest


def test_a_file_that_changes_before_it_is_used_is_read_again(big: Path) -> None:
    """What was read ahead of the need holds for the bytes of that time only."""
    digests = FileDigests()
    digests.begin([big])
    time.sleep(0.02)
    rewritten(big)
    assert digests(big) == file_digest(big)
    digests.refuse_changed()


def test_a_file_that_grows_while_it_is_read_is_refused(
    big: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its digest would be of bytes that were never there together."""
    piece = file_digests._piece

    def grows(path: Path, at: int) -> bytes:
        with path.open("ab") as file:
            file.write(b"more")
        return piece(path, at)

    monkeypatch.setattr(file_digests, "_piece", grows)
    with pytest.raises(ModelError, match="was changed while"):
        FileDigests()(big)
