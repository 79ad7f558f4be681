"""What the file of a task of lm-evaluation-harness says, before any document is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
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
    refused : str
        Why it is not judged here; empty where it is.
    """

    key: str
    aggregation: str
    higher_is_better: bool
    refused: str = ""

    @property
    def name(self) -> str:
        """The key, without the name that stands for no filter."""
        return self.key.removesuffix(f",{NO_FILTER}")

    @property
    def own(self) -> str:
        """The name without a filter's."""
        return self.key.rpartition(",")[0]


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

    def but(self, override: Mapping[str, Any]) -> DeclaredTask:
        """Return the task with what somebody says otherwise."""
        return replace(self, said={**self.said, **self.by_group, **override})

    @property
    def scores_itself(self) -> bool:
        """Whether the task's own code makes the values of a document."""
        return self.said.get("process_results") is not None

    @cached_property
    def metrics(self) -> tuple[DeclaredMetric, ...]:
        """The numbers of the task, as lm-evaluation-harness prints them, in its order."""
        registry = harness.module("api.registry")
        listed = self.said.get("metric_list")
        if listed is None:
            listed = [{"metric": m} for m in registry.DEFAULT_METRIC_REGISTRY[self.output_type]]
        filters = [f["name"] for f in self.said.get("filter_list") or [{"name": NO_FILTER}]]
        return tuple(_metric(registry, one, chosen) for one in listed for chosen in filters)

    def aggregation(self, metric: str) -> Callable[[list[Any]], Any]:
        """Return what makes one number of the values of all documents, by a metric's own name."""
        said = next(m.aggregation for m in self.metrics if m.own == metric)
        if "/" in said:
            loader, path = harness.module("tasks._yaml_loader"), Path(said)
            return loader._import_func_in_yml(path.name, path.parent)  # type: ignore[no-any-return]
        return harness.module("api.registry").AGGREGATION_REGISTRY[said]  # type: ignore[no-any-return]


def _metric(registry: Any, said: Mapping[str, Any], chosen: str) -> DeclaredMetric:
    """Return a metric of one filter; a function stands there by the path of its file."""
    name = str(said["metric"])
    name = name.rpartition(".")[2] if "/" in name else name
    names = {function: name for name, function in registry.AGGREGATION_REGISTRY.items()}
    aggregation = said.get("aggregation")
    if aggregation is None:
        aggregation = names.get(_registered(registry.METRIC_AGGREGATION_REGISTRY, name))
    higher = said.get("higher_is_better")
    if higher is None:
        higher = _registered(registry.HIGHER_IS_BETTER_REGISTRY, name)
    refused = ""
    if "bypass" in (name, aggregation):
        refused = "'bypass' measures nothing (lm-evaluation-harness prints 999)"
    elif aggregation is None:
        refused = (
            f"does not say how its metric '{name}' is aggregated (lm-evaluation-harness would take "
            "the mean); say it by 'override: {metric_list: ...}'"
        )
    elif "/" not in str(aggregation) and aggregation not in registry.AGGREGATION_REGISTRY:
        refused = f"its metric '{name}' is aggregated by '{aggregation}', which does not exist"
    elif aggregation == "median":
        refused = (
            f"its metric '{name}' is a median: what one document adds to it says nothing of how "
            "sure it is"
        )
    elif not isinstance(higher, bool):
        refused = (
            f"does not say of its metric '{name}' whether higher is better; say it by "
            "'override: {metric_list: ...}'"
        )
    return DeclaredMetric(f"{name},{chosen}", str(aggregation), higher is not False, refused)


def _registered(registry: Any, name: str) -> Any:
    """Return what lm-evaluation-harness knows by a name; None where it knows nothing."""
    return registry[name] if name in registry else None  # noqa: SIM401 (its `get` raises)


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
