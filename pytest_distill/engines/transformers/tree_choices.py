"""Continuations scored in trees: planned, checked against the plain path, and given up if wrong."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence

import torch

from pytest_distill.engines.transformers.caching import Cached
from pytest_distill.engines.transformers.device import release
from pytest_distill.engines.transformers.likelihood import score_spans
from pytest_distill.engines.transformers.loading import Loaded
from pytest_distill.engines.transformers.memory import in_batches, is_out_of_memory
from pytest_distill.engines.transformers.tree_attention import (
    obstacle,
    read_prefix,
    score_trees,
)
from pytest_distill.engines.transformers.trees import Grove, Part, Tree, fill, groves, grow

Scored = list[tuple[Part, float]]

# Trees stand one after the other in rows of about this many tokens. Each of them pays a little
# attention to its masked neighbours, and in return nothing is padded.
_ROW = 512
_MOST = 8192  # a prefix that saves half of this pays on any device

# How far a log-likelihood may be from the plain path's. In half precision two orders of summing
# differ by about a unit in the last place of a logit, for every token: see `_tolerance`.
_TOLERANCE = 1e-3
_RELATIVE = 1e-5


class _RefusedError(Exception):
    """The model didn't do to trees what it does to rows."""


def score_in_trees(
    loaded: Loaded, parts: Sequence[Part]
) -> Generator[tuple[Part, float], None, list[Part]]:
    """Yield parts with their log-likelihoods; return those that have to be scored in rows.

    The first batch of a model, and the first one with a shared prefix, is checked against the
    plain path. When they disagree, none of it is used, and the model's later requests go the
    plain way too; `Loaded.notes` says so.
    """
    trust = loaded.trust
    if not trust.refused and not trust.trees:
        reason = obstacle(loaded)
        if reason is not None:
            _refuse(loaded, reason)
    if trust.refused:
        return list(parts)
    done: set[int] = set()
    try:
        for grove in groves(list(_trees(loaded, parts)), _least(loaded)):
            for scored in _score_grove(loaded, grove):
                for part, value in scored:
                    done.add(id(part))
                    yield part, value
    except _RefusedError as error:
        _refuse(loaded, str(error))
    return [part for part in parts if id(part) not in done]


def _least(loaded: Loaded) -> int:
    """Return how many tokens a shared prefix must save: half a batch, for two more passes."""
    return max(1, min(loaded.budget.tokens, _MOST) // 2)


def _trees(loaded: Loaded, parts: Sequence[Part]) -> Iterator[Tree]:
    requests: defaultdict[int, list[Part]] = defaultdict(list)
    for part in parts:
        requests[part.request].append(part)
    for own in requests.values():
        yield from grow(own, max(loaded.budget.tokens, _ROW))


def _score_grove(loaded: Loaded, grove: Grove) -> Iterator[Scored]:
    cached = _cache(loaded, grove.prefix)
    skip = 0 if cached is None else len(grove.prefix)
    sizes = [tree.size - skip for tree in grove.trees]

    def forward(batch: list[int]) -> Scored:
        length = _row_length(sizes[batch[0]], loaded.budget.tokens)
        rows = fill([sizes[index] for index in batch], length)
        trees = [[grove.trees[batch[place]] for place in row] for row in rows]
        return _checked(loaded, trees, skip, cached)

    for _, scored in in_batches(loaded, loaded.budget, sizes, forward, plan):
        yield scored


def plan(sizes: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Yield groups of indices of trees, the biggest first; each group fits the budget in rows."""
    order = sorted(range(len(sizes)), key=lambda index: -sizes[index])
    start = 0
    while start < len(order):
        length = _row_length(sizes[order[start]], budget)
        rows = max(1, budget // length)
        stop, room = start, 0
        while stop < len(order):
            size = sizes[order[stop]]
            if size > room:
                if rows == 0:
                    break
                rows, room = rows - 1, length
            room -= size
            stop += 1
        yield order[start:stop]
        start = stop


def _row_length(biggest: int, budget: int) -> int:
    return max(biggest, min(_ROW, budget))


def _cache(loaded: Loaded, prefix: Sequence[int]) -> Cached | None:
    """Return what the model keeps of a prefix; None where there is none or no room for it."""
    if not prefix:
        return None
    try:
        return read_prefix(loaded, prefix)
    except (RuntimeError, TypeError, ValueError, AttributeError, MemoryError) as error:
        if not is_out_of_memory(error):
            if loaded.trust.prefix:
                raise
            raise _RefusedError(f"its cache can't be read ({_first_line(error)})") from None
    release(loaded.device)
    return None


def _checked(
    loaded: Loaded, rows: Sequence[Sequence[Tree]], skip: int, cached: Cached | None
) -> Scored:
    trust = loaded.trust
    trusted = trust.trees and (trust.prefix or cached is None)
    try:
        scored = score_trees(loaded, rows, skip, cached)
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
        if trusted or is_out_of_memory(error):
            raise
        raise _RefusedError(f"it takes no tree ({_first_line(error)})") from None
    if not trusted and _agrees(loaded, rows, cached, scored):
        trust.trees, trust.prefix = True, trust.prefix or cached is not None
    return scored


def _agrees(
    loaded: Loaded, rows: Sequence[Sequence[Tree]], cached: Cached | None, scored: Scored
) -> bool:
    """Return whether log-likelihoods are the plain path's; False where that can't be told yet.

    Compared are the last leaf of the first and of the last tree: whatever a wrong mask or wrong
    positions would let in stands before them.

    Raises
    ------
    _RefusedError
        When they are not.
    """
    if cached is None and sum(len(tree.branches) for row in rows for tree in row) < 2:
        return False  # a single row is the plain path
    values = {id(part): value for part, value in scored}
    parts = [tree.leaves[-1][0] for tree in (rows[0][0], rows[-1][-1])]
    plain = score_spans(loaded, [part.row for part in parts], [[part.span] for part in parts])
    for part, expected in zip(parts, plain, strict=True):
        got = values[id(part)]
        if math.isnan(got) and math.isnan(expected):
            return False
        if not abs(got - expected) <= _tolerance(loaded, part, expected):
            raise _RefusedError(
                f"on its first batch a log-likelihood was {got:.4f} in a tree and {expected:.4f} "
                "in a row of its own"
            )
    return True


def _tolerance(loaded: Loaded, part: Part, expected: float) -> float:
    """Return how far a log-likelihood may be from the plain path's.

    In half precision a logit of about 16 is rounded to a unit in the last place, and two ways of
    summing differ by a few of them at every token.
    """
    dtype = loaded.model.dtype
    if dtype in (torch.float16, torch.bfloat16):
        return 16 * 4 * torch.finfo(dtype).eps * len(part.span.targets)
    return max(_TOLERANCE, _RELATIVE * abs(expected))


def _refuse(loaded: Loaded, reason: str) -> None:
    loaded.trust.refused = True
    loaded.notes.append(
        f"model '{loaded.name}' ({loaded.architecture}) scores every choice in a row of its own, "
        f"which is slower: {reason}"
    )


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}"
