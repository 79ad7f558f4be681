"""Finding what a test names: a model by name or role, a metric by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import get_args

from pytest_distill.engines import Role
from pytest_distill.errors import ConfigError, did_you_mean
from pytest_distill.evals.metrics import BUILT_IN, Metric
from pytest_distill.evals.tasks import TASKS
from pytest_distill.evaluation.models import Model


def find_model(models: Mapping[str, Model], name: str, student: str | None) -> Model:
    """Return a model by its name or role.

    Parameters
    ----------
    models : mapping
        Name -> model.
    name : str
        A model's name, or a role.
    student : str, optional
        The name of the student that the role `student` means, where there are several.

    Raises
    ------
    ConfigError
        Where there is none, or several and none was chosen.
    """
    if name == "student" and student is not None:
        return models[student]
    found = [models[name]] if name in models else [m for m in models.values() if m.role == name]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(
            f"distill.yaml has several students ({', '.join(m.name for m in found)}): name one, "
            f"e.g. @pytest.mark.distill(student='{found[0].name}')"
        )
    if name in get_args(Role):
        raise ConfigError(f"a model with the role '{name}' is needed, and distill.yaml has none")
    known = {*models, *(m.role for m in models.values())}
    raise ConfigError(f"distill.yaml has no model '{name}'; {did_you_mean(name, known)}")


def find_metric(eval: str, name: str, listed: Sequence[Metric], task: str | None) -> Metric:
    """Return a metric of an eval by its name: one listed for it, or one that suits its task."""
    suited = TASKS[task].metrics if task else ()
    known = {n: BUILT_IN[n] for n in suited} | {m.name: m for m in listed}
    if name not in known:
        raise ConfigError(f"eval '{eval}' has no metric '{name}'; {did_you_mean(name, known)}")
    return known[name]
