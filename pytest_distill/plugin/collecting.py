"""What a session met when it looked for tests, and what it was told not to look into."""

from __future__ import annotations

import glob
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatch, fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_distill.errors import printable, some_of
from pytest_distill.plugin.places import Places

if TYPE_CHECKING:
    from pytest_distill.config import Config

MOST_FOLDERS = 2000
"""How many folders are looked through for test files that were left out."""

NEVER_TESTS = ("__pycache__", "node_modules", "site-packages")


class Collected:
    """What one process met when it looked for tests.

    Whether a test is a gate test is asked at the end: a marker may come at any time.

    Parameters
    ----------
    config : pytest.Config
        What the command line names.
    places : Places
        Where the files of the session are.
    """

    def __init__(self, config: pytest.Config, places: Places) -> None:
        self._config = config
        self._places = places
        self.deselected: set[str] = set()
        """Node ids of the tests that an option took away."""
        self._items: dict[pytest.Item, None] = {}
        self._hidden: dict[pytest.Item, None] = {}
        self._skipped: dict[Path, Path] = {}
        """File that skipped itself -> its ``distill.yaml``: its gates are not known."""
        self._passed_over: dict[Path, None] = {}
        """Files that ``--lf`` skips, in which nothing had failed."""
        self._ignored: dict[Path, None] = {}
        self.configs: set[Path] = set()
        """Each ``distill.yaml`` in a folder where pytest looked, or of a file that was skipped."""

    def selected(self, items: Iterable[pytest.Item]) -> None:
        """Remember tests that stand where the command line points, deselected ones too."""
        self._items.update(dict.fromkeys(items))

    def ignored(self, path: Path) -> None:
        """Remember a file or folder that pytest was told to leave out."""
        self._ignored[path] = None

    def saw(self, collector: pytest.Collector, report: pytest.CollectReport) -> None:
        """Remember what a file or folder came to: tests, which hooks may hide, or none at all."""
        if isinstance(collector, pytest.Directory) and (collector.path / "distill.yaml").is_file():
            self.configs.add(collector.path / "distill.yaml")
        if not self._only_named_tests:
            tests = (node for node in report.result or () if isinstance(node, pytest.Item))
            self._hidden.update(dict.fromkeys(tests))
        config = self._places.config_of(collector.path)
        if config is None:
            return
        last_failed = bool(self._config.getoption("lf", False))
        if report.skipped:
            self._skipped[collector.path] = config
            self.configs.add(config)
        elif last_failed and isinstance(collector, pytest.File) and not report.result:
            self._passed_over[collector.path] = None

    @property
    def items(self) -> list[pytest.Item]:
        """Every test that was found, in the order of the collection."""
        return list(self._items | self._hidden)

    def left_out(self, item: pytest.Item) -> bool:
        """Return whether an option or a hook took a test away."""
        return item.nodeid in self.deselected or item not in self._items

    @property
    def named(self) -> list[str]:
        """What the command line names: files, folders, tests; nothing where it names none."""
        by_hand = self._config.args_source is self._config.ArgsSource.ARGS
        if not by_hand and not self._only_named_tests:
            return []
        return [printable(argument) for argument in dict.fromkeys(self._config.args)]

    @property
    def scopes(self) -> list[str]:
        """What `named` names, as node ids begin; ``.`` for all of rootdir."""
        found = []
        for argument in self.named:
            path, colons, test = argument.partition("::")
            there = Path(os.path.normpath(self._config.invocation_params.dir / path))
            everything = self._config.rootpath.is_relative_to(there)
            begins = "." if everything else Path(self._places.shown(there)).as_posix()
            found.append(f"{begins}{colons}{test}")
        return found

    @property
    def _only_named_tests(self) -> bool:
        """Whether tests are named (by a hook too), so that the others of a file are not asked."""
        return any("::" in argument for argument in self._config.args)

    def skipped_files(self, configs: Mapping[Path, Config | None]) -> tuple[list[str], list[str]]:
        """Return the files that were skipped unread, and what to say of these and allowed ones.

        Parameters
        ----------
        configs : mapping
            Each ``distill.yaml`` -> what it says; None for one that cannot be read.
        """
        shown = self._places.shown
        unread = [shown(path) for path in self._passed_over]
        allowed, remarks = [], []
        for holds in dict.fromkeys(self._skipped.values()):
            config = configs.get(holds)
            globs = config.settings.allow_skipped if config is not None else ()
            files = [path for path, of in self._skipped.items() if of == holds]
            missed = [path for path in files if not allows(globs, path, holds.parent)]
            unread += [shown(path) for path in missed]
            allowed += [shown(path) for path in files if path not in missed]
            if missed:
                remarks.append(
                    f"{some_of([shown(path) for path in missed])}: skipped unread, so that "
                    "the gates there are not known; where that may be, "
                    f"{shown(holds)} says so:\n  {line_to_allow(missed, holds.parent, globs)}"
                )
        if allowed:
            remarks.append(f"skipped unread, as allow_skipped says: {some_of(allowed)}")
        return unread, remarks

    def ignored_files(self) -> list[str]:
        """Return what to say of the test files that pytest was told to leave out.

        As far as they may be the project's own, and have a ``distill.yaml``.
        """
        patterns = self._config.getini("python_files")
        found: set[Path] = set()
        for path in self._ignored:
            files = _files_below(path) if path.is_dir() else [path]
            found.update(file for file in files if _is_test_file(file, patterns))
        under = [self._places.shown(f) for f in sorted(found) if self._places.config_of(f)]
        return [f"left out by an option, a setting or a hook: {some_of(under)}"] if under else []


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
