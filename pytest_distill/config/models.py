"""The entries under ``models:``: what one may say depends on its engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pytest_distill._util.user_code import unless_ours
from pytest_distill.config.document import Document, Key
from pytest_distill.config.schema import (
    CheckpointModel,
    DeclaredSize,
    ModelConfig,
    OuterModel,
    OwnModel,
    ServedModel,
    SourceModel,
)
from pytest_distill.engines import Role
from pytest_distill.engines.inner import ENGINES_OF_HOOKS, OPTIONS_AROUND, key_of_inner
from pytest_distill.engines.lookup import DEFAULT, known_class, options_class
from pytest_distill.errors import ConfigError
from pytest_distill.evaluation.sources.source import Source


def read_model(document: Document, name: str, entry: Any, added: Mapping[str, Any]) -> ModelConfig:
    """Return the entry of a model.

    Parameters
    ----------
    document : Document
        The file.
    name : str
        The model.
    entry : object
        What the file says of it.
    added : mapping
        Engine classes that hooks of the user's project add, by name.

    Raises
    ------
    ConfigError
        For everything that is wrong with it.
    """
    key = ("models", name)
    if not isinstance(entry, dict):
        return document.validated(ModelConfig, entry, key)
    entry = {"engine": DEFAULT, **entry}
    if name in get_args(Role):
        entry = {"role": name, **entry}
    elif "role" not in entry:
        raise document.error(key, "needs a role: teacher, student or sft")
    with document.about((*key, "engine")):
        engine = known_class(str(entry["engine"]), added)
        kind = kind_of(engine)
        shared = kind.model_fields.keys() - {"options"}
        options = options_class(engine, shared)
    known = {ENGINES_OF_HOOKS: added, OPTIONS_AROUND: options}
    where = f"{document.path.name}: models.{name}.engine"
    with unless_ours(engine, f"{where}: Options", ConfigError):
        said, own = document.validated_in_two(kind, options, shared, entry, key, known)
    model = said.model_copy(update={"options": own})
    if isinstance(model, OuterModel):
        _refuse_declared(document, model, key)
    return model


def _refuse_declared(document: Document, model: OuterModel, key: Key) -> None:
    """Refuse a size that is declared where that of the checkpoint is measured."""
    for name in DeclaredSize.model_fields.keys() - ModelConfig.model_fields.keys():
        if model.answerer.loads_checkpoint and getattr(model, name) is not None:
            raise document.error(
                (*key, name), "is measured of a checkpoint, not declared: leave it out"
            )


def kind_of(engine: Any) -> type[ModelConfig]:
    """Return what every model of an engine may say."""
    if isinstance(engine, type) and issubclass(engine, Source):
        return SourceModel
    if key_of_inner(getattr(engine, "Options", None)) is not None:
        return OuterModel
    if getattr(engine, "loads_checkpoint", False):
        return CheckpointModel
    return ServedModel if hasattr(engine, "asked_at") else OwnModel
