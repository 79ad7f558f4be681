"""What a store gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pytest_distill.engines import ModelInfo
from pytest_distill.evals.requests import Prediction


@dataclass(frozen=True, slots=True)
class StoredLooks:
    """The looks at one gold set, as the store knows them.

    Parameters
    ----------
    gold : str
        Digest of the gold set.
    evals : tuple of str
        What it was called.
    students : int
        How many students were judged on it.
    first : float
        When the first of them was, in seconds since 1970.
    """

    gold: str
    evals: tuple[str, ...]
    students: int
    first: float


@dataclass(frozen=True, slots=True)
class StoredRun:
    """One model under one setting, as the store knows it.

    Parameters
    ----------
    run : str
        Digest of `identity`.
    identity : mapping
        The model's digest, engine, versions, dtype.
    info : ModelInfo
        What is known of the model.
    made : str
        When it was first evaluated, in UTC.
    n : int
        Number of predictions.
    """

    run: str
    identity: Mapping[str, Any]
    info: ModelInfo
    made: str
    n: int


@dataclass(frozen=True, slots=True)
class EvaluatedPredictions:
    """The predictions of one evaluation.

    Parameters
    ----------
    predictions : list of Prediction
        In any order.
    from_store : int
        How many examples were not evaluated anew.
    """

    predictions: list[Prediction]
    from_store: int


class StoredFigure(NamedTuple):
    """What was measured, when (seconds since 1970), and whether that was before this run."""

    value: Any
    made: float
    earlier: bool = False
