"""Where lm-evaluation-harness keeps a task, without its scan of fourteen thousand files.

A name stands in the file that defines it, or in one that such a file includes: only those folders
are scanned by its own `TaskManager`, which takes 0.01 s where all of them take twenty.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pytest_distill.errors import ConfigError, did_you_mean
from pytest_distill.evals.lm_eval import harness


@cache
def manager(name: str) -> Any:
    """Return a `TaskManager` that knows a task, group or tag and all that it consists of.

    Raises
    ------
    ConfigError
        Where there is nothing of that name.
    """
    tasks = harness.module("tasks")
    folders: set[Path] = set()
    wanted = {name}
    while True:
        found = {folder for each in wanted for folder in _folders(each)}
        if found <= folders:
            break
        folders |= found
        with harness.quiet():
            known = tasks.TaskManager(
                include_path=sorted(map(str, _outermost(folders))), include_defaults=False
            )
        wanted = set(_members(known.task_index, name))
    if not folders or name not in known.task_index:
        raise ConfigError(f"task: lm-evaluation-harness has no task '{name}'; {_meant(name)}")
    return known


def _members(index: Mapping[str, Any], name: str) -> Iterator[str]:
    """Yield the names that a group names, and those that these name."""
    entry = index.get(name)
    members = (entry.cfg or {}).get("task") if entry is not None else None
    for member in members if isinstance(members, list) else []:
        inner = member if isinstance(member, str) else member.get("group") or member.get("task")
        if isinstance(inner, str) and inner != name:
            yield inner
            yield from _members(index, inner)


def _outermost(folders: set[Path]) -> set[Path]:
    return {one for one in folders if not any(other in one.parents for other in folders)}


def _folders(name: str) -> set[Path]:
    """Return the folders with files that define a name, or that include such a file."""
    texts, word = _texts(), name.encode()
    defines = re.compile(
        rb"^[ -]*((task|group|tag):)? *[\[\"']?" + re.escape(word) + rb"[\]\"']?\s*(#.*)?$",
        re.MULTILINE,
    )
    found = {path for path, text in texts.items() if word in text and defines.search(text)}
    templates = {path for path in found if path.suffix != ".yaml"}
    for template in templates:
        included = template.name.encode()
        found |= {path for path, text in texts.items() if included in text}
    return {path.parent for path in found if path.suffix == ".yaml"}


@cache
def _texts() -> dict[Path, bytes]:
    """Return what stands in each file of tasks."""
    root = Path(harness.module("tasks").__file__).parent
    files = (
        Path(folder, name)
        for folder, _, names in os.walk(root)
        for name in names
        if name.endswith(".yaml") or (name.startswith("_") and "." not in name)
    )
    return {path: path.read_bytes() for path in files}


def _meant(name: str) -> str:
    names = {
        line.partition(b":")[2].strip().strip(b"\"'").decode(errors="replace")
        for text in _texts().values()
        for line in text.splitlines()
        if line.startswith((b"task:", b"group:"))
    }
    return did_you_mean(name, {each for each in names if each})
