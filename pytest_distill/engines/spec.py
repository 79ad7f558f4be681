"""What an engine is built with: one entry under ``models:``, and what the run adds to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pytest_distill._util.hub import Found
from pytest_distill._util.strict import Written
from pytest_distill.engines.file_digests import FileDigests

OptionsT = TypeVar("OptionsT")
Role = Literal["teacher", "student", "sft"]
Device = Annotated[
    str, Written(r"^(auto|cpu|cuda(:\d+)?)$", "should be 'auto', 'cpu', 'cuda' or 'cuda:N'")
]


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One entry under ``models:``, validated: what all engines share.

    Parameters
    ----------
    name, role : str
        The entry's name and its role.
    path : str
        A file or folder (absolute), or a hub id.
    device : str
        ``auto`` (CUDA where there is one, else CPU), ``cuda``, ``cuda:1`` or ``cpu``.
    threads : int, optional
        How many CPU threads the engine may use. None: all that the library takes by itself.
    worker, workers : int
        Number of this process among several that share a machine, and how many they are; GPUs are
        dealt out by it.
    hash_file : callable
        File -> digest of its bytes. What it has hashed must stay as it is while the model is used:
        that is checked. The store gives one that remembers big files.
    options
        The engine's own keys: its ``Options`` where it declares them, else a mapping of all
        further keys of the entry.
    began : datetime
        When the run began, in local time: what prompts that hold a date are told, so that all
        models are asked the same.
    resolved : dict
        Hub id and revision -> the commit that they stand for. All models of a run share it, so
        that a branch that moves meanwhile stays what it was.
    kept : dict
        What an engine of this model leaves for the next one of the same run: an engine is closed
        where others need the room, and made anew.
    folder : Path
        The folder of ``distill.yaml``, from which relative paths in `options` start.
    """

    name: str
    role: Role
    path: str = ""
    device: str = "auto"
    threads: int | None = None
    worker: int = 0
    workers: int = 1
    hash_file: Callable[[Path], str] = field(default_factory=FileDigests, compare=False)
    options: Any = field(default_factory=dict)
    began: datetime = field(default_factory=datetime.now, compare=False)
    resolved: dict[tuple[str, str | None], Found] = field(default_factory=dict, compare=False)
    kept: dict[str, Any] = field(default_factory=dict, compare=False)
    folder: Path = Path()

    def options_as(self, kind: type[OptionsT]) -> OptionsT:
        """Return the options as an engine's own; pydantic's error where they are not sound."""
        said: Any = self.options
        return said if isinstance(said, kind) else kind(**said)


def located(path: str, folder: Path) -> str:
    """Return an absolute path where `path` is in `folder` or looks like a path, else the hub id."""
    local = (folder / Path(path).expanduser()).resolve()
    looks_local = path.startswith((".", "/", "~")) or path.count("/") > 1
    return str(local) if looks_local or local.exists() else path
