"""A number that a function makes of the values of all documents together: F1, correlation, bias."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, ClassVar, TypeGuard

import numpy as np
from numpy.typing import NDArray

from pytest_distill._util.user_code import user_code
from pytest_distill.errors import EvaluationError
from pytest_distill.evals.lm_eval import harness
from pytest_distill.evals.lm_eval.values import value_of
from pytest_distill.evals.metrics.base import Answer, Metric, is_number

MOST_VALUES = 1000
"""Different values of documents: the function is called once for each."""

_MOST_LABELS = 20
"""Of which all pairs have a column."""

_ROUNDING = 1e-9

Pair = tuple[Hashable, Hashable]


@dataclass(frozen=True, eq=False)
class OverAll(Metric):
    """What a function makes of the values of all documents, in whatever order they come.

    Columns: how many documents have a value, for each different one. The function is called with as
    many of each: so what one document adds is known of any function.

    Parameters
    ----------
    name : str
        As in ``distill.yaml`` and in the report.
    key : str
        What lm-evaluation-harness prints it as.
    find : callable
        Returns the function: list of values -> number.
    higher_is_better : bool
        The direction.
    range : tuple of float
        Least and greatest possible value.
    """

    name: str
    key: str
    find: Callable[[], Callable[[list[Any]], Any]]
    higher_is_better: bool = True
    range: tuple[float, float] = (-math.inf, math.inf)
    kept: ClassVar[bool] = False
    _known: dict[Hashable, tuple[int, Any]] = field(default_factory=dict, init=False, repr=False)
    """What a value is told by -> its column, which is its own in every call, and the value."""

    def scores(self, answers: Sequence[Answer]) -> NDArray[np.float64]:
        """Return 1.0 for each document whose two labels are the same, else 0.0, shape (n,).

        Raises
        ------
        EvaluationError
            Where values are no pairs of labels: then no document has a score of its own.
        """
        values = [value_of(answer, self.key) for answer in answers]
        told = [_told(value) for value in values]
        pairs = [pair for pair in told if _is_pair(pair)]
        if len(pairs) < len(told):
            raise EvaluationError(
                f"{self.name} is one number of all documents together: none has a score of its "
                "own, so that none can be lost or won; ask by another metric"
            )
        return np.array([float(a == b) for a, b in pairs])

    def statistics(self, answers: Sequence[Answer]) -> NDArray[Any]:
        """Return a 1 in the column of each document's value, shape (n, values).

        Raises
        ------
        EvaluationError
            Where the documents have too many different values, or the function heeds their order.
        """
        values = [value_of(answer, self.key) for answer in answers]
        told = [_told(value) for value in values]
        different = dict(zip(told, values, strict=True))
        if len(different) > MOST_VALUES:
            raise EvaluationError(
                f"{self.name}: {len(different):,} documents have different values, which the "
                f"task's own code makes one number of; more than {MOST_VALUES:,} are not judged: "
                "take fewer documents (--distill-limit), or another metric"
            )
        self._refuse_order(values)
        for key, value in {**different, **_pairs(different)}.items():
            self._known.setdefault(key, (len(self._known), value))
        rows = np.zeros((len(answers), len(self._known)))
        rows[np.arange(len(answers)), [self._known[key][0] for key in told]] = 1
        return rows

    def aggregate(self, totals: NDArray[Any]) -> NDArray[np.float64]:
        """Return what the function makes of so many of each value, shape (..., k) -> (...)."""
        counts = np.asarray(totals, np.float64)
        flat = counts.reshape(-1, counts.shape[-1])
        different, which = np.unique(flat, axis=0, return_inverse=True)
        found = np.array([self._of_counts(row) for row in different])
        return found[np.reshape(which, -1)].reshape(counts.shape[:-1])

    def extremes(
        self,
        rows: NDArray[Any],
        longest: int | None,  # noqa: ARG002 (of texts)
    ) -> tuple[NDArray[Any], NDArray[Any]] | None:
        """Return a document of every gold label with every other one, and with the right one.

        None where values are no pairs of labels, or of many labels.
        """
        k = rows.shape[1]
        column = {told: at for told, (at, _) in self._known.items() if at < k and _is_pair(told)}
        seen = np.flatnonzero(np.asarray(rows, np.float64).sum(axis=0))
        if not set(seen.tolist()) <= set(column.values()):
            return None
        gold = {told[0] for told, at in column.items() if at in seen}
        every = {label for told in column for label in told}
        if not all(pair in column for pair in product(gold, every)) or not gold <= every:
            return None
        pairs = [(g, p) for g, p in product(gold, every) if g != p and (g, g) in column]
        ends = np.eye(k)
        wrong = [column[pair] for pair in pairs]
        right = [column[g, g] for g, _ in pairs]
        return ends[wrong].reshape(-1, k), ends[right].reshape(-1, k)

    def _of_counts(self, counts: NDArray[np.float64]) -> float:
        times = counts / (math.gcd(*counts.astype(int).tolist()) or 1)  # of samples, each the same
        values = [value for at, value in self._known.values() if at < len(counts)]
        return self._called([v for v, n in zip(values, times, strict=True) for _ in range(int(n))])

    def _called(self, values: list[Any]) -> float:
        if not values:
            return math.nan
        with user_code(f"metric '{self.name}': the task's own code", EvaluationError):
            function = self.find()
            with harness.quiet():
                found = function(values)
        if not is_number(found):
            raise EvaluationError(
                f"metric '{self.name}': the task's own code gave {found!r:.60} for all documents, "
                "not a number"
            )
        return float(found)

    def _refuse_order(self, values: list[Any]) -> None:
        """Refuse a function that heeds the order of the documents: by a trial."""
        here, there = (self._called(each) for each in (values, values[::-1]))
        if not math.isclose(here, there, rel_tol=_ROUNDING, abs_tol=_ROUNDING) and here == here:
            raise EvaluationError(
                f"metric '{self.name}': the task's own code gives {here:g}, and {there:g} for the "
                "same documents the other way round: what a document adds to it is not known"
            )


def _pairs(values: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
    """Return all pairs of the labels in some pairs, where these are few."""
    if not all(map(_is_pair, values)):
        return {}
    parts = [part for value in values.values() for part in value]
    labels = {_told(part): part for part in parts}
    if len(labels) > _MOST_LABELS:
        return {}
    return {(a, b): (labels[a], labels[b]) for a, b in product(sorted(labels, key=str), repeat=2)}


def _is_pair(told: Hashable) -> TypeGuard[Pair]:
    """Return whether a value is two labels: the expected one and the given one."""
    return (
        isinstance(told, tuple)
        and len(told) == 2
        and all(isinstance(part, str | int) for part in told)
    )


def _told(value: Any) -> Hashable:
    """Return what tells a value from others."""
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list | tuple):
        return tuple(map(_told, value))
    if isinstance(value, set | frozenset):
        return frozenset(map(_told, value))
    if isinstance(value, Mapping):
        return tuple((str(key), _told(part)) for key, part in value.items())
    try:
        hash(value)
    except TypeError:
        return repr(value)
    return value if isinstance(value, Hashable) else repr(value)
