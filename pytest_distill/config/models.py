"""The entries under ``models:``: what one may say depends on its engine."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, get_args

from pydantic import BaseModel

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


class ModelReader:
    """Validates entries of models.

    Parameters
    ----------
    document : Document
        The file.
    added : mapping
        Engine classes that hooks of the user's project add, by name.
    """

    def __init__(self, document: Document, added: Mapping[str, Any]) -> None:
        self.document = document
        self.added = added

    def model(self, name: str, entry: Any) -> ModelConfig:
        """Return the entry of a model; ConfigError for everything that is wrong with it."""
        key = ("models", name)
        if not isinstance(entry, dict):
            return self.document.validated(ModelConfig, entry, key)
        entry = {"engine": DEFAULT, **entry}
        if name in get_args(Role):
            entry = {"role": name, **entry}
        elif "role" not in entry:
            raise self.document.error(key, "needs a role: teacher, student or sft")
        engine = self.engine(str(entry["engine"]), key)
        kind = kind_of(engine)
        shared = kind.model_fields.keys() - {"options"}
        options = self.options(engine, shared, key)
        known = {ENGINES_OF_HOOKS: self.added, OPTIONS_AROUND: options}
        where = f"{self.document.path.name}: models.{name}.engine"
        with unless_ours(engine, f"{where}: Options", ConfigError):
            said, own = self.document.validated_in_two(kind, options, shared, entry, key, known)
        model = said.model_copy(update={"options": own})
        if isinstance(model, OuterModel):
            self.refuse_declared(model, key)
        return model

    def options(self, engine: Any, shared: Collection[str], key: Key) -> type[BaseModel]:
        """Return what an engine declares of its own keys."""
        try:
            return options_class(engine, shared)
        except ConfigError as error:
            raise self.document.error((*key, "engine"), str(error)) from None

    def refuse_declared(self, model: OuterModel, key: Key) -> None:
        """Refuse a size that is declared where that of the checkpoint is measured."""
        for name in DeclaredSize.model_fields.keys() - ModelConfig.model_fields.keys():
            if model.inner.loads_checkpoint and getattr(model, name) is not None:
                raise self.document.error(
                    (*key, name), "is measured of a checkpoint, not declared: leave it out"
                )

    def engine(self, name: str, key: Key) -> Any:
        """Return the class of an engine; None where it cannot be imported now."""
        try:
            return known_class(name, self.added)
        except ConfigError as error:
            raise self.document.error((*key, "engine"), str(error)) from None


def kind_of(engine: Any) -> type[ModelConfig]:
    """Return what every model of an engine may say."""
    if isinstance(engine, type) and issubclass(engine, Source):
        return SourceModel
    if key_of_inner(getattr(engine, "Options", None)) is not None:
        return OuterModel
    if getattr(engine, "loads_checkpoint", False):
        return CheckpointModel
    return ServedModel if hasattr(engine, "asked_at") else OwnModel
