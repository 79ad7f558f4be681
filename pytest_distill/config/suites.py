"""An entry that names a group of lm-evaluation-harness's tasks -> the evals that it stands for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pytest_distill.config.evals import HarnessEval, MemberEval
from pytest_distill.config.overrides import check_file
from pytest_distill.errors import MOST_KNOWN, ConfigError, few, refuse_unknown, some_of
from pytest_distill.evals.groups import EvalGroup
from pytest_distill.evals.lm_eval.declared import DeclaredTask, declared, unknown_name
from pytest_distill.evals.lm_eval.groups import Member, averages_of, members_of
from pytest_distill.evals.lm_eval.harness import PREFIX
from pytest_distill.evals.lm_eval.index import entries_of
from pytest_distill.evals.lm_eval.refusals import refusal
from pytest_distill.evaluation.sources.source import SourceOptions


@dataclass(frozen=True)
class Suite:
    """What an entry stands for.

    Parameters
    ----------
    evals : mapping
        Name -> each eval of it: the entry itself, or one for each task of a group.
    group : EvalGroup, optional
        The group.
    """

    evals: Mapping[str, HarnessEval]
    group: EvalGroup | None = None


def suite_of(name: str, entry: HarnessEval, folder: Path) -> Suite:
    """Return the evals that an entry stands for.

    Parameters
    ----------
    name : str
        Of the entry.
    entry : HarnessEval
        What it says.
    folder : Path
        Where relative paths start.

    Raises
    ------
    ConfigError
        Beginning with the key, where there is nothing of that name, or a task of it is not asked
        here.
    """
    own = entry.folder_in(folder)
    entries = entries_of(entry.named, own)
    if entry.named not in entries:
        raise ConfigError(unknown_name(entry.named, own))
    members = members_of(entry.named, entries)
    if entries[entry.named].kind.name not in ("GROUP", "TAG"):
        return _of_one(name, entry, own)
    kept = _kept(entry, members)
    tasks = {
        f"{name}.{member.name}": declared(
            member.name, folder=own, otherwise={**member.by_group, **entry.said_otherwise}
        )
        for member in kept
    }
    _refuse_some(entry, tasks)
    if entry.must_keep:
        raise ConfigError(
            "must_keep: a group's examples are those of several tasks: give the "
            "task that has these an entry of its own"
        )
    averages = (
        averages_of(entries[entry.named].cfg or {}, kept, tasks) if not entry.leave_out else ()
    )
    return Suite(
        {f"{name}.{member.name}": _member(entry, member) for member in kept},
        EvalGroup(name, tuple(tasks), averages),
    )


def _of_one(name: str, entry: HarnessEval, own: Path | None) -> Suite:
    """Return the suite of an entry that names a task."""
    if entry.leave_out:
        raise ConfigError(f"leave_out: '{entry.named}' is a task; only a group has tasks in it")
    reason = _reason(entry, declared(entry.named, folder=own, otherwise=entry.said_otherwise))
    if reason is not None:
        raise ConfigError(f"task: '{entry.named}' of lm-evaluation-harness {reason}")
    return Suite({name: entry})


def _kept(entry: HarnessEval, members: list[Member]) -> list[Member]:
    """Return the members that are not left out."""
    known = {member.name for member in members}
    for name in entry.leave_out:
        refuse_unknown(name, known, f"leave_out: '{entry.named}' has no task '{name}'")
    kept = [member for member in members if member.name not in entry.leave_out]
    if not kept:
        raise ConfigError(f"leave_out: leaves no task of '{entry.named}'")
    return kept


def _refuse_some(entry: HarnessEval, tasks: Mapping[str, DeclaredTask]) -> None:
    """Raise ConfigError where some tasks of a group are not asked here: it would not be whole."""
    reasons = {task.name: _reason(entry, task) for task in tasks.values()}
    refused = {name: reason for name, reason in reasons.items() if reason is not None}
    if not refused:
        return
    by_reason: dict[str, list[str]] = {}
    for name, reason in refused.items():
        by_reason.setdefault(reason, []).append(f"'{name}'")
    told = "".join(f"\n  {few(names)}: {reason}" for reason, names in list(by_reason.items())[:5])
    if len(refused) < len(reasons):
        told += f"\nleave them out: 'leave_out: [{some_of([*refused], MOST_KNOWN)}]'"
    raise ConfigError(
        f"task: {len(refused):,} of the {len(reasons):,} tasks of '{entry.named}' "
        f"{'are' if len(refused) > 1 else 'is'} not asked here:{told}"
    )


def _reason(entry: HarnessEval, task: DeclaredTask) -> str | None:
    """Return why a task is not asked here; None where it is."""
    if entry.include_path is not None:
        check_file(task)
    reason = refusal(task, trusted=entry.trust_remote_code, has_data=bool(entry.data))
    if reason is not None:
        return reason
    refused = [metric.refused for metric in task.metrics]
    return refused[0] if all(refused) else None


def _member(entry: HarnessEval, member: Member) -> MemberEval:
    said = entry.model_dump(exclude_unset=True, exclude={"task", "leave_out"})
    return MemberEval(task=f"{PREFIX}{member.name}", by_group=dict(member.by_group), **said)


def spread(options: Any, groups: Mapping[str, EvalGroup]) -> Any:
    """Return the options of a model, with what is said of a group said of each eval of it.

    Scores are not: those of a group are no eval's.
    """
    if not (isinstance(options, SourceOptions) and options.answers):
        return options
    key, by_eval = options.by_eval
    named = {name: group for name, group in groups.items() if name in by_eval}
    of_groups = {
        each: by_eval[name].replace("{task}", each.removeprefix(f"{name}."))
        for name, group in named.items()
        for each in group.evals
    }
    own = {name: value for name, value in by_eval.items() if name not in named}
    return options.model_copy(update={key: {**of_groups, **own}}) if named else options
