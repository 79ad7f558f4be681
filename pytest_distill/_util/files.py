"""Files that are either whole or not there, and the folder that git ignores."""

from __future__ import annotations

import errno
import os
import re
import select
import stat
import time
from pathlib import Path

PATIENCE = 10.0
"""Seconds that whoever reads a FIFO may take until nothing is left to read."""

MOST_LINKS = 40
"""How many links the system itself follows."""


def write_atomically(path: Path, text: str) -> None:
    """Write `text` beside `path` and move it there, making folders as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".distill-{os.urandom(8).hex()}")
    try:
        with temporary.open("xb") as file:
            file.write(_encoded(text))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def append(path: Path, text: str) -> None:
    """Write `text` to the end of a file in one go, so that of two who do neither cuts the other."""
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK, 0o666)
    rest = memoryview(_encoded(text))
    with os.fdopen(handle, "ab", buffering=0) as file:
        while rest:  # on a disk that is nearly full less than all is written, and then an error
            rest = rest[file.write(rest) :]


def is_stream(path: Path) -> bool:
    """Return whether a path is a device, a FIFO or an open file: those are never replaced.

    Raises
    ------
    OSError
        Where the path is a folder, or leads nowhere.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    return not stat.S_ISREG(mode) or _open_file(path) is not None


def _open_file(path: Path) -> Path | None:
    """Return the entry of an open file where links lead to one, as ``/dev/stdout`` does."""
    for _ in range(MOST_LINKS):
        folder = Path(os.path.realpath(path.parent))
        if folder.match("/proc/*/fd") or folder == Path("/dev/fd"):
            return folder / path.name
        if not path.is_symlink():
            return None
        path = folder / path.readlink()
    return None


def write_stream(path: Path, text: str) -> None:
    """Write `text` to a device, a FIFO or an open file, and wait for no reader that is not there.

    Raises
    ------
    OSError
        Where nobody has the FIFO open, or what was written is not read within `PATIENCE`.
    """
    handle = _opened(path)
    rest = memoryview(_encoded(text))
    until = time.monotonic() + PATIENCE
    ready = select.poll()  # select() itself knows no descriptor above 1023
    ready.register(handle, select.POLLOUT)
    try:
        while rest:
            left = max(0.0, until - time.monotonic())
            if not ready.poll(1000 * left):
                raise TimeoutError(errno.ETIMEDOUT, "whoever reads it stopped reading")
            rest = rest[os.write(handle, rest[: select.PIPE_BUF]) :]  # so much never blocks
    finally:
        os.close(handle)


def _opened(path: Path) -> int:
    """Return a file descriptor to write to; of an open file of this process's own a second one."""
    entry = _open_file(path)
    if entry is not None and entry.parent in (Path(f"/proc/{os.getpid()}/fd"), Path("/dev/fd")):
        return os.dup(int(entry.name))  # one that is opened anew would begin at the start
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise OSError(errno.ENXIO, "nobody reads it") from None
        raise


def _encoded(text: str) -> bytes:
    # The rest of a file name that is not UTF-8 is no letter: the escape is JSON's own.
    return text.encode(errors="backslashreplace")


def make_folder(folder: Path) -> None:
    """Make a working folder that git ignores."""
    folder.mkdir(parents=True, exist_ok=True)
    ignore = folder / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")


def file_name(told: str) -> str:
    """Return words as a file's name, which any system takes."""
    return re.sub(r"[^A-Za-z0-9.=-]+", "-", told)
