"""The models of a project: each gives its evaluation of an eval, and gives it once."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from pytest_distill._util.user_code import is_ours, unless_ours, user_code, warn_of
from pytest_distill.engines import (
    Dated,
    Elsewhere,
    Engine,
    FileDigests,
    Identified,
    Metered,
    ModelInfo,
    Patient,
    Role,
    Unsteady,
    plain,
)
from pytest_distill.engines.inner import inner_path
from pytest_distill.errors import (
    ComparisonError,
    DistillError,
    EvaluationError,
    ModelError,
    ModelWarning,
    UnsoundAnswersError,
)
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evaluation.again import among, asked_again, some_of_eval
from pytest_distill.evaluation.alignment import aligned
from pytest_distill.evaluation.cards import Cards
from pytest_distill.evaluation.evaluation import Evaluation, ReportedEval
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.plain_predictions import plain_prediction
from pytest_distill.evaluation.store.keeping import Keeper
from pytest_distill.evaluation.store.stored import EvaluatedPredictions, StoredFigure
from pytest_distill.evaluation.unread import refuse_unread, watched

_LOOK_SECONDS = 1.0
"""How often a model's files are looked at while it answers."""

Progress = Callable[[str, int], AbstractContextManager[Callable[[int, str], None]]]
"""``with progress(what, total) as advance: ... advance(1, "")`` tells how far an evaluation is, and
what its engine says of that; 0 that it goes on, though no further answer is there."""


NO_MORE = object()
"""What stands for the end of an engine's answers: it may answer anything, None too."""


@contextmanager
def silent(what: str, total: int) -> Iterator[Callable[[int, str], None]]:  # noqa: ARG001 (a Progress)
    """Tell nothing."""
    yield lambda _count, _status: None


@dataclass(eq=False, repr=False)
class Model(ABC):
    """One model of a project.

    Parameters
    ----------
    name : str
        As in ``distill.yaml``.
    role : str
        ``teacher``, ``student`` or ``sft``.
    """

    name: str
    role: Role
    figures: dict[tuple[str, str], Any] = field(default_factory=dict, init=False)
    """What was measured beside its answers: (eval, kind) -> figure; see `efficiency`."""
    trained: Mapping[str, int | str | None] = field(default_factory=dict, init=False)
    """What it was trained on: labels, steps, tokens, notes."""
    declared: Mapping[str, Any] = field(default_factory=dict, init=False)
    """Fields of its `ModelInfo` that ``distill.yaml`` says of it."""
    likenesses: dict[Any, Any] = field(default_factory=dict, init=False)
    """How alike it is to its teacher, by teacher and eval; see `likeness`."""
    _evaluations: dict[str, Evaluation] = field(default_factory=dict, init=False)

    @property
    @abstractmethod
    def info(self) -> ModelInfo:
        """What is known of the model beside its answers."""

    @property
    def known(self) -> ModelInfo:
        """What is known of the model so far: nothing is asked of its engine."""
        return self.info

    @property
    def asked_at(self) -> str | None:
        """As what and where it is asked; None where it runs on this machine, or nowhere."""
        return None

    @property
    def identity(self) -> Mapping[str, Any] | None:
        """What makes the model's answers; None where that is not known. Nothing is loaded."""
        return None

    @property
    def notes(self) -> Sequence[str]:
        """What a reader must know of how its predictions came about in this run, as far as told."""
        return ()

    @property
    def engine(self) -> Any:
        """What runs the model; ModelError where nothing does."""
        raise ModelError(
            f"model '{self.name}' does not run here: only its predictions or scores are known"
        )

    @property
    def evaluations(self) -> Iterable[Evaluation]:
        """The evaluations made so far."""
        return tuple(self._evaluations.values())

    def evaluate(self, on: Eval | ReportedEval) -> Evaluation:
        """Return the model's evaluation on an eval; it is made at the first call only."""
        if on.name not in self._evaluations:
            evaluation = self._evaluate(on)
            if isinstance(evaluation, MeasuredEvaluation):
                for each in (evaluation, *evaluation.budgets.values()):
                    each.score_for_report(on.metrics)
            self._evaluations[on.name] = evaluation
        return self._evaluations[on.name]

    @abstractmethod
    def _evaluate(self, on: Eval | ReportedEval) -> Evaluation: ...

    def close(self) -> None:  # noqa: B027 (most models hold nothing that needs freeing)
        """Free what the model holds. Its evaluations stay."""


@dataclass(eq=False, repr=False)
class RunModel(Model):
    """A model that an engine runs.

    Parameters
    ----------
    name, role : str
        As for every model.
    start : callable
        Builds the engine; called when the model is first needed.
    progress : callable
        Tells how far an evaluation is.
    keeper : Keeper, optional
        Knows what was evaluated before.
    digests : FileDigests, optional
        The digests of the model's files, which must not change while the model is in use; where
        there is none, those that the engine's own `ModelSpec` has.
    reads_ahead : bool
        Whether the engine can begin to take digests in the background.
    cards : Cards
        The GPUs that the project's models share with other workers.
    before_load, after_load : callable
        Called with the model before it is loaded, so that others can be freed, and after it
        answered, so that it can run what else is asked of it.
    """

    start: Callable[[], Engine]
    progress: Progress = silent
    keeper: Keeper | None = None
    digests: FileDigests | None = None
    reads_ahead: bool = False
    cards: Cards = field(default_factory=Cards)
    before_load: Callable[[RunModel], None] = lambda _model: None
    after_load: Callable[[RunModel], None] = lambda _model: None
    pinned: bool = field(default=False, init=False)
    """Whether a test holds the loaded model, so that it stays in memory."""
    _started: Engine | None = field(default=None, init=False)
    _info: ModelInfo | None = field(default=None, init=False)
    _notes: list[str] = field(default_factory=list, init=False)
    _spent: str = field(default="", init=False)
    _placed: str | None = field(default=None, init=False)

    @property
    def engine(self) -> Any:
        """The engine, for a test that uses the loaded model itself."""
        self.cards.take(self, self.name)
        self.before_load(self)
        self.pinned = True
        return self.runner

    @property
    def runner(self) -> Engine:
        """The engine, whether its model is in memory or not."""
        if self._started is None:
            self._started = self.start()
        return self._started

    def asking(self) -> AbstractContextManager[None]:
        """Let whatever the engine raises in the block be the error of the gate that asks."""
        return unless_ours(self.runner, f"the engine of model '{self.name}'", ModelError)

    @property
    def info(self) -> ModelInfo:
        """What is known of the model, under the name and role that it has here."""
        if self._info is None:
            identity = self.identity
            if self.keeper is not None and identity is not None:
                known = self.keeper.info(identity, self._described)
            else:
                known = self._described()
            with self.asking():
                spec = getattr(self.runner, "spec", None)
                inner, here = inner_path(spec), getattr(spec, "path", None)
            path = inner or self.elsewhere or (str(here) if here else known.path)
            known = replace(known, name=self.name, role=self.role, path=path)
            self._info = with_declared(known, self.declared)
        return replace(self._info, device=self._placed or self._info.device)

    @property
    def asked_at(self) -> str | None:
        """As what and where it is asked, as far as its engine was looked at: none is started."""
        told: str | None = vars(self).get("elsewhere")
        return told

    @cached_property
    def elsewhere(self) -> str | None:
        """As what and where it is asked; None where it runs on this machine."""
        with self.asking():
            return str(self.runner.asked_at) if isinstance(self.runner, Elsewhere) else None

    @property
    def placement(self) -> Mapping[str, Any]:
        """What its engine says of the devices, now that the model is loaded; else nothing."""
        with self.asking():
            return dict(getattr(self.runner, "placement", ()))

    def _described(self) -> ModelInfo:
        """Return what the engine knows of its model; this may load it."""
        with self.asking():
            info: object = self.runner.info
            if not isinstance(info, ModelInfo):
                raise ModelError(f"{self._who('info')}: {plain.shown(info)} is no ModelInfo")
        return info

    def _who(self, field: str) -> str:
        return _of_engine(self.name, self.runner, field)

    @property
    def known(self) -> ModelInfo:
        """What the engine said of the model, if it was asked."""
        return self.info if self._info is not None else ModelInfo(self.name, self.role)

    @property
    def notes(self) -> Sequence[str]:
        """What the engine said of its own: what could not run the fast way, what did not fit."""
        return [*self._notes, self._spent] if self._spent else self._notes

    def _keep_notes(self) -> None:
        """Keep what the engine says now: the report does not ask it, and notes outlive it.

        That is also where its model lies, which may not be known before it is loaded.
        """
        with self.asking():
            given = getattr(self.runner, "notes", ())
            said = [str(note) for note in ([given] if isinstance(given, str) else given)]
            if isinstance(self.runner, Metered):
                self._spent = str(self.runner.spent)
        self._notes = list(dict.fromkeys([*self._notes, *said]))
        self._placed = self.placement.get("device", self._placed)

    @cached_property  # asked for again when the engine may be closed
    def identity(self) -> Mapping[str, Any] | None:
        """What makes the model's answers; None where its engine cannot say. Nothing is loaded.

        Raises
        ------
        ModelError
            Where it holds what is not JSON-able, so that it could not be found again.
        """
        with self.asking():
            return identity_of(self.name, self.runner)

    def read_ahead(self) -> None:
        """Begin to read the model's files for their digests, while other work goes on."""
        with suppress(DistillError, OSError):  # told when the model is needed
            self.runner.read_ahead()  # type: ignore[attr-defined]  # where `reads_ahead`

    def refuse_changed(self) -> None:
        """Raise ModelError where the files that were hashed are no longer what they were."""
        spec = getattr(self._started, "spec", None)
        digests = self.digests or getattr(spec, "hash_file", None)
        if isinstance(digests, FileDigests):
            digests.refuse_changed()

    def _changed(self) -> bool:
        try:
            self.refuse_changed()
        except ModelError:
            return True
        return False

    def figure(self, about: Mapping[str, Any] | None, measure: Callable[[], Any]) -> StoredFigure:
        """Return a JSON-able figure, from the store where `about` says what it depends on."""

        def asked() -> Any:
            with self.asking():
                value = measure()
            self._keep_notes()
            try:
                return plain.json_able(value)
            except ValueError as error:
                raise ModelError(f"{self._who('what was measured')}: {error}") from None

        with self.cards.in_use():
            if self.keeper is None or about is None:
                figure = StoredFigure(asked(), time.time())
            else:
                figure = self.keeper.figure(about, asked)
        _ = self.info  # what the report tells of the model is known from now on
        return figure

    def evaluate(self, on: Eval | ReportedEval) -> Evaluation:
        """Return the evaluation on an eval; a model that was loaded for it runs the others too."""
        known = on.name in self._evaluations
        with self.cards.in_use():
            evaluation = super().evaluate(on)
            if (
                not known
                and self.elsewhere is None  # where there is nothing to be loaded
                and isinstance(evaluation, MeasuredEvaluation)
                and evaluation.from_store < evaluation.asked
            ):
                self.after_load(self)
        return evaluation

    def _evaluate(self, on: Eval | ReportedEval) -> Evaluation:
        if isinstance(on, ReportedEval):
            raise ComparisonError(
                f"eval '{on.name}' has no gold set, so model '{self.name}' cannot be evaluated on "
                "it: give it data and a task"
            )
        who = f"{self.name} on {on.name}"
        if self.reads_ahead:
            self.read_ahead()
        if self.elsewhere is not None:
            _ = self.info  # of a run that fails the store lists what was paid for, too
        made = self._measured(on, who, self.identity)
        if not (twice := self._noise_check):
            return made
        some = some_of_eval(on, twice)
        identity = None if self.identity is None else asked_again(self.identity)
        if self.keeper is not None and identity is not None:
            self.keeper.info(identity, lambda: self.info)
        second = self._measured(some, f"{who}, asked again", identity)
        return replace(made, again=(among(made, some), second))

    @property
    def _noise_check(self) -> int:
        """How many examples of an eval are asked twice."""
        with self.asking():
            if not isinstance(self.runner, Unsteady) or self.runner.noise_check is None:
                return 0
            try:
                return plain.whole(self.runner.noise_check)
            except ValueError as error:
                raise ModelError(f"{self._who('noise_check')}: {error}") from None

    def _measured(
        self, on: Eval, who: str, identity: Mapping[str, Any] | None
    ) -> MeasuredEvaluation:
        """Return the evaluation of an eval's answers, which are stored under an identity."""
        requests = on.all_requests()
        if self.keeper is not None and identity is not None:
            try:
                found = self.keeper.evaluate(
                    who,
                    identity,
                    requests,
                    lambda missing: self._predict(who, missing),
                    self.dated_prompts(requests),
                    lambda: self.cards.take(self, who),
                )
            except BaseException as error:
                # What it made may be of other bytes, or depend on what else it was asked.
                if isinstance(error, UnsoundAnswersError) or self._changed():
                    for each in (identity, self.identity or identity):
                        self.keeper.take_back(each)
                raise
        else:
            self.dated_prompts(requests)  # for its note
            found = EvaluatedPredictions(list(self._predict(who, requests)), from_store=0)
        source = f"model '{self.name}' on '{on.name}'"
        predictions = aligned(found.predictions, on, source)
        self._keep_notes()
        return MeasuredEvaluation.of(
            self.info,
            on,
            predictions,
            source=source,
            from_store=found.from_store,
            elsewhere=self.elsewhere is not None,
        )

    def dated_prompts(self, requests: Sequence[Request]) -> Mapping[str, str]:
        """Return by id the whole prompts of requests that the model is asked with a date in them.

        Raises
        ------
        ModelError
            Where an engine of the user's gives anything else than texts by id.
        """
        with self.asking():
            if not isinstance(self.runner, Dated):
                return {}
            given: object = self.runner.dated_prompts(requests)
            if not isinstance(given, Mapping) or not all(
                isinstance(text, str) for pair in given.items() for text in pair
            ):
                raise ModelError(f"{self._who('dated_prompts')}: must map ids to texts")
        if given:
            self._keep_notes()  # they say which date it is
        return given

    def _predict(self, who: str, requests: Sequence[Request]) -> Iterator[Prediction]:
        self.cards.take(self, who)  # where no store has asked for them already
        self.before_load(self)
        where = self._who("a prediction")
        looked = time.monotonic()
        if not is_ours(self.runner):
            requests = watched(requests)
        with self.progress(who, len(requests)) as advance:
            with self.asking():
                predictions = iter(self.runner.predict(requests))
                metered = self.runner if isinstance(self.runner, Metered) else None
                patient: object = self.runner
                if isinstance(patient, Patient):
                    patient.while_waiting = lambda: advance(0, str(patient.status))
            answered = False
            while True:
                if time.monotonic() > looked + _LOOK_SECONDS:
                    self.refuse_changed()
                    looked = time.monotonic()
                with self.asking():
                    prediction: object = next(predictions, NO_MORE)
                    if prediction is NO_MORE:
                        break
                    if not isinstance(prediction, Prediction):
                        raise EvaluationError(
                            f"the engine of model '{self.name}' gave {prediction!r}, not a "
                            "Prediction"
                        )
                    answer = plain_prediction(prediction, where)
                    status = "" if metered is None else str(metered.status)
                if not answered and not is_ours(self.runner):
                    refuse_unread(requests, f"the engine of model '{self.name}'")
                answered = True
                yield answer
                advance(1, status)
        self.refuse_changed()

    def close(self) -> None:
        """Free the model's memory. Where its engine fails at that, what it answered stands."""
        self.pinned = False
        if self._started is None:
            return
        try:
            with user_code(f"closing the engine of model '{self.name}'", ModelError):
                try:
                    self._keep_notes()
                finally:
                    self._started.close()
        except ModelError as error:
            self._notes.append(str(error))
            with suppress(ModelWarning):  # `-W error` must not fail the gate of another model
                warn_of(error, ModelWarning)
        finally:
            self._started = None


def dated(models: Sequence[Model], requests: Sequence[Request]) -> dict[str, Any]:
    """Return the prompts of requests that do not say all of it, for what a figure depends on."""
    found = [m.dated_prompts(requests) if isinstance(m, RunModel) else {} for m in models]
    return {"dated": [dict(prompts) for prompts in found]} if any(found) else {}


def identity_of(name: str, engine: Engine) -> dict[str, Any] | None:
    """Return what makes a model's answers; None where its engine cannot say.

    Raises
    ------
    ModelError
        Where it is not JSON-able, so that the answers could not be found again.
    """
    if not isinstance(engine, Identified):
        return None
    identity = engine.identity
    where = _of_engine(name, engine, "identity")
    try:
        said = plain.json_able(identity)
    except ValueError as error:
        raise ModelError(f"{where}: {error}") from None
    if not isinstance(said, dict) or not said:
        raise ModelError(
            f"{where}: must be a mapping of what makes the answers, not {plain.shown(identity)}"
        )
    return said


def _of_engine(name: str, engine: Engine, field: str) -> str:
    """Return what a message about a field of an engine begins with."""
    return f"model '{name}': {field} of its engine {type(engine).__qualname__}"


@contextmanager
def together(models: Sequence[RunModel]) -> Iterator[list[Any]]:
    """Give the engines of models that stay in memory beside each other, until the block ends."""
    before = [model.pinned for model in models]
    try:
        for model in models:
            model.pinned = True
        yield [model.engine for model in models]
        for model in models:
            model.refuse_changed()
    finally:
        for model, pinned in zip(models, before, strict=True):
            model.pinned = pinned


def with_declared(known: ModelInfo, declared: Mapping[str, Any]) -> ModelInfo:
    """Return what is known of a model, and what is declared of it where nothing is known."""
    stated = {key: value for key, value in declared.items() if getattr(known, key) is None}
    return replace(known, declared=tuple(stated), **stated)
