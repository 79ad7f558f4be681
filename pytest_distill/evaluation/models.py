"""The models of a project: each gives its evaluation of an eval, and gives it once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

from pytest_distill.engines import Engine, ModelInfo, Role
from pytest_distill.errors import ComparisonError, EvaluationError, ModelError
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.requests import Prediction
from pytest_distill.evaluation.evaluation import Evaluation, Measured, ReportedEval

Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""``with progress(what, total) as advance: ... advance(1)`` tells how far an evaluation is."""


@contextmanager
def silent(what: str, total: int) -> Iterator[Callable[[int], None]]:  # noqa: ARG001 (a Progress)
    """Tell nothing."""
    yield lambda _count: None


class Model(ABC):
    """One model of a project.

    Parameters
    ----------
    name : str
        As in ``distill.yaml``.
    role : str
        ``teacher``, ``student`` or ``sft``.
    """

    def __init__(self, name: str, role: Role) -> None:
        self.name = name
        self.role = role
        self.trained: Mapping[str, int | str | None] = {}
        """What it was trained on: labels, steps, tokens, notes."""
        self._evaluations: dict[str, Evaluation] = {}

    @property
    @abstractmethod
    def info(self) -> ModelInfo:
        """What is known of the model beside its answers."""

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
            self._evaluations[on.name] = self._evaluate(on)
        return self._evaluations[on.name]

    @abstractmethod
    def _evaluate(self, on: Eval | ReportedEval) -> Evaluation: ...

    def close(self) -> None:  # noqa: B027 (most models hold nothing that needs freeing)
        """Free what the model holds. Its evaluations stay."""


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
    """

    def __init__(
        self, name: str, role: Role, start: Callable[[], Engine], progress: Progress = silent
    ) -> None:
        super().__init__(name, role)
        self._start = start
        self._engine: Engine | None = None
        self._progress = progress

    @property
    def engine(self) -> Any:
        """The engine, started at the first use."""
        if self._engine is None:
            self._engine = self._start()
        return self._engine

    @property
    def info(self) -> ModelInfo:
        """What the engine knows of the model, under the name and role that it has here."""
        known: ModelInfo = self.engine.info
        return replace(known, name=self.name, role=self.role)

    def _evaluate(self, on: Eval | ReportedEval) -> Evaluation:
        if isinstance(on, ReportedEval):
            raise ComparisonError(
                f"eval '{on.name}' has no gold set, so model '{self.name}' cannot be evaluated on "
                "it: give it data and a task"
            )
        requests = on.requests()
        predictions = []
        with self._progress(f"{self.name} on {on.name}", len(requests)) as advance:
            for prediction in self.engine.predict(requests):
                predictions.append(prediction)
                advance(1)
        source = f"model '{self.name}' on '{on.name}'"
        return Measured(self.info, on, aligned(predictions, on, source), source=source)

    def close(self) -> None:
        """Free the model's memory."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None


def aligned(predictions: Iterable[Prediction], on: Eval, source: str) -> tuple[Prediction, ...]:
    """Return one prediction an example, in the order of the gold set.

    Raises
    ------
    EvaluationError
        Where one is missing, surplus, or there twice.
    """
    by_id: dict[str, Prediction] = {}
    for prediction in predictions:
        if prediction.id in by_id:
            raise EvaluationError(f"{source}: two predictions for example '{prediction.id}'")
        by_id[prediction.id] = prediction
    return tuple(by_id[i] for i in matched(by_id, on, source))


def matched(ids: Iterable[str], on: Eval, source: str) -> list[str]:
    """Return the ids of the gold set where `ids` are the same ones; EvaluationError else.

    Ids that a sample of the gold set left out may be there too.
    """
    expected = [example.id for example in on.gold]
    given = set(ids) - on.gold.left_out
    for problem, odd in (
        ("no prediction for example", [i for i in expected if i not in given]),
        ("a prediction for an example that is not in the gold set:", given.difference(expected)),
    ):
        if odd:
            more = f" and {len(odd) - 1} more" if len(odd) > 1 else ""
            raise EvaluationError(
                f"{source}: {problem} '{min(odd)}'{more} ({on.gold.source} has {len(on.gold)} "
                "examples)"
            )
    return expected
