"""What the file of a task of lm-evaluation-harness says, before any document is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from pytest_distill.errors import ConfigError
from pytest_distill.evals.lm_eval import harness
from pytest_distill.evals.lm_eval.index import manager

NO_FILTER = "none"
"""What lm-evaluation-harness calls the one filter of a task that has none."""


@dataclass(frozen=True)
class DeclaredMetric:
    """One number of a task.

    Parameters
    ----------
    key : str
        As lm-evaluation-harness prints it: ``exact_match,strict-match``.
    aggregation : str
        The name of what makes one number of those of all documents.
    higher_is_better : bool
        Its direction.
    """

    key: str
    aggregation: str
    higher_is_better: bool

    @property
    def name(self) -> str:
        """The key, without the name that stands for no filter."""
        return self.key.removesuffix(f",{NO_FILTER}")


@dataclass(frozen=True)
class DeclaredTask:
    """One task, not a group.

    Parameters
    ----------
    name : str
        Its name.
    path : Path
        The file that defines it.
    said : mapping
        What the file says, includes and all; functions by their names.
    by_group : mapping
        What a group says otherwise.
    """

    name: str
    path: Path
    said: Mapping[str, Any]
    by_group: Mapping[str, Any] = field(default_factory=dict)

    @property
    def output_type(self) -> str:
        """What a model is asked for."""
        return str(self.said.get("output_type", "generate_until"))

    @cached_property
    def metrics(self) -> tuple[DeclaredMetric, ...]:
        """The numbers of the task, the first one the one that it goes by.

        Raises
        ------
        ConfigError
            Naming a metric of which lm-evaluation-harness does not say how it is aggregated.
        """
        registry = harness.module("api.registry")
        listed = self.said.get("metric_list")
        if listed is None:
            listed = [{"metric": m} for m in registry.DEFAULT_METRIC_REGISTRY[self.output_type]]
        filters = [f["name"] for f in self.said.get("filter_list") or [{"name": NO_FILTER}]]
        return tuple(
            DeclaredMetric(f"{name},{chosen}", aggregation, higher)
            for name, aggregation, higher in (self._metric(registry, one) for one in listed)
            for chosen in filters
        )

    def _metric(self, registry: Any, said: Mapping[str, Any]) -> tuple[str, str, bool]:
        name = str(said["metric"]).rpartition("/")[2].rpartition(".")[2]
        known = registry.METRIC_AGGREGATION_REGISTRY.get(name)
        names = {function: name for name, function in registry.AGGREGATION_REGISTRY.items()}
        aggregation = said.get("aggregation") or names.get(known)
        higher = said.get("higher_is_better", registry.HIGHER_IS_BETTER_REGISTRY.get(name))
        if name == "bypass" or aggregation == "bypass":
            raise ConfigError(f"task: '{self.name}' has the metric bypass, which measures nothing")
        if aggregation is None or higher is None:
            lacking = "how it is aggregated" if aggregation is None else "whether higher is better"
            raise ConfigError(f"task: '{self.name}' does not say of its metric '{name}' {lacking}")
        return name, str(aggregation), bool(higher)


@cache
def declared(name: str) -> DeclaredTask:
    """Return a task by its name.

    Raises
    ------
    ConfigError
        Where there is none, or it is of a kind that is not run here.
    """
    entry = manager(name).task_index[name]
    said = entry.cfg or {}
    for refused in _refusals(entry.kind.name, said):
        raise ConfigError(f"task: '{name}' of lm-evaluation-harness {refused}")
    return DeclaredTask(name, Path(entry.yaml_path), said)


def _refusals(kind: str, said: Mapping[str, Any]) -> Iterator[str]:
    if kind == "PY_TASK":
        yield "is a Python class of its own, not a declared task, and is not run here"
    if said.get("unsafe_code"):
        yield "runs code that the model writes (unsafe_code), which is not done here"
    for key, what in (("doc_to_image", "images"), ("doc_to_audio", "audio")):
        if said.get(key):
            yield f"has {what} ({key}), which are not read here"
