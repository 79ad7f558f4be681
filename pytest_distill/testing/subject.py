"""The engine that is looked at: validated as in ``distill.yaml``, and made as a run makes it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from pytest_distill.config import Config, Extensions, load_config
from pytest_distill.config.schema import EngineModel
from pytest_distill.engines import Engine, ModelSpec, plain
from pytest_distill.engines.lookup import engine_class
from pytest_distill.errors import ConfigError
from pytest_distill.evaluation.sources.source import Source
from pytest_distill.project.project import Project

NAME = "student"
_FILE = "engine_contract"
_EVALS = {"none": {"task": "perplexity", "data": "none.jsonl"}}
"""A ``distill.yaml`` must have one; it is never read."""


@dataclass(frozen=True)
class Subject:
    """An engine and a model's entry.

    Parameters
    ----------
    engine : class or str
        The class, its dotted path, or the name of a built-in engine.
    model : mapping
        The entry as under ``models:``; relative paths start from the current folder.
    called : str
        The entry's name.

    Raises
    ------
    ConfigError
        As for a ``distill.yaml``; and where nothing runs the model.
    """

    engine: Any
    model: Mapping[str, Any]
    called: str = NAME
    config: Config = field(init=False)

    def __post_init__(self) -> None:
        self._refuse_mistaken()
        found = None
        with suppress(ConfigError):  # told below, as for a `distill.yaml`
            found = engine_class(self.name, self._added, _FILE)
        if isinstance(found, type) and issubclass(found, Source):
            raise ConfigError(
                f"{_FILE}: '{self.name}' runs no model, its answers or scores are read from "
                "files: the contract is that of engines"
            )
        object.__setattr__(self, "config", self.config_of({}))
        _ = self.kind  # that it can be imported

    def _refuse_mistaken(self) -> None:
        """Raise ConfigError where an argument is of another kind."""
        if not isinstance(self.engine, str | type):
            raise ConfigError(
                f"{_FILE}: engine must be a class, its dotted path or the name of a built-in "
                f"engine, not {plain.shown(self.engine)}"
            )
        if not isinstance(self.model, Mapping):
            raise ConfigError(
                f"{_FILE}: model must be a mapping, an entry as under models: in distill.yaml, "
                f"not {plain.shown(self.model)}"
            )
        named = self.model.get("engine", self.name)
        if named != self.name:
            raise ConfigError(
                f"{_FILE}: model has engine: {named}, and the engine is {self.name}: leave it out"
            )

    @property
    def name(self) -> str:
        """The engine as ``distill.yaml`` names it."""
        if isinstance(self.engine, str):
            return self.engine
        return f"{self.engine.__module__}:{self.engine.__qualname__}"

    @property
    def kind(self) -> Any:
        """The engine's class."""
        return self.config.engine_class(self.called)

    @property
    def spec(self) -> ModelSpec:
        """What the engine is built with, but for what a run adds."""
        return self.entry.spec(self.called, self.config.folder)

    @property
    def _added(self) -> dict[str, Any]:
        return {} if isinstance(self.engine, str) else {self.name: self.engine}

    @property
    def entry(self) -> EngineModel:
        """The validated entry."""
        entry = self.config.models[self.called]
        assert isinstance(entry, EngineModel)  # noqa: S101 (see __post_init__)
        return entry

    def config_of(self, changes: Mapping[str, Any]) -> Config:
        """Return what a ``distill.yaml`` with this model, some keys changed, comes to."""
        entry = {"role": NAME, **self.model, "engine": self.name, **changes}
        try:
            text = json.dumps(
                {"models": {self.called: entry}, "evals": _EVALS}, default=str, indent=1
            )
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{_FILE}: model: {error}") from None
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, _FILE)
            path.write_text(text, encoding="utf-8")
            config = load_config(path, Extensions(engines=self._added))
        return replace(config, path=Path.cwd() / _FILE)

    def start(
        self, began: datetime, changes: Mapping[str, Any] | None = None, **of_the_run: Any
    ) -> Engine:
        """Return a new engine, as a run that began then makes it."""
        config = self.config_of(changes) if changes else self.config
        return Project(config, began=began, **of_the_run).start(self.called)

    def as_another(self, began: datetime) -> Engine:
        """Return an engine of the same entry under another name and role, in another worker."""
        role = "teacher" if self.entry.role != "teacher" else "student"
        other = replace(self, model={**self.model, "role": role}, called=f"another {role}")
        return other.start(began, worker=1, workers=2)
