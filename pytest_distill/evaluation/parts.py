"""What a loaded model gives a test beside its answers: the model itself, its tokenizer."""

from __future__ import annotations

from inspect import getattr_static
from typing import Any

from pytest_distill.engines import Engine
from pytest_distill.errors import ModelError
from pytest_distill.evaluation.model import Model
from pytest_distill.evaluation.run_model import RunModel


def part_of(model: Model, attribute: str) -> Any:
    """Return what a model's engine has as an attribute; the model is loaded.

    Parameters
    ----------
    model : Model
        Any model of a project.
    attribute : str
        Its name, such as ``tokenizer``.

    Raises
    ------
    ModelError
        Where nothing here has it, or the engine's own code raises something.
    """
    instead = f"there is no .{attribute} here; use .evaluate() and .info, which every model has"
    if not isinstance(model, RunModel):
        raise ModelError(
            f"model '{model.name}' does not run here, only its predictions or scores are known: "
            f"{instead}"
        )
    with model.asking():
        runner = model.runner
        if model.elsewhere is not None:
            raise ModelError(
                f"model '{model.name}' runs elsewhere and is asked as {model.elsewhere}: {instead}"
            )
        if not _has(runner, attribute):
            raise ModelError(f"the engine of model '{model.name}' hands none out: {instead}")
        return getattr(model.engine, attribute)


def _has(engine: Engine, attribute: str) -> bool:
    """Return whether an engine has an attribute, be it one whose own code raises AttributeError."""
    absent = object()
    if getattr_static(engine, attribute, absent) is not absent:  # which runs no property
        return True
    dynamic = hasattr(type(engine), "__getattr__")
    return dynamic and getattr(engine, attribute, absent) is not absent
