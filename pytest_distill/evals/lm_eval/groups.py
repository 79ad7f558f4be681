"""The tasks of a group or a tag of lm-evaluation-harness, and what the group averages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_distill.errors import ConfigError
from pytest_distill.evals.groups import Average
from pytest_distill.evals.lm_eval.declared import DeclaredTask

_OF_GROUPS = ("group", "group_alias", "task", "aggregate_metric_list", "metadata")
"""What a group says of itself; all else holds for its tasks."""
_NO_SETTINGS = ("tag", "include", "task_alias", "group_alias")
"""What is not said of how a task is asked."""


@dataclass(frozen=True)
class Member:
    """A task of a group.

    Parameters
    ----------
    name : str
        The task.
    by_group : mapping
        What the group says otherwise than the task's own file.
    """

    name: str
    by_group: Mapping[str, Any]


def members_of(name: str, entries: Mapping[str, Any]) -> list[Member]:
    """Return the tasks of a group or a tag, one for each time that it names one.

    As lm-evaluation-harness builds them (0.4.13, ``lm_eval/tasks/_factory.py``).

    Parameters
    ----------
    name : str
        The group, the tag, or a task, which is its own only member.
    entries : mapping
        What the names stand for.

    Raises
    ------
    ConfigError
        Where a group names what there is not, or defines a task within itself.
    """
    return list(_members(name, entries, {}, ()))


def _members(
    name: str, entries: Mapping[str, Any], said: Mapping[str, Any], within: tuple[str, ...]
) -> Iterator[Member]:
    entry = entries.get(name)
    if entry is None or name in within:
        problem = "itself" if entry is not None else f"'{name}', which it has no file for"
        raise ConfigError(f"task: the group '{within[-1]}' names {problem}")
    if entry.kind.name == "TAG":
        for task in sorted(entry.tags):
            yield from _members(task, entries, said, (*within, name))
    elif entry.kind.name == "GROUP":
        yield from _of_group(name, entry.cfg, entries, said, (*within, name))
    else:
        yield Member(name, {k: v for k, v in said.items() if k not in _NO_SETTINGS})


def _of_group(
    name: str,
    group: Mapping[str, Any],
    entries: Mapping[str, Any],
    said: Mapping[str, Any],
    within: tuple[str, ...],
) -> Iterator[Member]:
    said = {**{k: v for k, v in group.items() if k not in _OF_GROUPS}, **said}
    listed = group.get("task")
    children: dict[str, list[Member]] = {}  # a task that it names twice is one of it
    for member in listed if isinstance(listed, list) else [listed]:
        own = {"task": member} if isinstance(member, str) else dict(member or {})
        inner = own.pop("group", None)
        if inner is not None and inner not in entries:
            written = {"group": inner, **own}
            children[f"{name}::{inner}"] = [*_of_group(inner, written, entries, said, within)]
            continue
        named = own.pop("task", None) if inner is None else inner
        if not isinstance(named, str) or (named not in entries and own):
            raise ConfigError(
                f"task: the group '{name}' defines a task within itself"
                f"{f' ({named})' if isinstance(named, str) else ''}, which is not read here: name "
                "its other tasks one by one, each in an entry of its own"
            )
        own = {key: value for key, value in own.items() if key not in _OF_GROUPS}
        found = [*_members(named, entries, {**said, **own}, within)]
        if named in entries and entries[named].kind.name == "GROUP":
            children[named] = found
        else:
            children |= {each.name: [each] for each in found}
    for each in children.values():
        yield from each


def averages_of(
    group: Mapping[str, Any], members: Sequence[Member], evals: Mapping[str, DeclaredTask]
) -> tuple[Average, ...]:
    """Return what a group averages over its tasks; nothing where it says nothing of it.

    Parameters
    ----------
    group : mapping
        What the group says.
    members : sequence of Member
        Its tasks, as often as it names them.
    evals : mapping
        Name of the eval -> its task.
    """
    listed = group.get("aggregate_metric_list") or []
    name_of = {task.name: name for name, task in evals.items()}
    named = [name_of[member.name] for member in members]
    keys = {name: {m.key: m.name for m in evals[name].metrics if not m.refused} for name in named}
    found = []
    for said in [listed] if isinstance(listed, Mapping) else listed:
        filters = said.get("filter_list")
        if filters is None:
            every = (key for name in named for key in keys[name])
            filters = sorted(
                {f for m, _, f in (k.partition(",") for k in every) if m == said["metric"]}
            )
        for chosen in [filters] if isinstance(filters, str) else filters:
            key = f"{said['metric']},{chosen}"
            having = tuple(name for name in named if key in keys[name])
            if having:
                found.append(
                    Average(
                        f"{group['group']} as lm-evaluation-harness averages it",
                        keys[having[0]][key],
                        having,
                        bool(said.get("weight_by_size", True)),
                    )
                )
    return tuple(found)
