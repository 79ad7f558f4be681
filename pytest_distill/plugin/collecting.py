"""What a session met when it looked for tests, and what it was told not to look into."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatch, fnmatchcase
from pathlib import Path

import pytest

from pytest_distill.errors import printable

MOST_FOLDERS = 2000
"""How many folders are looked through for test files that were left out."""

NEVER_TESTS = ("__pycache__", "node_modules", "site-packages")


class Collected:
    """What one process met when it looked for tests.

    Whether a test is a gate test is asked at the end: a marker may come at any time.
    """

    def __init__(self) -> None:
        self._items: dict[pytest.Item, None] = {}
        self._hidden: dict[pytest.Item, None] = {}
        self.skipped: dict[Path, Path] = {}
        """File that skipped itself -> its ``distill.yaml``: nobody knows what gates it has."""
        self.passed_over: dict[Path, None] = {}
        """Files that ``--lf`` skips, in which nothing had failed."""
        self._ignored: dict[Path, None] = {}

    def selected(self, items: Iterable[pytest.Item]) -> None:
        """Remember tests that stand where the command line points, deselected ones too."""
        self._items.update(dict.fromkeys(items))

    def met(self, items: Iterable[pytest.Item]) -> None:
        """Remember tests that were found, and that a hook may hide before they are selected."""
        self._hidden.update(dict.fromkeys(items))

    def ignored(self, path: Path) -> None:
        """Remember a file or folder that pytest was told to leave out."""
        self._ignored[path] = None

    @property
    def items(self) -> list[pytest.Item]:
        """Every test that was found, in the order of the collection."""
        return list(self._items | self._hidden)

    def ignored_test_files(self, patterns: Sequence[str]) -> list[Path]:
        """Return the test files among what was left out, as far as they may be the project's own.

        Parameters
        ----------
        patterns : sequence of str
            pytest's ini option ``python_files``.
        """
        found: dict[Path, None] = {}
        for path in self._ignored:
            files = _files_below(path) if path.is_dir() else [path]
            found.update(dict.fromkeys(f for f in files if _is_test_file(f, patterns)))
        return sorted(found)


def allows(patterns: Iterable[str], path: Path, folder: Path) -> bool:
    """Return whether one of the globs names a file; they start in `folder`, ``**`` is any depth."""
    parts = _from(folder, path).split("/")
    return any(_matches(parts, pattern.removeprefix("./").split("/")) for pattern in patterns)


def line_to_allow(files: Iterable[Path], folder: Path, before: Iterable[str]) -> str:
    """Return the line of the ``distill.yaml`` of `folder` by which files may be skipped.

    Parameters
    ----------
    files : iterable of Path
        The files.
    folder : Path
        Where the globs start.
    before : iterable of str
        The globs that stand there already.
    """
    globs = [*before, *(glob.escape(_from(folder, path)) for path in files)]
    return f"allow_skipped: {json.dumps(globs, ensure_ascii=False)}"


def _from(folder: Path, path: Path) -> str:
    return printable(Path(os.path.relpath(path, folder)).as_posix())


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_matches(parts[i:], pattern[1:]) for i in range(len(parts) + 1))
    here = bool(parts) and fnmatchcase(parts[0], pattern[0])
    return here and _matches(parts[1:], pattern[1:])


def _is_test_file(path: Path, patterns: Iterable[str]) -> bool:
    """Return whether pytest would look for tests in a file of that name."""
    return any(
        fnmatch(str(path), f"*/{pattern}") if "/" in pattern else fnmatch(path.name, pattern)
        for pattern in patterns
    )


def _files_below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder, but for hidden folders, caches and virtual environments."""
    if _is_foreign(folder):
        return
    for number, (here, folders, files) in enumerate(os.walk(folder)):
        if number == MOST_FOLDERS:
            return
        folders[:] = sorted(name for name in folders if not _is_foreign(Path(here, name)))
        yield from (Path(here, name) for name in sorted(files))


def _is_foreign(folder: Path) -> bool:
    hidden = folder.name.startswith(".") or folder.name in NEVER_TESTS
    environment = (folder / "pyvenv.cfg").exists() or (folder / "conda-meta").exists()
    return hidden or environment
