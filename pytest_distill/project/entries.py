"""The entries under ``models:`` as one run has them: its paths and its device, and its engines."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from pytest_distill._util.hub import Found
from pytest_distill._util.user_code import unless_ours
from pytest_distill.config import Config
from pytest_distill.config.schema import EngineModel, ModelConfig, OuterModel, ServedModel
from pytest_distill.engines import Engine, FileDigests, ModelSpec
from pytest_distill.engines.lookup import is_here, shared_cards, weights_named
from pytest_distill.errors import ComparisonError, ConfigError, DistillError, ModelError
from pytest_distill.evaluation.sources.exported import ExportedModel
from pytest_distill.evaluation.sources.manifest import MANIFEST, read_manifest, refuse_unlike
from pytest_distill.evaluation.store.keeping import Keeper


@dataclass(eq=False)
class RunEntries:
    """The entries of the models, with what this run says of them.

    Parameters
    ----------
    config : Config
        The validated file.
    device : str, optional
        Overrides the device of every model.
    paths : mapping
        Model name -> path of this run's checkpoint.
    threads : int, optional
        How many CPU threads a model may use.
    keeper : Keeper, optional
        Knows what was evaluated before.
    predictions : Path, optional
        Folder with exported predictions, for models whose weights are absent.
    worker : int, optional
        Number of this process where several share the work.
    workers : int
        How many they are.
    began : datetime, optional
        When the run began, which is what prompts that hold a date are told; now by default.
    """

    config: Config
    _: KW_ONLY
    device: str | None = None
    paths: Mapping[str, str] = field(default_factory=dict)
    threads: int | None = None
    keeper: Keeper | None = None
    predictions: Path | None = None
    worker: int | None = None
    workers: int = 1
    began: datetime = field(default_factory=datetime.now)

    def __post_init__(self) -> None:
        self._resolved: dict[tuple[str, str | None], Found] = {}
        self._kept: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        self.entries = {name: self._pointed(name, e) for name, e in self.config.models.items()}

    def start(self, name: str) -> Engine:
        """Return a new engine for a model; nothing is loaded yet."""
        return self._start(name, self.config.models[name], self._digests())

    def refuse_one_checkpoint(self, names: Iterable[str]) -> None:
        """Raise ComparisonError where two roles name one checkpoint, whatever a gate compares.

        Only entries are looked at; what is the same under two names is told by its bytes.

        Parameters
        ----------
        names : iterable of str
            The models that are compared.
        """
        named: dict[tuple[object, ...], str] = {}
        for name in names:
            entry = self.entries[name]
            if not isinstance(entry, EngineModel):
                continue
            engine, spec = self._answering(name, entry)
            with _asking(name, engine):
                key = weights_named(engine, spec)
            if key is None:
                continue
            known = named.setdefault((entry.answerer.engine, *key), name)
            if self.entries[known].role != entry.role:
                what = entry.where_it_lies or " at ".join(map(str, key))
                raise ComparisonError(
                    f"'{known}' and '{name}' have the same weights (both are {what}): a "
                    "comparison of a model with itself says nothing; correct an entry in "
                    "distill.yaml"
                )

    def _pointed(self, name: str, entry: ModelConfig) -> ModelConfig:
        """Return a model's entry with this run's path and device in it."""
        path = self.paths.get(name)
        changes = {"path": path, "device": self.device}
        to = {key: value for key, value in changes.items() if value is not None}
        pointed = entry.pointed(**to) if isinstance(entry, EngineModel) else None
        if pointed is None and path is not None:
            raise ConfigError(
                f"--distill-model {name}={path}: '{name}' is {entry.engine}, whose models have "
                "no path: leave the option out, or correct the entry in distill.yaml"
            )
        return pointed or entry

    def _exported_model(self, name: str, entry: ModelConfig) -> ExportedModel | None:
        """Return the model of exported predictions, where they stand in for absent weights."""
        if self.predictions is None or not isinstance(entry, EngineModel):
            return None
        engine, spec = self._answering(name, entry)
        with _asking(name, engine):
            if is_here(engine, spec):
                return None
        known = read_manifest(self.predictions)
        if name not in known:
            return None
        if name in self.paths:
            raise ConfigError(
                f"--distill-model {name}={self.paths[name]}: nothing is there, and the "
                f"predictions in {self.predictions} are of another checkpoint: correct the path, "
                "or leave the option out to judge what was exported"
            )
        manifest = self.predictions / MANIFEST
        refuse_unlike(manifest, name, known[name].model, entry.written)
        asked = isinstance(entry, ServedModel)
        start = partial(self._start, name, entry, self._digests()) if asked else None
        return ExportedModel(name, entry.role, self.predictions, known[name], start)

    def _engine_of(self, name: str) -> Any:
        """Return the class of a model's engine; None where it cannot be imported here."""
        with suppress(ConfigError):
            return self.config.engine_class(name)
        return None

    def _answering(self, name: str, entry: EngineModel) -> tuple[Any, ModelSpec]:
        """Return the class of the engine that answers, and what it is built with."""
        spec = entry.spec(name, self.config.folder)
        if isinstance(entry, OuterModel):
            return entry.answerer.kind_here, entry.answerer.spec(spec)
        return self._engine_of(name), spec

    def _start(self, name: str, entry: Any, digests: FileDigests) -> Engine:
        kind = self.config.engine_class(name)
        spec = entry.spec(
            name,
            self.config.folder,
            threads=self.threads,
            worker=self.worker or 0,
            workers=self.workers,
            hash_file=digests,
            began=self.began,
            resolved=self._resolved,
            kept=self._kept[name],
        )
        with _asking(name, kind):
            engine: Engine = kind(spec)
        return engine

    def _shared_cards(self, name: str) -> tuple[str, ...]:
        """Return the GPUs that a model shares with other workers; none where it can't be told."""
        entry = self.entries[name]
        if self.workers == 1 or not isinstance(entry, EngineModel):
            return ()
        spec = entry.spec(name, self.config.folder, worker=self.worker, workers=self.workers)
        engine = self._engine_of(name)
        with suppress(DistillError), _asking(name, engine):
            return shared_cards(engine, spec)
        return ()

    def _digests(self) -> FileDigests:
        if self.keeper is None:
            return FileDigests(threads=self.threads)
        return self.keeper.file_digests(self.threads)


def _asking(name: str, engine: Any) -> AbstractContextManager[None]:
    """Let what the class of a model's engine raises in the block be the model's error."""
    return unless_ours(engine, f"the engine of model '{name}'", ModelError)
