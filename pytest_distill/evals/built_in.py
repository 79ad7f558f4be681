"""The built-in metrics by name: those that suit some task."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pytest_distill.errors import ConfigError
from pytest_distill.evals.metrics import Metric
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
