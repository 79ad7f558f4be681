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
from pytest_distill.errors import ConfigError, refuse_unknown
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.groups import EvalGroup
from pytest_distill.evals.metrics import Metric
from pytest_distill.evals.tasks import Task
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

    def suited(self, name: str) -> Sequence[Metric]:
        """Return the metrics that suit the task of an eval; none where it states no task."""
        entry = self.evals[name]
        return task_of(entry, self.folder).suited if isinstance(entry, MeasuredEval) else ()

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
