"""One ``distill.yaml`` at work: its models and evals, each made when it is first needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TypeVar

from pytest_distill._util.user_code import unless_ours
from pytest_distill.comparison.baseline.accepted import Accepted
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.side_by_side import Confidence, find_model
from pytest_distill.config.schema import ModelConfig, SourceModel
from pytest_distill.engines import Engine, FileDigests, ModelInfo, Role
from pytest_distill.errors import ConfigError, DistillError, ModelError
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.metrics import Metric
from pytest_distill.evaluation.cards import Cards
from pytest_distill.evaluation.evaluation import ReportedEval
from pytest_distill.evaluation.model import Model, Progress, silent
from pytest_distill.evaluation.run_model import RunModel
from pytest_distill.evaluation.sources.source import Source
from pytest_distill.gates.recommendation import Recommendation
from pytest_distill.gates.size import size_of
from pytest_distill.project.entries import RunEntries
from pytest_distill.project.evals import read_eval
from pytest_distill.project.looks import Looks

ComparisonT = TypeVar("ComparisonT", bound=Comparison)


@dataclass(eq=False)
class Project(RunEntries):
    """The models and evals of one ``distill.yaml``.

    Parameters
    ----------
    limit : int, optional
        Take a sample of at most so many examples of each gold set.
    progress : callable
        Tells how far an evaluation is.
    baseline : Path, optional
        File of the accepted run; by default as ``distill.yaml`` says.
    tell : callable
        Told for whom this process waits.
    """

    _: KW_ONLY
    limit: int | None = None
    progress: Progress = silent
    baseline: Path | None = None
    tell: Callable[[str], None] = lambda _line: None

    def __post_init__(self) -> None:
        super().__post_init__()
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
        self.models = {name: self._model(name, entry) for name, entry in self.entries.items()}
        for name, model in self.models.items():
            _describe(model, self.entries[name])

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
        own = [name for name, model in models.items() if model is self.models.get(name)]
        others = [name for name in self.config.named("student") if name != (chosen or name)]
        self.refuse_one_checkpoint(name for name in own if name not in others)
        settings = self.config.settings
        if confidence == "default" and settings.confidence is not None:
            confidence = settings.confidence
        on = self.eval(self.config.eval_name(eval))
        tolerance = settings.sft_size_tolerance
        return kind(
            on, models, chosen, metric, tolerance, confidence, self.config.folder, self.accepted
        )

    def model(
        self, name: str, student: str | None = None, engines: Mapping[Role, Engine] | None = None
    ) -> Model:
        """Return a model by name or role; `student` and `engines` as for `comparison`."""
        models, chosen = self._models(student, engines)
        return find_model(models, name, chosen)

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
        chosen = student if student is None else self.config.student_name(student)
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
            _describe(model, self.config.models.get(name))
            model.pinned = True  # it is the fixture's to close
            self._adopted[key] = model
        return self._adopted[key]

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

    def _runnable(self) -> list[RunModel]:
        return [model for model in self.models.values() if isinstance(model, RunModel)]

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


def _describe(model: Model, entry: ModelConfig | None) -> None:
    """Let a model know what its entry, where it has one, says of it beside what runs it."""
    if entry is not None:
        model.trained = entry.trained.model_dump() if entry.trained else {}
        model.declared = entry.declared
