"""A model of a project: it gives its evaluation of an eval, and gives it once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from pytest_distill.engines import ModelInfo, Role
from pytest_distill.errors import ModelError
from pytest_distill.evals.eval import Eval
from pytest_distill.evaluation.evaluation import Evaluation, ReportedEval
from pytest_distill.evaluation.measured import MeasuredEvaluation

Progress = Callable[[str, int], AbstractContextManager[Callable[[int, str], None]]]
"""``with progress(what, total) as advance: ... advance(1, "")`` tells how far an evaluation is, and
what its engine says of that; 0 that it goes on, though no further answer is there."""


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


def with_declared(known: ModelInfo, declared: Mapping[str, Any]) -> ModelInfo:
    """Return what is known of a model, and what is declared of it where nothing is known."""
    stated = {key: value for key, value in declared.items() if getattr(known, key) is None}
    return replace(known, declared=tuple(stated), **stated)
