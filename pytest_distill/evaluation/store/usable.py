"""A store for as long as it can be used: a damaged one is set aside, and a run goes on without."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any

from pytest_distill._util.files import make_folder
from pytest_distill.errors import StoreWarning
from pytest_distill.evaluation.store.file import FILE_NAME, Store, inode_of
from pytest_distill.evaluation.store.sqlite import DamagedStoreError

MIGRATED = (
    "{path}: made by an earlier version, which took other digests of models; predictions are made "
    "anew, once ('python -m pytest_distill store prune' drops the old ones)"
)
_ATTEMPTS = 3


@dataclass(eq=False)
class UsableStore:
    """A store for as long as it can be used.

    Parameters
    ----------
    folder : Path
        Where the store is; made when it is first needed.
    session : int
        Number of the pytest run, of which this process may be one of several.
    refresh : bool
        Use nothing that was stored before this run.
    warn : callable
        Told, once each, why the store was set aside or is not used.
    """

    folder: Path
    _: KW_ONLY
    session: int = 0
    refresh: bool = False
    warn: Callable[[str], None]
    _store: Store | None = field(default=None, init=False)
    _inode: tuple[int, int] | None = field(default=None, init=False)
    _usable: bool = field(default=True, init=False)

    def close(self) -> None:
        """Close the store."""
        store, self._store = self._store, None
        if store is not None:
            with suppress(sqlite3.ProgrammingError):  # another thread's, whose end closes it
                store.close()

    def _try(self, act: Callable[[Store], Any]) -> Any:
        """Use the store where it can be used; a damaged one is set aside and begun anew."""
        store = self._opened()
        if store is None:
            return None
        try:
            return act(store)
        except (DamagedStoreError, sqlite3.Error, OSError) as error:
            self._failed(error)
        return None

    def _at_once(self, act: Callable[[Store], Any]) -> Any:
        """Use the store for one short thing, by a connection of its own; None where it can't be.

        That may be after a verdict, which nothing takes back: a warning that the user made an error
        (``-W error``) is not raised. A connection belongs to the thread that opened it, and a gate
        may be asked in any.
        """
        for _attempt in range(_ATTEMPTS):
            if not self._usable:
                break
            inode = inode_of(self.folder / FILE_NAME)
            try:
                make_folder(self.folder)
                with closing(Store(self.folder, self.session, refresh=self.refresh)) as store:
                    found = act(store)
            except (DamagedStoreError, sqlite3.Error, OSError) as error:
                with suppress(StoreWarning):
                    self._failed(error, inode=inode)
            else:
                with suppress(StoreWarning):
                    self._tell_migrated(store)
                return found
        return None

    def _opened(self) -> Store | None:
        for _attempt in range(_ATTEMPTS):
            if self._store is not None or not self._usable:
                return self._store
            try:
                make_folder(self.folder)
                self._inode = inode_of(self.folder / FILE_NAME)
                self._store = Store(self.folder, self.session, refresh=self.refresh)
            except (DamagedStoreError, sqlite3.Error, OSError) as error:
                self._failed(error)
            else:
                self._tell_migrated(self._store)
        return self._store

    def _tell_migrated(self, store: Store) -> None:
        if store.migrated:
            self.warn(MIGRATED.format(path=store.path))

    def _failed(
        self,
        error: Exception,
        what: str = "it cannot be used",
        inode: tuple[int, int] | None = None,
    ) -> None:
        """Set a damaged file aside; do without one that cannot be used."""
        if isinstance(error, DamagedStoreError):
            try:
                self._set_aside(error, inode or self._inode)
            except OSError as problem:
                self._give_up(f"{error}, and it cannot be moved: {problem}")
        else:
            self._give_up(f"the store in {self.folder}: {what}: {error}")

    def _set_aside(self, error: Exception, inode: tuple[int, int] | None) -> None:
        self.close()
        path = self.folder / FILE_NAME
        if inode is not None and inode != inode_of(path):
            return  # another process has set it aside and begun a new one
        number = 1
        while (aside := self.folder / f"damaged-{number}.sqlite3").exists():
            number += 1
        for suffix in ("", "-wal", "-shm"):
            file = path.with_name(path.name + suffix)
            with suppress(FileNotFoundError):
                file.rename(aside.with_name(aside.name + suffix))
        self.warn(f"{error}; it was moved to {aside.name}, and predictions are made anew")

    def _give_up(self, why: str) -> None:
        self.close()
        self._usable = False
        self.warn(f"{why}; the run goes on without it")
