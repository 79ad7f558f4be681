"""Which ``distill.yaml`` holds where, and how reports name a path."""

from __future__ import annotations

import functools
import os
from pathlib import Path

import pytest

from pytest_distill.errors import printable


class Places:
    """Where the files of one session are.

    Parameters
    ----------
    config : pytest.Config
        Options and rootdir.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._nearest: dict[Path, Path | None] = {}

    @property
    def given_config(self) -> Path | None:
        """The ``distill.yaml`` that an option or the ini names for all tests."""
        ini = self._config.getini("distill_config")
        beside = self._config.rootpath / str(ini) if ini else None
        return self.from_here("distill_config") or beside

    def config_of(self, path: Path) -> Path | None:
        """Return the ``distill.yaml`` that holds for a file or folder; None where there is none."""
        given = self.given_config
        if given is not None:
            return given
        folder = path if path.is_dir() else path.parent
        if folder not in self._nearest:
            self._nearest[folder] = _nearest_config(folder, self._config.rootpath)
        return self._nearest[folder]

    def misnamed(self, folder: Path, config: Path | None) -> Path | None:
        """Return a ``distill.yml`` that lies nearer to `folder` than the `config` that holds there.

        It is not read, and whoever wrote it thinks that it is.
        """
        if self.given_config is not None:
            return None
        for candidate in (folder, *folder.parents):
            if config is not None and candidate == config.parent:
                break
            if (candidate / "distill.yml").is_file():
                return candidate / "distill.yml"
            if candidate == self._config.rootpath:
                break
        return None

    def from_here(self, option: str) -> Path | None:
        """Return the path that an option gives, from the current folder."""
        given = self._config.getoption(option)
        return self._config.invocation_params.dir / str(given) if given else None

    def store(self, project: Path) -> Path:
        """Return the folder of stored predictions for the project in a folder."""
        ini = self._config.getini("distill_cache")
        folder = self._config.rootpath / str(ini) if ini else project / ".distill"
        return self.from_here("distill_cache") or folder

    def shown(self, path: Path) -> str:
        """Return a path as reports name it: relative to rootdir where it lies below."""
        root = self._config.rootpath
        return printable(str(path.relative_to(root) if path.is_relative_to(root) else path))

    def in_repository(self, path: Path) -> str:
        """Return a path as a service that shows the repository names it, with ``/``.

        Relative to the folder that the CI job checked out, else to the one that git keeps, else to
        rootdir; whole where it lies elsewhere.
        """
        root = _repository(self._config.rootpath)
        shown = path.relative_to(root) if path.is_relative_to(root) else path
        return printable(shown.as_posix())


@functools.cache
def _repository(rootdir: Path) -> Path:
    given = (os.environ.get(name) for name in ("GITHUB_WORKSPACE", "CI_PROJECT_DIR"))
    checked_out = (Path(folder) for folder in given if folder)
    kept = (folder for folder in (rootdir, *rootdir.parents) if (folder / ".git").exists())
    around = (folder for folder in checked_out if rootdir.is_relative_to(folder))
    return next(iter((*around, *kept, rootdir)))


def _nearest_config(folder: Path, root: Path) -> Path | None:
    for candidate in (folder, *folder.parents):
        if (candidate / "distill.yaml").is_file():
            return candidate / "distill.yaml"
        if candidate == root:
            break
    return None
