"""A teacher's most likely tokens, recorded elsewhere: one row of log-probabilities an example."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pytest_distill.engines import Captured
from pytest_distill.errors import EvaluationError, GoldSetError
from pytest_distill.evals.cells import structure
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.rows import open_rows
from pytest_distill.evaluation.alignment import matched
from pytest_distill.evaluation.sources.rows import RowIds

FIELDS = ("tokens", "top_tokens", "top_logprobs")
TOLERANCE = 1e-3
"""By how much the sum of captured probabilities may exceed 1: they were written in float16 or with
few digits."""


def read_captured(path: Path, on: Eval) -> dict[str, Captured]:
    """Return what was captured of every example of an eval, by id.

    Each row is taken apart as it is read, so that no more than its numbers stay in memory.

    Raises
    ------
    EvaluationError
        Naming file, line and id, where a row is not as it must be; or where an example has none.
    """
    found: dict[str, Captured] = {}
    ids = RowIds(on)
    try:
        source, rows, _ = open_rows(path, None)
        for where, row in rows:
            id = ids.of(where, row)
            if id in found:
                raise EvaluationError(f"{where} (id '{id}'): the id is there twice")
            found[id] = _captured(f"{where} (id '{id}')", row)
    except GoldSetError as error:
        raise EvaluationError(str(error)) from None
    return {id: found[id] for id in matched(found, on, source)}


def _captured(place: str, row: dict[str, Any]) -> Captured:
    lacking = [name for name in FIELDS if name not in row]
    if lacking:
        raise EvaluationError(
            f"{place}: no '{lacking[0]}'; to compare a recorded teacher token by token each row "
            f"needs {', '.join(FIELDS)}"
        )
    tokens, top, logprobs = (_listed(place, name, row[name]) for name in FIELDS)
    if not len(tokens) == len(top) == len(logprobs):
        raise EvaluationError(
            f"{place}: {len(tokens)} tokens, {len(top)} top_tokens and {len(logprobs)} "
            "top_logprobs; there must be one entry a token in each"
        )
    pairs = [
        _position(f"{place}: position {at}", ids, values)
        for at, (ids, values) in enumerate(zip(top, logprobs, strict=True))
    ]
    widest = max((len(ids) for ids, _ in pairs), default=0)
    if not widest:
        raise EvaluationError(f"{place}: no position has a log-probability")
    all_ids = np.full((len(tokens), widest), -1, np.int64)
    all_values = np.full((len(tokens), widest), -np.inf)
    for at, (ids, values) in enumerate(pairs):
        all_ids[at, : len(ids)] = ids
        all_values[at, : len(ids)] = values
    text = tuple(_token(f"{place}: tokens", token) for token in tokens)
    return Captured(place, text, all_ids, all_values)


def _position(place: str, ids: Any, values: Any) -> tuple[list[int], list[float]]:
    if ids is None and values is None:  # the first token of a text, which nothing predicted
        return [], []
    tokens = [_token(place, token) for token in _listed(place, "top_tokens", ids)]
    logprobs = [_logprob(place, value) for value in _listed(place, "top_logprobs", values)]
    if len(tokens) != len(logprobs) or not tokens:
        raise EvaluationError(
            f"{place}: {len(tokens)} top_tokens and {len(logprobs)} top_logprobs; there must be as "
            "many, and at least one (null where nothing was captured)"
        )
    if len(set(tokens)) < len(tokens):
        raise EvaluationError(f"{place}: a token is there twice in top_tokens")
    total = math.fsum(map(math.exp, logprobs))
    if total > 1 + TOLERANCE:
        raise EvaluationError(
            f"{place}: the probabilities sum to {total:.6g}, which is above 1; top_logprobs must "
            "be natural logarithms"
        )
    return tokens, logprobs


def _listed(place: str, name: str, value: Any) -> Sequence[Any]:
    value = structure(value)
    if not isinstance(value, list):
        raise EvaluationError(f"{place}: {name} is {value!r:.40}, not a list")
    return value


def _token(place: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise EvaluationError(f"{place} has {value!r}, not the id of a token")
    return value


def _logprob(place: str, value: Any) -> float:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or value > TOLERANCE:
        raise EvaluationError(
            f"{place}: top_logprobs has {value!r}, not the finite logarithm of a probability"
        )
    return min(float(value), 0.0)
