"""What a task is."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar, Literal

from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.metrics import Answer, Metric
from pytest_distill.evals.requests import GoldText, Prediction, Request, says


@dataclass(frozen=True)
class Task(ABC):
    """example -> request, and prediction -> what a metric needs.

    A frozen dataclass: its fields are the keys of an eval in ``distill.yaml`` that has the task,
    and its constructor refuses what they may not say, by a `ConfigError` that begins with the key.

    Parameters
    ----------
    input : str or tuple of str
        The field, or the fields, with what a model is asked.
    """

    name: ClassVar[str]
    metrics: ClassVar[tuple[Metric, ...]]
    """The built-in metrics that suit the task."""
    confidence: ClassVar[str | None] = None
    """How sure a model is of an answer, unless a test says otherwise; None: nothing to route by."""
    guess: ClassVar[Literal["label", "choice"] | None] = None
    """What a model that knows nothing could guess: a label that examples share, or a choice."""
    only_rates: ClassVar[bool] = False
    """Whether a model rates the gold text and answers nothing."""
    tells_answers: ClassVar[bool] = True
    """Whether the answer that is scored is known, so that those of two models can be compared."""
    by_token: ClassVar[bool] = False
    """Whether two models are compared token by token, on `gold_text`."""

    answered_by: ClassVar[tuple[str, ...]] = (
        "prediction",
        "probabilities",
        "loglikelihoods",
        "text",
        "tool_calls",
    )
    """The fields of a recorded row of which one answers it."""
    needs: ClassVar[str] = "an answer"
    """The same for messages."""

    input: str | tuple[str, str] = "input"

    @abstractmethod
    def request(self, example: Example) -> Request:
        """Return what a model is asked; GoldSetError where a field is missing or wrong."""

    def requests(self, gold: GoldSet) -> list[Request]:
        """Return what a model is asked about all examples, in their order."""
        return [self.request(example) for example in gold]

    @abstractmethod
    def answer(self, example: Example, prediction: Prediction) -> Answer[Any]:
        """Return the prediction in the gold set's words; EvaluationError where it cannot be."""

    def answers(self, gold: GoldSet, predictions: Sequence[Prediction]) -> tuple[Answer[Any], ...]:
        """Return all of a model's predictions in the gold set's words, in its order.

        Raises
        ------
        EvaluationError
            Also for what only all of them together tell.
        """
        return tuple(map(self.answer, gold, predictions))

    def sampled_answers(
        self, gold: GoldSet, samples: Sequence[Sequence[Prediction]]
    ) -> tuple[Answer[Any], ...]:
        """Return the first sample of each example, which has all of them, in the gold set's words.

        Parameters
        ----------
        gold : GoldSet
            The examples.
        samples : sequence of sequence of Prediction
            The samples of each of them.
        """
        by_number = [self.answers(gold, numbered) for numbered in zip(*samples, strict=True)]
        return tuple(
            dataclasses.replace(answers[0], samples=answers)
            for answers in zip(*by_number, strict=True)
        )

    def expected(self, example: Example) -> Any:  # noqa: ARG002 (where something is)
        """Return what counts as right, JSON-able; None where nothing does."""
        return None

    def distribution(
        self,
        example: Example,  # noqa: ARG002 (for those that have one)
        prediction: Prediction,  # noqa: ARG002
    ) -> Mapping[str, float] | None:
        """Return label or choice -> probability; None where only an answer is known."""
        return None

    def gold_text(self, example: Example) -> GoldText:
        """Return the text on whose tokens two models can be compared, where `by_token`."""
        raise NotImplementedError

    def chance(self, example: Example) -> Fraction | None:  # noqa: ARG002
        """Return how likely a guess among the example's choices is right; None without choices."""
        return None

    def label_counts(self, examples: Iterable[Example]) -> Counter[str]:  # noqa: ARG002
        """Return how many examples have each label that examples share; empty without such."""
        return Counter()

    @property
    def suited(self) -> Sequence[Metric]:
        """The metrics that suit the task as the eval sets it."""
        return self.metrics

    @property
    def usual(self) -> Sequence[Metric]:
        """The metrics of an eval that names none, the one that it goes by first."""
        return (self.headline,)

    @property
    def headline(self) -> Metric:
        """The metric that an eval goes by where it names none."""
        return self.suited[0]

    def misfit(self, metric: Metric) -> str | None:  # noqa: ARG002 (for those with keys for some)
        """Return why a metric of the task cannot be computed as the eval is set; else None."""
        return None

    @property
    def repeats(self) -> int:
        """How many samples of an answer each example is asked for."""
        return 1

    def sample(self, request: Request, number: int, id: str) -> Request:
        """Return the request for a further sample, under an id of its own; number 0 is `request`.

        Only a task with `repeats` is asked for one.
        """
        raise NotImplementedError

    @property
    def at_tokens(self) -> tuple[int, ...]:
        """The budgets of tokens within which every example is answered too."""
        return ()

    def within(self, tokens: int) -> Task:
        """Return the task with answers of at most so many tokens; one of its `at_tokens`."""
        raise NotImplementedError

    @property
    def longest(self) -> int | None:
        """How many tokens an answer may have; None where none are written."""
        return None

    @property
    def inputs(self) -> tuple[str, ...]:
        """The fields with what a model is asked."""
        return (self.input,) if isinstance(self.input, str) else self.input

    @property
    def reads(self) -> tuple[str, ...]:
        """The fields that decide what is asked and what counts as right."""
        return self.inputs

    def notes(self, gold: GoldSet) -> Iterator[str]:  # noqa: ARG002
        """Yield what a reader of any verdict must know of how the gold set is asked."""
        yield from ()

    def settings(self) -> dict[str, Any]:
        """Return everything beside the examples that decides what is asked, as JSON-able values."""
        said = ((f, getattr(self, f.name)) for f in dataclasses.fields(self))
        return {f.name: _plain(value) for f, value in said if says(value, f)}


def _plain(value: Any) -> Any:
    if isinstance(value, Example):
        return dict(value.fields)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
