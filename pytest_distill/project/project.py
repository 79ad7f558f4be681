"""One ``distill.yaml`` at work: its models and evals, each made when it is first needed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from pytest_distill._util.hub import Found
from pytest_distill._util.user_code import unless_ours
from pytest_distill.comparison.baseline.accepted import Accepted
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.lookup import find_model
from pytest_distill.comparison.side_by_side import Confidence
from pytest_distill.config import Config
from pytest_distill.config.schema import (
    EngineModel,
    ModelConfig,
    OuterModel,
    ServedModel,
    SourceModel,
)
from pytest_distill.engines import Engine, FileDigests, ModelInfo, ModelSpec, Role
from pytest_distill.engines.lookup import is_here, shared_cards, weights_named
from pytest_distill.errors import (
    ComparisonError,
    ConfigError,
    DistillError,
    ModelError,
    refuse_unknown,
    some_of,
)
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.metrics import Metric
from pytest_distill.evaluation.cards import Cards
from pytest_distill.evaluation.evaluation import ReportedEval, choose_metric
from pytest_distill.evaluation.model import Model, Progress, silent
from pytest_distill.evaluation.run_model import RunModel
from pytest_distill.evaluation.sources.exported import ExportedModel
from pytest_distill.evaluation.sources.manifest import MANIFEST, read_manifest, refuse_unlike
from pytest_distill.evaluation.sources.source import Source
from pytest_distill.evaluation.store.keeping import Keeper
from pytest_distill.gates.recommendation import Recommendation
from pytest_distill.gates.size import size_of
from pytest_distill.project.evals import read_eval
from pytest_distill.project.looks import Looks

ComparisonT = TypeVar("ComparisonT", bound=Comparison)


@dataclass(eq=False)
class Project:
    """The models and evals of one ``distill.yaml``.

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
    limit : int, optional
        Take a sample of at most so many examples of each gold set.
    progress : callable
        Tells how far an evaluation is.
    keeper : Keeper, optional
        Knows what was evaluated before.
    predictions : Path, optional
        Folder with exported predictions, for models whose weights are absent.
    baseline : Path, optional
        File of the accepted run; by default as ``distill.yaml`` says.
    worker : int, optional
        Number of this process where several share the work.
    workers : int
        How many they are.
    tell : callable
        Told for whom this process waits.
    began : datetime, optional
        When the run began, which is what prompts that hold a date are told; now by default.
    """

    config: Config
    _: KW_ONLY
    device: str | None = None
    paths: Mapping[str, str] = field(default_factory=dict)
    threads: int | None = None
    limit: int | None = None
    progress: Progress = silent
    keeper: Keeper | None = None
    predictions: Path | None = None
    baseline: Path | None = None
    worker: int | None = None
    workers: int = 1
    tell: Callable[[str], None] = lambda _line: None
    began: datetime = field(default_factory=datetime.now)

    def __post_init__(self) -> None:
        self.selected: set[str] = set()
        """Evals that the selected tests name: a model that is loaded runs them all."""
        self.recommended: dict[str, Recommendation] = {}
        """Criterion -> the student that was recommended for it, and who else was tried."""
        written = self.config.settings.baseline
        named = self.baseline or (written and self.config.folder / written.path)
        self.accepted = Accepted(named or None, required=written is None or written.required)
        """The accepted run, read when it is first asked for."""
        self.looks = Looks(self.keeper, self.accepted)
        self._spread = self.worker is not None
        self._evals: dict[str, Eval | ReportedEval] = {}
        self._adopted: dict[tuple[str, int], Model] = {}
        self._reading: list[FileDigests] = []
        self._cards = Cards(self._shared_cards, self._runnable, self.tell)
        self._resolved: dict[tuple[str, str | None], Found] = {}
        self._kept: defaultdict[str, dict[str, Any]] = defaultdict(dict)
        self._entries = {
            name: self._pointed(name, entry) for name, entry in self.config.models.items()
        }
        self.models = {name: self._model(name, entry) for name, entry in self._entries.items()}
        for name, model in self.models.items():
            model.trained = _trained(self._entries[name])
            model.declared = self._entries[name].declared

    def eval_names(self, name: str | None) -> Sequence[str]:
        """Return the evals of a group, else the one that `name` is; ConfigError as `eval_name`."""
        group = self.config.groups.get(name) if name is not None else None
        return (self.eval_name(name),) if group is None else group.evals

    def eval_name(self, name: str | None) -> str:
        """Return `name` where it is an eval, or the only eval's; ConfigError else."""
        evals, groups = self.config.evals, self.config.groups
        if name is not None and name in groups:
            raise ConfigError(f"{self.config.path.name}: {groups[name].named_for_one()}")
        if name is None:
            if len(evals) == 1:
                return next(iter(evals))
            raise ConfigError(
                f"{self.config.path.name} has several evals ({some_of([*evals])}): name one, "
                f"e.g. @pytest.mark.distill(eval='{next(iter(evals))}')"
            )
        refuse_unknown(name, {**evals, **groups}, f"{self.config.path.name} has no eval '{name}'")
        return name

    def student_name(self, name: str) -> str:
        """Return `name` where it is a student's; ConfigError else."""
        students = self.config.named("student")
        refuse_unknown(name, students, f"{self.config.path.name} has no student '{name}'")
        return name

    def students_by_size(self) -> list[str]:
        """Return the names of the students, the one with the most parameters first.

        Students of one size stand in the order of ``distill.yaml``: no score has a say in it.

        Raises
        ------
        ConfigError
            Where there is none.
        ComparisonError
            Where the size of one is not known.
        """
        students = self.config.named("student")
        if not students:
            raise ConfigError(f"{self.config.path.name} has no student")
        return sorted(students, key=lambda name: -size_of(self.models[name].info, "parameters"))

    def eval(self, name: str) -> Eval | ReportedEval:
        """Return an eval; its gold set is read at the first call."""
        if name not in self._evals:
            self._evals[name] = read_eval(self.config, name, self.limit)
        return self._evals[name]

    def comparison(
        self,
        eval: str | None = None,
        *,
        student: str | None = None,
        metric: str | Metric | None = None,
        confidence: Confidence = "default",
        engines: Mapping[Role, Engine] | None = None,
        kind: type[ComparisonT],
    ) -> ComparisonT:
        """Return the comparison of one eval.

        Parameters
        ----------
        eval : str, optional
            Name of the eval; without one, the only one that there is.
        student : str, optional
            Name of the student; None is fine where there is one only, or it is not asked for.
        metric : str or Metric, optional
            What is looked at where no metric is named.
        confidence : float, optional
            How sure a verdict must be where its gate does not say; by default as the file says.
        engines : mapping, optional
            Role -> engine that takes the place of the model in ``distill.yaml``.
        kind : type
            `Comparison`, or a class derived from it.
        """
        models, chosen = self._models(student, engines)
        self._refuse_one_checkpoint(models, chosen)
        settings = self.config.settings
        if confidence == "default" and settings.confidence is not None:
            confidence = settings.confidence
        on = self.eval(self.eval_name(eval))
        tolerance = settings.sft_size_tolerance
        return kind(
            on, models, chosen, metric, tolerance, confidence, self.config.folder, self.accepted
        )

    def _refuse_one_checkpoint(self, models: Mapping[str, Model], student: str | None) -> None:
        """Raise ComparisonError where two roles name one checkpoint, whatever a gate compares.

        Only entries are looked at; what is the same under two names is told by its bytes.
        """
        named: dict[tuple[object, ...], Model] = {}
        for name, model in models.items():
            entry = self._entries.get(name)
            other_student = model.role == "student" and name != (student or name)
            if other_student or model is not self.models.get(name):
                continue
            if not isinstance(entry, EngineModel):
                continue
            engine, spec = self._answering(name, entry)
            with self._asking(name, engine):
                key = weights_named(engine, spec)
            if key is None:
                continue
            known = named.setdefault((entry.answering, *key), model)
            if known.role != model.role:
                what = entry.where_it_lies or " at ".join(map(str, key))
                raise ComparisonError(
                    f"'{known.name}' and '{name}' have the same weights (both are {what}): a "
                    "comparison of a model with itself says nothing; correct an entry in "
                    "distill.yaml"
                )

    def model(
        self, name: str, student: str | None = None, engines: Mapping[Role, Engine] | None = None
    ) -> Model:
        """Return a model by name or role; `student` and `engines` as for `comparison`."""
        models, chosen = self._models(student, engines)
        return find_model(models, name, chosen)

    def check_metric(self, eval: str | None, metric: str) -> None:
        """Raise ConfigError where an eval has no such metric; the gold set is not read."""
        for name in self.eval_names(eval):
            choose_metric(name, metric, self.config.metrics[name], self.config.suited(name))

    @property
    def all_models(self) -> list[Model]:
        """Every model, those that fixtures put in place of others too."""
        return [*self.models.values(), *self._adopted.values()]

    def begin_apart(self) -> None:
        """Let each of several processes begin with another model, so that none waits at first."""
        runnable = self._runnable()
        if self._spread and runnable:
            self._spread = False
            self._run_selected(runnable[(self.worker or 0) % len(runnable)])

    def start(self, name: str) -> Engine:
        """Return a new engine for a model; nothing is loaded yet."""
        return self._start(name, self.config.models[name], self._digests())

    def close(self) -> None:
        """Free the models, and close the store."""
        for model in self.models.values():
            model.close()
        self._cards.give_up()
        for digests in self._reading:
            digests.cancel()
        if self.keeper is not None:
            self.keeper.close()

    def _models(
        self, student: str | None, engines: Mapping[Role, Engine] | None
    ) -> tuple[dict[str, Model], str | None]:
        """Return the models with `engines` in their places, and the name of the chosen student."""
        chosen = student if student is None else self.student_name(student)
        models = dict(self.models)
        for role, engine in (engines or {}).items():
            listed = [chosen] if role == "student" and chosen else self.config.named(role)
            name = listed[0] if listed else role
            models[name] = self._adopt(name, role, engine)
        return models, chosen

    def _adopt(self, name: str, role: Role, engine: Engine) -> Model:
        """Return a model that the given engine runs; the same one for the same engine."""
        with unless_ours(engine, f"the engine of fixture '{role}'", ModelError):
            if not isinstance(engine, Engine):
                raise ConfigError(
                    f"fixture '{role}' gives {engine!r}, which is no engine: it needs info, "
                    "predict() and close()"
                )
        key = (name, id(engine))
        if key not in self._adopted:
            model = RunModel(name, role, lambda: engine, self.progress)
            known = self.config.models.get(name)
            model.trained = _trained(known)
            model.declared = known.declared if known else {}
            model.pinned = True  # it is the fixture's to close
            self._adopted[key] = model
        return self._adopted[key]

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

    def _model(self, name: str, entry: ModelConfig) -> Model:
        if isinstance(entry, SourceModel):
            info = ModelInfo(name, entry.role, declared=tuple(entry.declared), **entry.declared)
            alike = {
                n: m.options for n, m in self.config.models.items() if m.engine == entry.engine
            }
            source: Source = self.config.engine_class(name).declared_as(
                info, alike, self.config.path
            )
            return source
        exported_model = self._exported_model(name, entry)
        if exported_model is not None:
            return exported_model
        digests = self._digests()
        self._reading.append(digests)
        return RunModel(
            name,
            entry.role,
            lambda: self._start(name, entry, digests),
            self.progress,
            keeper=self.keeper,
            digests=digests,
            reads_ahead=hasattr(self._engine_of(name), "read_ahead"),
            cards=self._cards,
            before_load=self._make_room,
            after_load=self._run_selected,
        )

    def _exported_model(self, name: str, entry: ModelConfig) -> ExportedModel | None:
        """Return the model of exported predictions, where they stand in for absent weights."""
        if self.predictions is None or not isinstance(entry, EngineModel):
            return None
        engine, spec = self._answering(name, entry)
        with self._asking(name, engine):
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
            return entry.inner.kind_here, entry.inner.spec(spec)
        return self._engine_of(name), spec

    def _asking(self, name: str, engine: Any) -> AbstractContextManager[None]:
        """Let what the class of a model's engine raises in the block be the model's error."""
        return unless_ours(engine, f"the engine of model '{name}'", ModelError)

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
        with unless_ours(kind, f"the engine of model '{name}'", ModelError):
            engine: Engine = kind(spec)
        return engine

    def _runnable(self) -> list[RunModel]:
        return [model for model in self.models.values() if isinstance(model, RunModel)]

    def _shared_cards(self, name: str) -> tuple[str, ...]:
        """Return the GPUs that a model shares with other workers; none where it can't be told."""
        entry = self._entries[name]
        if self.workers == 1 or not isinstance(entry, EngineModel):
            return ()
        spec = entry.spec(name, self.config.folder, worker=self.worker, workers=self.workers)
        engine = self._engine_of(name)
        with suppress(DistillError), self._asking(name, engine):
            return shared_cards(engine, spec)
        return ()

    def _digests(self) -> FileDigests:
        if self.keeper is None:
            return FileDigests(threads=self.threads)
        return self.keeper.file_digests(self.threads)

    def _make_room(self, wanted: RunModel) -> None:
        """Free the models that no test holds: two big ones need not fit beside each other.

        One that runs elsewhere needs no room.

        While one is loaded and asked, the files of the others are read for their digests; of
        several processes each reads its own.
        """
        for model in self.all_models:
            if isinstance(model, RunModel) and model is not wanted:
                if not model.pinned and wanted.elsewhere is None and model.asked_at is None:
                    model.close()
                if self.worker is None and model.reads_ahead:
                    model.read_ahead()

    def _run_selected(self, model: RunModel) -> None:
        """Run the selected evals of a model while it is loaded: it need not be loaded again.

        An eval that it cannot do is left alone: if a test asks for it, the test is told why.
        """
        for name in sorted(self.selected):
            with suppress(DistillError):
                on = self.eval(name)
                if isinstance(on, Eval) and name not in {e.eval.name for e in model.evaluations}:
                    model.evaluate(on)


def _trained(entry: ModelConfig | None) -> dict[str, int | str | None]:
    return entry.trained.model_dump() if entry and entry.trained else {}
