"""What a ``distill.yaml`` comes to, and what the user's project adds to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_distill.config.evals import EvalConfig, MeasuredEval
from pytest_distill.config.schema import ModelConfig, Settings
from pytest_distill.engines import Role
from pytest_distill.engines.lookup import engine_class
from pytest_distill.errors import ConfigError, refuse_unknown, some_of
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.groups import EvalGroup
from pytest_distill.evals.metrics import Metric
from pytest_distill.evals.tasks import Task
from pytest_distill.evaluation.evaluation import choose_metric
from pytest_distill.gates.gate import Gate

_SOME_SHOT = Example("", {}, "")
"""Stands for solved examples before their file is read: a task may refuse to have any."""


@dataclass(frozen=True)
class Extensions:
    """What hooks of the user's project add: metrics and engine classes by name."""

    metrics: Mapping[str, Metric] = field(default_factory=dict)
    engines: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Config:
    """One ``distill.yaml``.

    Parameters
    ----------
    path : Path
        The file; relative paths in it start from its folder.
    models, evals : mapping
        The entries by name, validated; an entry that names a group of tasks is several evals.
    groups : mapping
        The groups by the names of their entries.
    metrics : mapping
        The metrics of each eval, the headline metric first.
    settings : Settings
        What holds for all of them.
    criteria : mapping
        Name -> the gates that a student must pass to meet it.
    engines : mapping
        Engine classes that hooks of the project add, by name.
    """

    path: Path
    models: Mapping[str, ModelConfig]
    evals: Mapping[str, EvalConfig]
    groups: Mapping[str, EvalGroup]
    metrics: Mapping[str, tuple[Metric, ...]]
    settings: Settings
    criteria: Mapping[str, tuple[Gate, ...]]
    engines: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        """The folder of the file."""
        return self.path.parent

    @property
    def all_required_gates(self) -> tuple[str, ...]:
        """`required_gates`, and the gate that looks at ``must_keep:`` where an eval has it."""
        listed = [
            f"flips({name})"
            for name, entry in self.evals.items()
            if getattr(entry, "must_keep", ())
        ]
        return tuple(dict.fromkeys((*self.settings.required_gates, *listed)))

    def named(self, role: Role) -> list[str]:
        """Return the names of the models with that role, in the order of the file."""
        return [name for name, model in self.models.items() if model.role == role]

    def eval_names(self, name: str | None) -> Sequence[str]:
        """Return the evals of a group, else the one that `name` is; ConfigError as `eval_name`."""
        group = self.groups.get(name) if name is not None else None
        return (self.eval_name(name),) if group is None else group.evals

    def eval_name(self, name: str | None) -> str:
        """Return `name` where it is an eval, or the only eval's; ConfigError else."""
        evals, groups = self.evals, self.groups
        if name is not None and name in groups:
            raise ConfigError(f"{self.path.name}: {groups[name].named_for_one()}")
        if name is None:
            if len(evals) == 1:
                return next(iter(evals))
            raise ConfigError(
                f"{self.path.name} has several evals ({some_of([*evals])}): name one, "
                f"e.g. @pytest.mark.distill(eval='{next(iter(evals))}')"
            )
        refuse_unknown(name, {**evals, **groups}, f"{self.path.name} has no eval '{name}'")
        return name

    def student_name(self, name: str) -> str:
        """Return `name` where it is a student's; ConfigError else."""
        students = self.named("student")
        refuse_unknown(name, students, f"{self.path.name} has no student '{name}'")
        return name

    def check_metric(self, eval: str | None, metric: str) -> None:
        """Raise ConfigError where an eval has no such metric; the gold set is not read."""
        for name in self.eval_names(eval):
            entry = self.evals[name]
            suited = task_of(entry, self.folder).suited if isinstance(entry, MeasuredEval) else ()
            choose_metric(name, metric, self.metrics[name], suited)

    def criterion(self, name: str) -> tuple[Gate, ...]:
        """Return the gates of a criterion; ConfigError where there is none of that name."""
        if not self.criteria:
            raise ConfigError(f"{self.path.name} has no criteria, and so no '{name}'")
        refuse_unknown(name, self.criteria, f"{self.path.name} has no criterion '{name}'")
        return self.criteria[name]

    def engine_class(self, name: str) -> Any:
        """Return the engine class of the model `name`, importing its module."""
        return engine_class(
            self.models[name].engine, self.engines, f"{self.path.name}: models.{name}.engine"
        )


def task_of(entry: MeasuredEval, folder: Path) -> Task:
    """Return the task of an entry, whose solved examples are not read yet."""
    return entry.asks(lambda _: (_SOME_SHOT,), folder)
