"""The built-in metrics by name: those that suit some task."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pytest_distill.errors import ConfigError
from pytest_distill.evals.metrics import MeanMetric, Metric
from pytest_distill.evals.metrics.own import check_metric
from pytest_distill.evals.tasks import TASKS

BUILT_IN: Mapping[str, Metric] = MappingProxyType(
    {metric.name: metric for task in TASKS.values() for metric in task.metrics}
)


def check_own_metric(metric: object, where: str) -> Metric:
    """Return a metric of the user's, or a built-in one handed over as an object.

    Raises
    ------
    ConfigError
        It lacks something, or has the name of a built-in metric, whose numbers everybody would
        take its own for.
    """
    checked = check_metric(metric, where)
    built_in = BUILT_IN.get(checked.name)
    if built_in is not None and checked is not built_in:
        raise ConfigError(
            f"{where}: {metric!r:.80} has the name of the built-in metric '{checked.name}' and "
            f"would take its place; give it another, such as 'my_{checked.name}'"
        )
    return checked


def undeclared(metric: Metric, eval: str) -> str:
    """Return what is wrong with ready scores under the name of a metric that computes its own."""
    if metric.name not in BUILT_IN and not isinstance(metric, MeanMetric):
        return (
            f"has ready scores of '{metric.name}', which computes its own and is no mean over "
            "examples, so it needs recorded predictions, not scores"
        )
    ends = ", ".join(f"{end:g}".replace("inf", ".inf") for end in metric.range)  # as yaml says it
    better = "" if metric.higher_is_better else "higher_is_better: false, "
    kind = "a built-in metric" if metric.name in BUILT_IN else "a metric that computes its own"
    return (
        f"has ready scores of '{metric.name}', which is {kind}: what was scored "
        f"elsewhere is declared in distill.yaml, in evals.{eval}.metrics: "
        f"'- {{name: {metric.name}, {better}range: [{ends}]}}'; else record predictions alone"
    )
