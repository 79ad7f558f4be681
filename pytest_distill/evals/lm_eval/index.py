"""What lm-evaluation-harness has under a name, without its scan of fourteen thousand files.

Its own `TaskManager` reads all of them as YAML, which takes ten to thirty seconds. Here the first
words of each file tell in which files a name stands, and only those are read: the entries are the
same as in its own index (0.4.13, ``lm_eval/tasks/_index.py``), whichever of two files wins.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from pytest_distill.errors import ConfigError
from pytest_distill.evals.lm_eval import harness

_SAYS = re.compile(
    rb"^[\"']?(task|group|tag|include)[\"']?[ \t]*:(.*(?:\n(?:[ \t\]-].*)?)*)", re.MULTILINE
)
"""A key at the top of a file, and what it says, which may go over several lines."""
_NAME = re.compile(rb"(?:[^\s,\[\]\"'#-][^\s,\[\]\"'#]*)|#.*")
"""One of the names that a key says; or a comment, which is none."""

Names = Mapping[bytes, Sequence[str]]
"""Name of a task, group or tag -> the files in which it stands."""


def entries_of(name: str, folder: Path | None = None) -> Mapping[str, Any]:
    """Return the index entries of a name and of all that it consists of.

    Parameters
    ----------
    name : str
        Of a task, a group or a tag.
    folder : Path, optional
        With tasks of the user's own, which take the place of others of their names.

    Returns
    -------
    mapping
        Name -> lm-evaluation-harness's ``Entry``; without `name` where there is none.
    """
    own = _own(folder)
    wanted, known = {name}, set[str]()
    entries: Mapping[str, Any] = {}
    while wanted - known:
        known |= wanted
        entries = {**_read(_files_of(known), _loaded), **own}
        wanted = {inner for each in known for inner in _members(entries.get(each))}
    return entries


def all_names(folder: Path | None = None) -> list[str]:
    """Return what can be named: tasks, groups and tags."""
    return sorted({name.decode(errors="replace") for name in _names()}.union(_own(folder)))


def _members(entry: Any) -> Iterator[str]:
    """Yield the names that a tag or a group names."""
    if entry is None:
        return
    yield from entry.tags if entry.kind.name == "TAG" else ()
    if entry.kind.name == "GROUP":
        yield from _listed(entry.cfg)


def _listed(group: Mapping[str, Any]) -> Iterator[str]:
    members = group.get("task")
    for member in members if isinstance(members, list) else [members]:
        if isinstance(member, str):
            yield member
        elif isinstance(member, Mapping):
            if isinstance(inner := member.get("group", member.get("task")), str):
                yield inner
            if "group" in member:
                yield from _listed(member)


def _read(files: Iterable[str], read: Callable[[str], Any]) -> dict[str, Any]:
    """Return the entries of some files, which are in the order of lm-evaluation-harness's scan."""
    index = harness.module("tasks._index").TaskIndex
    entries: dict[str, Any] = {}
    with harness.quiet():
        for file in files:
            with suppress(Exception):  # as its scan does: a file may be no task's
                index.process_cfg(read(file), Path(file), entries)
    return entries


@cache
def _loaded(file: str) -> Any:
    """Return what a file of a task says, its includes and all; functions by their names."""
    return harness.module("tasks._yaml_loader").load_yaml(file, resolve_func=False)


def _files_of(names: Iterable[str]) -> list[str]:
    """Return the files that decide what some names mean.

    Those in which they stand, and all in which a task of such a file stands: the first one wins,
    and tells which tags the task has.
    """
    standing, says = _names(), _said()
    found = {file for name in names for file in standing.get(name.encode(), ())}
    beside = {inner for file in found for inner in says[file]}
    return sorted({file for name in beside for file in standing[name]} | found)


def _own(folder: Path | None) -> dict[str, Any]:
    """Return the entries of a folder of the user's, whose files may change."""
    if folder is None:
        return {}
    if not folder.is_dir():
        raise ConfigError(f"include_path: '{folder}' is no folder")
    return _read(sorted(map(str, folder.glob("**/*.yaml"))), _loaded.__wrapped__)


def unreadable(folder: Path) -> Iterator[str]:
    """Yield which files of a folder of the user's cannot be read, and why."""
    for file in sorted(folder.glob("**/*.yaml")):
        try:
            with harness.quiet():
                _loaded.__wrapped__(str(file))
        except Exception as error:  # noqa: BLE001 (of YAML, of an include, of what it runs)
            yield f"{file} cannot be read: {' '.join(str(error).split())[:300]}"


@cache
def _names() -> Names:
    """Return where each name stands, in a file itself or in what it includes."""
    files: dict[bytes, list[str]] = defaultdict(list)
    for file, names in _said().items():
        for name in names:
            files[name].append(file)
    return files


@cache
def _said() -> dict[str, set[bytes]]:
    """Return the names that each file of tasks has at its top, those of its includes too."""
    files = (
        os.path.join(folder, name)  # noqa: PTH118 (of fourteen thousand)
        for folder, _, names in os.walk(harness.tasks_folder())
        for name in names
        if name.endswith(".yaml")
    )
    return {file: _names_in(file, ()) for file in files}


def _names_in(file: str, including: tuple[str, ...]) -> set[bytes]:
    names, includes = _at_top(file)
    for other in includes:
        path = os.path.normpath(Path(file).parent / os.fsdecode(other))
        if path not in including:
            names = names | _names_in(path, (*including, file))
    return names


@cache
def _at_top(file: str) -> tuple[set[bytes], tuple[bytes, ...]]:
    """Return the names that a file has at its top, and what it includes."""
    names, includes = set[bytes](), list[bytes]()
    try:
        with open(file, "rb") as opened:  # noqa: PTH123 (of fourteen thousand)
            text = opened.read()
    except OSError:
        return names, ()
    for key, said in _SAYS.findall(text):
        words = [word for word in _NAME.findall(said) if not word.startswith(b"#")]
        if key == b"include":
            includes += words
        elif key == b"task" and b"\n" in said.strip():
            continue  # a group's members
        else:
            names.update(words)
    return names, tuple(includes)
