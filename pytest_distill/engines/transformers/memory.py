"""Batches under a budget of tokens that shrinks when memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from pytest_distill.engines.transformers.batching import Budget, batches
from pytest_distill.engines.transformers.device import release
from pytest_distill.engines.transformers.failures import is_out_of_memory
from pytest_distill.engines.transformers.loaded import Loaded
from pytest_distill.errors import ModelError

T = TypeVar("T")
Plan = Callable[[Sequence[int], int], Iterator[list[int]]]
"""Puts items of some lengths into batches of at most so many tokens."""


class PlanAnewError(Exception):
    """A batch cannot be used, and what is left is to be put into other batches."""


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
