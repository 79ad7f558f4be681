"""A metric of the user's: checked once, and its errors told as its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pytest_distill._util.user_code import is_ours, user_code
from pytest_distill.errors import ConfigError, EvaluationError, name_problem
from pytest_distill.evals.metrics.base import Answer, MeanMetric, Metric


@dataclass(frozen=True, eq=False)
class OwnMetric(Metric):
    """A metric of a class of the user's: its values as they were when it was checked.

    Parameters
    ----------
    own : object
        What the user gave. Only what it computes is asked of it, and what it raises is an
        `EvaluationError`.
    name, higher_is_better, range
        As for every metric.
    """

    own: Any
    name: str
    higher_is_better: bool
    range: tuple[float, float]

    def scores(self, answers: Sequence[Answer[Any]]) -> NDArray[np.float64]:
        """Return each example's own score, shape (n,)."""
        with user_code(f"metric '{self.name}'", EvaluationError):
            return self.own.scores(answers)  # type: ignore[no-any-return]  # the caller looks

    def statistics(self, answers: Sequence[Answer[Any]]) -> NDArray[Any]:
        """Return one row of sufficient statistics an example, shape (n, k)."""
        with user_code(f"metric '{self.name}'", EvaluationError):
            rows = _numbers(self.own.statistics(answers), self.name, "statistics")
            if rows.ndim != 2 or len(rows) != len(answers):
                raise EvaluationError(
                    f"metric '{self.name}': statistics gives shape {rows.shape}, "
                    f"not ({len(answers)}, columns)"
                )
            return rows

    def aggregate(self, totals: NDArray[Any]) -> NDArray[np.float64]:
        """Return the metric for summed statistics, shape (..., k) -> (...)."""
        with user_code(f"metric '{self.name}'", EvaluationError):
            found = _numbers(self.own.aggregate(totals), self.name, "aggregate")
            if found.shape != totals.shape[:-1]:
                raise EvaluationError(
                    f"metric '{self.name}': aggregate gives shape {found.shape} for totals of "
                    f"shape {totals.shape}"
                )
            return found.astype(np.float64)

    @property
    def knows_extremes(self) -> bool:
        """Whether the user's class says what one more example can be."""
        own = getattr(type(self.own), "extremes", None)
        return own is not None and own is not Metric.extremes

    def extremes(
        self, rows: NDArray[Any], longest: int | None
    ) -> tuple[NDArray[Any], NDArray[Any]] | None:
        """Return what one more example can be at worst and at best, where the metric knows."""
        if not self.knows_extremes:
            return None
        with user_code(f"metric '{self.name}'", EvaluationError):
            found = self.own.extremes(rows, longest)
            if found is None:
                return None
            worst, best = (_numbers(side, self.name, "extremes") for side in found)
            wanted = (len(worst), rows.shape[1])
            if worst.shape != wanted or best.shape != wanted:
                raise EvaluationError(
                    f"metric '{self.name}': extremes gives shapes {worst.shape} and {best.shape}, "
                    f"not twice (examples, {rows.shape[1]})"
                )
            if not (np.isfinite(worst).all() and np.isfinite(best).all()):
                raise EvaluationError(f"metric '{self.name}': extremes gives no finite numbers")
            total, sign = rows.sum(axis=0), 1 if self.higher_is_better else -1
            low, high = (sign * self.own.aggregate(total + side) for side in (worst, best))
            if np.any(low > high):
                raise EvaluationError(
                    f"metric '{self.name}': extremes gives answers as the worst that are better "
                    "than the best ones; the worst come first"
                )
            return worst, best


@dataclass(frozen=True, eq=False)
class OwnMean(MeanMetric):
    """A `MeanMetric` of a class of the user's; see `OwnMetric`."""

    own: Any = None

    def scores(self, answers: Sequence[Answer[Any]]) -> NDArray[np.float64]:
        """Return each example's score, shape (n,)."""
        with user_code(f"metric '{self.name}'", EvaluationError):
            return self.own.scores(answers)  # type: ignore[no-any-return]  # the caller looks


def _numbers(values: Any, name: str, what: str) -> NDArray[Any]:
    """Return a copy of what a user's metric gave; EvaluationError where it is no array of numbers.

    The metric may give the same array again, with other numbers in it.
    """
    found = np.array(values)
    if found.dtype.kind == "O" and all(isinstance(value, Real) for value in found.flat):
        found = found.astype(np.float64)
    if found.dtype.kind not in "biuf":
        raise EvaluationError(f"metric '{name}': {what} gives {found.dtype}, not numbers")
    return found


def check_metric(metric: object, where: str) -> Metric:
    """Return `metric` where it has all that a metric needs; ConfigError where it does not."""
    with user_code(f"{where}: the metric", ConfigError):
        return _checked(metric, where)


def identity_of(metric: Metric) -> int:
    """Return a number that is the same for a user's metric however often it was checked."""
    return id(metric.own if isinstance(metric, OwnMetric | OwnMean) else metric)


def _checked(metric: object, where: str) -> Metric:
    needed = [*("name", "higher_is_better", "range"), *("scores", "statistics", "aggregate")]
    lacking = [attribute for attribute in needed if not hasattr(metric, attribute)]
    if isinstance(metric, type) or lacking:
        reason = "is a class, not an object" if isinstance(metric, type) else f"lacks {lacking[0]}"
        raise ConfigError(f"{where}: {metric!r} is no metric: it {reason}; see MeanMetric")
    own: Any = metric  # a metric by its attributes, not by its base class
    name, higher = own.name, own.higher_is_better
    problem = name_problem(name, of_a_file=False) if isinstance(name, str) else "is no text"
    if problem:
        raise ConfigError(f"{where}: the metric's name {name!r} {problem}")
    if not isinstance(higher, bool | np.bool_):
        raise ConfigError(f"{where}: metric '{name}': higher_is_better must be True or False")
    low, high = map(float, own.range)
    if not low < high:
        raise ConfigError(f"{where}: metric '{name}': range must be (least, greatest)")
    if is_ours(own):
        return own  # type: ignore[no-any-return]
    if isinstance(own, MeanMetric):
        return OwnMean(str(name), own.score, bool(higher), (low, high), own, binary=own.binary)
    return OwnMetric(own, str(name), bool(higher), (low, high))
