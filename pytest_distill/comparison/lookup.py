"""Finding the model that a test names, by name or role."""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from pytest_distill.engines import Role
from pytest_distill.errors import ConfigError, did_you_mean, some_of
from pytest_distill.evaluation.model import Model


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
    is_role = name in get_args(Role)
    found = [m for n, m in models.items() if (m.role == name if is_role else n == name)]
    if len(found) == 1:
        return found[0]
    if found:
        raise ConfigError(
            f"distill.yaml has several students ({some_of([m.name for m in found])}): name one, "
            f"e.g. @pytest.mark.distill(student='{found[0].name}')"
        )
    if name in get_args(Role):
        raise ConfigError(f"a model with the role '{name}' is needed, and distill.yaml has none")
    known = {*models, *(m.role for m in models.values())}
    raise ConfigError(f"distill.yaml has no model '{name}'; {did_you_mean(name, known)}")
