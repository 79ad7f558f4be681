"""What both model makers share: one process at a time, nothing half-made, nothing made twice."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

STAMP = "made.json"


class Missing(Exception):  # noqa: N818 - it tells what to do, no program is wrong
    """Something has to be installed or downloaded first; the message has the command."""


@contextmanager
def plain_messages() -> Iterator[None]:
    """End a command line with one line, not a traceback, where the user has something to do."""
    try:
        yield
    except Missing as missing:
        raise SystemExit(str(missing)) from None
    except KeyboardInterrupt:
        raise SystemExit("interrupted; what was finished is kept") from None


@contextmanager
def one_at_a_time(folder: Path) -> Iterator[None]:
    """Hold the lock of `folder`; a second process waits until the first is done."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"waiting for another process that is making the models in {folder}", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def is_current(folder: Path, recipe: Mapping[str, Any]) -> bool:
    """Tell whether `folder` was finished, and by this very recipe."""
    try:
        stamp = json.loads((folder / STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(stamp.get("recipe") == dict(recipe))


@contextmanager
def replacing(folder: Path, recipe: Mapping[str, Any], **notes: Any) -> Iterator[Path]:
    """Give a temporary folder that takes the place of `folder` once the block has finished.

    When the block raises, Ctrl-C included, the temporary folder goes and `folder` stays as it was.
    Must run under `one_at_a_time`, which makes the temporary folder's fixed name safe.

    Parameters
    ----------
    folder : Path
        What to make or replace.
    recipe : mapping
        JSON values that `is_current` compares later.
    **notes
        JSON values for a reader of the stamp: what the model was trained on.
    """
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
    unfinished.mkdir(parents=True)
    try:
        yield unfinished
        stamp = {"recipe": dict(recipe), **notes}
        (unfinished / STAMP).write_text(json.dumps(stamp, indent=2) + "\n", encoding="utf-8")
        if folder.exists():
            shutil.rmtree(folder)
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write one JSON object a line, and replace the file only when all are written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    unfinished.write_text("".join(lines), encoding="utf-8")
    unfinished.replace(path)


def package_folder(module: str, install: str) -> Path:
    """Find an installed package without importing it, which would need its dependencies."""
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise Missing(f"{module} is not installed. Run: {install}")
    return Path(spec.origin).parent


def log_style() -> dict[str, Any]:
    """Give tqdm's arguments: a moving bar on a terminal, a plain line now and then in a CI log."""
    if sys.stderr.isatty():
        return {"ncols": 79}
    line = "{desc}: {n_fmt}/{total_fmt} [{elapsed}<{remaining}]"
    return {"file": _Lines(), "bar_format": line, "mininterval": 20.0, "miniters": 1}


class _Lines(io.StringIO):
    """A stream that makes a line of each state of a bar."""

    def write(self, text: str) -> int:
        if text.strip():
            sys.stderr.write(text.strip() + "\n")
            sys.stderr.flush()
        return len(text)
