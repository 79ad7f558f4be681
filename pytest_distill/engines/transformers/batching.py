"""Rows of token ids into padded batches, longest first, under a budget of tokens.

The budget shrinks when memory runs out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Literal, TypeVar

import torch

from pytest_distill.engines.transformers.failures import is_out_of_memory
from pytest_distill.engines.transformers.loaded import Budget, Loaded
from pytest_distill.engines.transformers.places import release
from pytest_distill.errors import ModelError

T = TypeVar("T")
Plan = Callable[[Sequence[int], int], Iterator[list[int]]]
"""Puts items of some lengths into batches of at most so many tokens."""

# Of a batch this share of the budget may be padding: about what a forward pass costs beside its
# tokens, so that one more batch would be no gain.
_PADDING = 1 / 16


class PlanAnewError(Exception):
    """A batch cannot be used, and what is left is to be put into other batches."""


def batches(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Yield groups of indices into `lengths`; each group fits the budget when padded.

    Parameters
    ----------
    lengths : sequence of int
        Length of every row, in tokens.
    budget : int
        At most how many tokens a batch has, padding included. A row that is longer comes alone.

    Notes
    -----
    Rows of like length stand together, so that little is padded: a batch ends before a row that
    would bring its padding above a sixteenth of the budget. The longest rows come first: a batch
    that doesn't fit in memory fails at once and not after an hour. The order of equal lengths is
    that of the input, so the same input gives the same batches.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    start = 0
    while start < len(order):
        longest = max(1, lengths[order[start]])
        stop, padding = start + 1, 0
        while stop < len(order) and (stop + 1 - start) * longest <= budget:
            padding += longest - lengths[order[stop]]
            if padding > max(1, budget * _PADDING):
                break
            stop += 1
        yield order[start:stop]
        start = stop


def begin_alike(one: Sequence[int], two: Sequence[int]) -> int:
    """Return how many tokens two rows begin with alike."""
    pairs = enumerate(zip(one, two, strict=False))  # one of them may be longer
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(two)))


def fill(sizes: Iterable[int], length: int) -> Iterator[list[int]]:
    """Yield indices into `sizes`, put into rows of at most `length` tokens, in their order.

    A size beyond the length has a row for itself.
    """
    row: list[int] = []
    room = length
    for index, size in enumerate(sizes):
        if row and size > room:
            yield row
            row, room = [], length
        row.append(index)
        room -= size
    if row:
        yield row


def pad(
    rows: Sequence[Sequence[int]],
    value: int,
    device: torch.device,
    side: Literal["left", "right"] = "right",
) -> torch.Tensor:
    """Return the rows as one tensor of shape (rows, longest row), filled up with `value`."""
    longest = max(map(len, rows))
    filled = []
    for row in rows:
        filler = [value] * (longest - len(row))
        filled.append([*filler, *row] if side == "left" else [*row, *filler])
    return torch.tensor(filled, dtype=torch.long, device=device)


def mask(
    rows: Sequence[Sequence[int]], device: torch.device, side: Literal["left", "right"] = "right"
) -> torch.Tensor:
    """Return the attention mask of rows padded by `pad`: 1 for a token, 0 for padding."""
    return pad([[1] * len(row) for row in rows], 0, device, side)


def in_batches(
    loaded: Loaded,
    budget: Budget,
    lengths: Sequence[int],
    forward: Callable[[list[int]], T],
    plan: Plan = batches,
) -> Iterator[tuple[list[int], T]]:
    """Yield each batch of indices into `lengths` with what `forward` made of it.

    Where memory runs out, the budget is halved, for all that the model runs from then on, and
    what is not done yet is planned anew. What was yielded before is done: nothing is lost and
    nothing comes twice.

    Parameters
    ----------
    loaded : Loaded
        The model that `forward` runs.
    budget : Budget
        At most how many tokens a batch has.
    lengths : sequence of int
        Length of every item, in tokens.
    forward : callable
        Runs one batch, and returns anything but None; may raise PlanAnewError, where `plan` then
        makes other batches.
    plan : callable
        Puts the lengths of what is left into batches; see `batches`.

    Raises
    ------
    ModelError
        When a single item doesn't fit into memory.
    """
    left = list(range(len(lengths)))
    while left:
        done: set[int] = set()
        for places in plan([lengths[index] for index in left], budget.tokens):
            batch = [left[place] for place in places]
            try:
                result = attempt(partial(forward, batch))
            except PlanAnewError:
                break
            if result is None:
                shrink(loaded, budget, [lengths[index] for index in batch])
                break
            done.update(batch)
            yield batch, result
        left = [index for index in left if index not in done]


def attempt(run: Callable[[], T]) -> T | None:
    """Return the result of a call; None where there was not memory enough for it.

    On the way out of the ``except`` the exception is dropped, and with it the frames that keep
    the tensors of the failed pass alive.
    """
    try:
        return run()
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    return None


def shrink(loaded: Loaded, budget: Budget, lengths: Sequence[int]) -> None:
    """Halve a budget after a batch of items of these lengths didn't fit, and note it.

    Raises
    ------
    ModelError
        When it was a single item.
    """
    release(loaded.device)
    if len(lengths) == 1:
        raise ModelError(
            f"model '{loaded.name}' runs out of memory on {loaded.device} with a single example of "
            f"{lengths[0]} tokens; use a smaller dtype, another device or shorter examples"
        )
    before = min(budget.tokens, sum(lengths))
    budget.tokens = max(1, before // 2)
    loaded.notes.append(
        f"model '{loaded.name}': out of memory on {loaded.device} with a batch of {before} tokens; "
        f"went on with {budget.tokens} (set 'batch_tokens: {budget.tokens}' to start there)"
    )
