"""What the file of a task of lm-evaluation-harness says, before any document is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pytest_distill.errors import ConfigError, did_you_mean
from pytest_distill.evals.lm_eval import harness
from pytest_distill.evals.lm_eval.index import all_names, entries_of, unreadable

FEWSHOT_SEED = 1234
"""What lm-evaluation-harness draws few-shot examples by where nothing else is said."""

NO_FILTER = "none"
"""What lm-evaluation-harness calls the one filter of a task that has none."""

_OTHERWISE = re.compile(r"(?:lm[-_ ]?eval(?:uation[-_]harness)?|harness|leaderboard)[:/.| ]+", re.I)
"""How its prefix is written by mistake."""


@dataclass(frozen=True)
class HarnessMetric:
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
        What holds for it: what the file says, includes and all, and what is said otherwise;
        functions by their names.
    otherwise : mapping
        What a group or ``distill.yaml`` says otherwise than the file.
    """

    name: str
    path: Path
    said: Mapping[str, Any]
    otherwise: Mapping[str, Any] = field(default_factory=dict)

    def saying(self, **otherwise: Any) -> DeclaredTask:
        """Return the task with something else said."""
        return replace(
            self, said={**self.said, **otherwise}, otherwise={**self.otherwise, **otherwise}
        )

    @property
    def output_type(self) -> str:
        """What a model is asked for."""
        return str(self.said.get("output_type", "generate_until"))

    @property
    def scores_itself(self) -> bool:
        """Whether the task's own code makes the values of a document."""
        return self.said.get("process_results") is not None

    @cached_property
    def metrics(self) -> tuple[HarnessMetric, ...]:
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


def _metric(registry: Any, said: Mapping[str, Any], chosen: str) -> HarnessMetric:
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
    return HarnessMetric(f"{name},{chosen}", str(aggregation), higher is not False, refused)


def _registered(registry: Any, name: str) -> Any:
    """Return what lm-evaluation-harness knows by a name; None where it knows nothing."""
    return registry[name] if name in registry else None  # noqa: SIM401 (its `get` raises)


def declared(
    name: str, *, folder: Path | None = None, otherwise: Mapping[str, Any] | None = None
) -> DeclaredTask:
    """Return a task by its name.

    Parameters
    ----------
    name : str
        The task.
    folder : Path, optional
        With tasks of the user's own.
    otherwise : mapping, optional
        What is said otherwise than in the task's file.

    Raises
    ------
    ConfigError
        Where there is none of that name.
    """
    entry = entries_of(name, folder).get(name)
    if entry is None:
        raise ConfigError(unknown_name(name, folder))
    said = {**(entry.cfg or {}), **(otherwise or {})}
    if entry.kind.name in ("GROUP", "TAG"):
        raise ConfigError(f"task: '{name}' is a group of tasks")
    return DeclaredTask(name, Path(entry.yaml_path), said, otherwise or {})


def with_shots(task: DeclaredTask, shots: int) -> DeclaredTask:
    """Return a task with so many solved examples; ConfigError where it takes none."""
    if task.said.get("num_fewshot") == 0 != shots:
        raise ConfigError(
            f"num_fewshot: task '{task.name}' is to be asked without solved examples "
            "(num_fewshot: 0 in its file), and lm-evaluation-harness asks it so whatever is "
            "said: leave the key out"
        )
    if task.output_type == "loglikelihood_rolling" and shots:
        raise ConfigError(
            f"num_fewshot: task '{task.name}' rates whole texts, with nothing before them: "
            "leave the key out"
        )
    return task.saying(num_fewshot=shots)


def unknown_name(name: str, folder: Path | None = None) -> str:
    """Return what to say of a name that is none of a task, a group or a tag."""
    if folder is not None and (broken := next(unreadable(folder), None)):
        return f"task: no task or group '{name}' is known, and {broken}"
    known = {each for each in all_names(folder) if each != name}
    meant = did_you_mean(name, known, listed=False).replace("'", f"'{harness.PREFIX}", 1)
    return (
        f"task: lm-evaluation-harness has no task or group '{name}'; "
        f"{meant or '`lm-eval ls tasks` lists what it has'}"
    )


def meant_of_harness(task: str) -> str | None:
    """Return what to say of a task that lm-evaluation-harness has; None where it has none.

    Parameters
    ----------
    task : str
        What stands as ``task:``, without our prefix.
    """
    prefix = _OTHERWISE.match(task)
    name = task[prefix.end() :] if prefix else task
    if not harness.PACKAGE.is_installed:
        return f"unknown task '{task}'; did you mean '{harness.PREFIX}{name}'?" if prefix else None
    known = all_names()
    if name in known:
        return f"unknown task '{task}'; did you mean '{harness.PREFIX}{name}'?"
    if prefix is None:
        return None
    return unknown_name(name).replace("task: ", f"unknown task '{task}': ", 1)
