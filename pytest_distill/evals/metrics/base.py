"""What a metric is, and what it reads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from numbers import Real
from typing import Any, ClassVar, Generic, Literal

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypeVar

from pytest_distill._util.packages import Package
from pytest_distill._util.user_code import user_code
from pytest_distill.errors import EvaluationError
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.requests import Prediction, ToolCall

Value = str | float | tuple[str, ...] | tuple[float, ...]
"""A text, a label or a choice; a number; a label a token; or a vector."""

ValueT = TypeVar("ValueT", bound=Value, default=str)


@dataclass(frozen=True, slots=True)
class Answer(Generic[ValueT]):
    """A prediction beside what the gold set expects, in the same words: what a metric reads.

    `Answer` alone is one in words: of a label, a choice or a text.

    Parameters
    ----------
    example : Example
        The gold example.
    prediction : Prediction
        What the model gave.
    predicted : str, float or tuple
        The answer in the gold set's words: label, text of the choice, or extracted text; a number,
        the labels of the tokens or a vector where the task asks for that.
    targets : tuple
        The accepted answers, of the type of `predicted`; the text itself for perplexity.
    choices : tuple of str
        The choices of a multiple-choice example, else empty.
    target_index : int, optional
        Index of the right choice.
    correct : bool, optional
        Whether the label or choice is right; None where the task has no such notion.
    tied : bool
        Whether others are as probable, so that what the prediction states, or else an arbitrary
        order, picked it.
    calls, expected_calls : tuple of ToolCall, optional
        The calls of tools that the model made, and those that the gold set expects; None where no
        tools were given to it, or a text is expected.
    tools : tuple of mapping
        The definitions of the tools that were given to the model.
    schema : mapping, optional
        The JSON Schema that the text is to fit.
    samples : tuple of Answer
        All answers to the example where it is asked several times, this one the first of them; a
        metric is asked about each of them alone. Else empty.
    values : mapping
        What another program made of the answer, by its own names; of lm-evaluation-harness's tasks.
    against_sample : bool
        Whether what another sample said stands in the gold set's place, to see who votes alike.
    """

    example: Example
    prediction: Prediction
    predicted: ValueT
    targets: tuple[ValueT, ...]
    choices: tuple[str, ...] = ()
    target_index: int | None = None
    correct: bool | None = None
    tied: bool = False
    calls: tuple[ToolCall, ...] | None = None
    expected_calls: tuple[ToolCall, ...] | None = None
    tools: tuple[Mapping[str, Any], ...] = ()
    schema: Mapping[str, Any] | None = None
    samples: tuple[Answer[ValueT], ...] = ()
    against_sample: bool = False
    values: Mapping[str, Any] = field(default_factory=dict)


class Metric(ABC):
    """What is measured on one eval.

    Attributes
    ----------
    name : str
        As in ``distill.yaml`` and in the report.
    higher_is_better : bool
        The direction.
    range : tuple of float
        Least and greatest possible value, both inclusive; may be infinite.
    same_columns : bool
        Whether the rows of `statistics` have the same columns in every call.
    per_unit : {"mean", "exp"}, optional
        Where the columns of `statistics` are a total and the number of units that it is over:
        whether the metric is their quotient or exp of it.
    kept : bool
        Whether the rows of `statistics` mean the same in another run: then a baseline has them.
    by_token : bool
        Whether these units are the model's own tokens, which other models may part otherwise.
    by_label : bool
        Whether every label counts alike, so that rare ones make the number rough.
    package : Package, optional
        What has to be installed beside this package.
    """

    name: str
    higher_is_better: bool = True
    range: tuple[float, float] = (0.0, 1.0)
    same_columns: ClassVar[bool] = False
    kept: ClassVar[bool] = True
    per_unit: Literal["mean", "exp"] | None = None
    by_token: bool = False
    by_label: ClassVar[bool] = False
    package: Package | None = None

    @abstractmethod
    def scores(self, answers: Sequence[Answer[Any]]) -> NDArray[np.float64]:
        """Return each example's own score, shape (n,), in `range`: for flips and lost examples."""

    @abstractmethod
    def statistics(self, answers: Sequence[Answer[Any]]) -> NDArray[Any]:
        """Return one row of sufficient statistics an example, shape (n, k).

        The rows of one call share their columns; those of two calls need not (the columns of
        macro-F1 are the labels that occur). To mix two models' rows, ask for both in one call.
        """

    @abstractmethod
    def aggregate(self, totals: NDArray[Any]) -> NDArray[np.float64]:
        """Return the metric for summed statistics, shape (..., k) -> (...); NaN for no example."""

    def require(self) -> None:
        """Raise ConfigError where what the metric needs is not installed."""
        if self.package is not None:
            self.package.require(f"metric '{self.name}'")

    def doubts(
        self,
        model: str,  # noqa: ARG002 (for those that have some)
        answers: Sequence[Answer[Any]],  # noqa: ARG002
    ) -> Iterator[str]:
        """Yield what keeps verdicts on a model from being firm, as far as its answers were scored.

        Nothing is computed.
        """
        yield from ()

    @property
    def knows_extremes(self) -> bool:
        """Whether the metric says what one more example can be."""
        return type(self).extremes is not Metric.extremes

    def extremes(
        self,
        rows: NDArray[Any],  # noqa: ARG002 (for those who know)
        longest: int | None,  # noqa: ARG002
    ) -> tuple[NDArray[Any], NDArray[Any]] | None:
        """Return what one more example can be at worst and at best; None where that is not known.

        A confident verdict counts such an example beside those that were seen: a gold set that
        missed a rare failure says nothing of it.

        Parameters
        ----------
        rows : ndarray, shape (n, k)
            Statistics of the examples that were seen, of every model.
        longest : int, optional
            How many tokens an answer may have.

        Returns
        -------
        tuple of ndarray, each of shape (examples, k)
            Statistics of the worst answers to some examples, and of the best to the same ones.
            Without a row nothing can be told with a confidence.
        """
        return None

    def exact(self, totals: NDArray[Any]) -> Fraction | None:  # noqa: ARG002 (what others need)
        """Return the metric for one row of summed statistics where it is a fraction of counts.

        None where it is not, or not known to be: then what `aggregate` gives is rounded.
        """
        return None


class CorpusMetric(Metric):
    """A metric of sums over a corpus: an example's own score is that of a corpus of it alone."""

    same_columns: ClassVar[bool] = True

    def scores(self, answers: Sequence[Answer[Any]]) -> NDArray[np.float64]:
        """Return each example's own score, shape (n,)."""
        return self.aggregate(self.statistics(answers))


@dataclass(frozen=True)
class MeanMetric(Metric):
    """A metric that is the mean of its per-example scores.

    Parameters
    ----------
    name : str
        As in ``distill.yaml`` and in the report.
    score : callable
        Answer -> score of that example, a finite number in `range`.
    higher_is_better : bool
        The direction.
    range : tuple of float
        Least and greatest possible score.
    binary : bool
        Whether a score says right or wrong, as 1 or 0.
    package : Package, optional
        What has to be installed beside this package.
    """

    name: str
    score: Callable[[Answer[Any]], float]
    higher_is_better: bool = True
    range: tuple[float, float] = (0.0, 1.0)
    binary: bool = field(default=False, kw_only=True)
    package: Package | None = field(default=None, kw_only=True)
    same_columns: ClassVar[bool] = True

    def scores(self, answers: Sequence[Answer[Any]]) -> NDArray[np.float64]:
        """Return each example's score, shape (n,).

        Raises
        ------
        EvaluationError
            Naming the example, where `score` raises, or gives what is no number.
        """
        self.require()
        given: list[object] = []

        def asked() -> str:
            return f"metric '{self.name}' of example '{answers[len(given)].example.id}'"

        with user_code(asked, EvaluationError):
            given.extend(map(self.score, answers))
            if len(given) < len(answers):  # a StopIteration of the user's ends `map` silently
                raise RuntimeError("StopIteration")
        pairs = zip(answers, given, strict=True)
        scores = (as_number(value, self.name, answer.example) for answer, value in pairs)
        return np.fromiter(scores, np.float64, count=len(answers))

    def statistics(self, answers: Sequence[Answer[Any]]) -> NDArray[Any]:
        """Return score and 1 a row, shape (n, 2)."""
        scores = self.scores(answers)
        return np.column_stack([scores, np.ones_like(scores)])

    def aggregate(self, totals: NDArray[Any]) -> NDArray[np.float64]:
        """Return sum / count."""
        return ratio(totals[..., 0], totals[..., 1])


@dataclass(frozen=True)
class ScoredElsewhere(MeanMetric):
    """A metric that ``distill.yaml`` declares: ready scores are recorded or reported, not computed.

    Ready scores of any other metric would take the place of what it computes.
    """

    score: Callable[[Answer[Any]], float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "score", self._lacking)

    def _lacking(self, answer: Answer[Any]) -> float:
        raise EvaluationError(
            f"metric '{self.name}' is declared in distill.yaml, so its scores must be recorded; "
            f"none is there for example '{answer.example.id}'"
        )


def ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> NDArray[np.float64]:
    """Return the quotient; NaN where nothing was counted, which no caller takes for a score."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.true_divide(numerator, denominator), dtype=np.float64)


def as_number(value: object, metric: str, example: Example) -> float:
    """Return what a metric gave for an example; EvaluationError where that is no real number.

    Text such as "0.5" is none, though numpy would read it as one. A number of less than double
    precision is the decimal that it prints as: 0.73, not 0.7300000190734863.
    """
    if isinstance(value, np.float32 | np.float16):
        return float(str(value))
    if type(value) is float or is_number(value):
        return float(value)  # type: ignore[arg-type]
    raise example.answer_error(
        f"metric '{metric}' gave {value!r:.60} ({type(value).__name__}), not a number"
    )


def is_number(value: object) -> bool:
    """Return whether a value is a real number, or a truth value that stands for 1 or 0."""
    return isinstance(value, Real | np.bool_)
