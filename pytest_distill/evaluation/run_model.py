"""A model that runs: it is evaluated once, and its files must not change meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any

from pytest_distill._util.user_code import is_ours
from pytest_distill.engines import Metered, Patient, plain
from pytest_distill.engines.unread import refuse_unread, watched
from pytest_distill.errors import (
    ComparisonError,
    DistillError,
    EvaluationError,
    ModelError,
    UnsoundAnswersError,
)
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evaluation.alignment import aligned
from pytest_distill.evaluation.cards import Cards
from pytest_distill.evaluation.described_model import DescribedModel
from pytest_distill.evaluation.evaluation import Evaluation, ReportedEval
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.model import Progress, silent
from pytest_distill.evaluation.plain_predictions import plain_prediction
from pytest_distill.evaluation.store.stored import EvaluatedPredictions, StoredFigure

_LOOK_SECONDS = 1.0
"""How often a model's files are looked at while it answers."""

NO_MORE = object()
"""What stands for the end of an engine's answers: it may answer anything, None too."""


@dataclass(eq=False, repr=False)
class RunModel(DescribedModel):
    """A model that an engine runs.

    Parameters
    ----------
    name, role, start, keeper, digests
        As for `DescribedModel`.
    progress : callable
        Tells how far an evaluation is.
    reads_ahead : bool
        Whether the engine can begin to take digests in the background.
    cards : Cards
        The GPUs that the project's models share with other workers.
    before_load, after_load : callable
        Called with the model before it is loaded, so that others can be freed, and after it
        answered, so that it can run what else is asked of it.
    """

    progress: Progress = silent
    _: KW_ONLY
    reads_ahead: bool = False
    cards: Cards = field(default_factory=Cards)
    before_load: Callable[[RunModel], None] = lambda _model: None
    after_load: Callable[[RunModel], None] = lambda _model: None
    pinned: bool = field(default=False, init=False)
    """Whether a test holds the loaded model, so that it stays in memory."""

    @property
    def engine(self) -> Any:
        """The engine, for a test that uses the loaded model itself."""
        self.cards.take(self, self.name)
        self.before_load(self)
        self.pinned = True
        return self.runner

    def close(self) -> None:
        """Free the model's memory; no test holds it any more."""
        self.pinned = False
        super().close()

    def read_ahead(self) -> None:
        """Begin to read the model's files for their digests, while other work goes on."""
        with suppress(DistillError, OSError):  # told when the model is needed
            self.runner.read_ahead()  # type: ignore[attr-defined]  # where `reads_ahead`

    def figure(self, about: Mapping[str, Any] | None, measure: Callable[[], Any]) -> StoredFigure:
        """Return a JSON-able figure, from the store where `about` says what it depends on."""

        def asked() -> Any:
            with self.asking():
                value = measure()
            self._keep_notes()
            try:
                return plain.json_able(value)
            except ValueError as error:
                raise ModelError(f"{self.told_by('what was measured')}: {error}") from None

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
            elsewhere=self.elsewhere is not None and not self.is_known,
        )

    def _predict(self, who: str, requests: Sequence[Request]) -> Iterator[Prediction]:
        self.cards.take(self, who)  # where no store has asked for them already
        self.before_load(self)
        where = self.told_by("a prediction")
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


def some_of_eval(on: Eval, count: int) -> Eval:
    """Return an eval with so many of its examples, the same ones at every call, without budgets."""
    task: Any = on.task
    if task.at_tokens:
        task = replace(task, at_tokens=())
    return replace(on, gold=on.gold.sample(count), task=task, must_keep=())


def among(evaluation: MeasuredEvaluation, some: Eval) -> MeasuredEvaluation:
    """Return what an evaluation has of some examples of its eval."""
    chosen = {example.id for example in some.gold}
    pairs = zip(evaluation.eval.gold, evaluation.by_example, strict=True)
    answers = [each for example, said in pairs if example.id in chosen for each in said]
    return MeasuredEvaluation.of(evaluation.info, some, answers, source=evaluation.source)


def asked_again(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Return under which identity second answers are kept: they are not those of the first time."""
    return {**identity, "asked": "again"}
