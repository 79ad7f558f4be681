"""Rows that share a pass, as long as none of them changes what the model makes of another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TypeVar

from pytest_distill.engines.transformers.batching import Plan, PlanAnewError, batches, in_batches
from pytest_distill.engines.transformers.failures import FAILURES, first_line, is_out_of_memory
from pytest_distill.engines.transformers.loaded import Budget, Company, Loaded, Neighbours

T = TypeVar("T")
Wrong = Callable[[int, T], "str | None"]
"""Tells what is wrong with a row's result, by its index; None where nothing is."""

Difference = Callable[[int, T, T], "str | None"]
"""Tells how two results of a row differ, by its index; None where only by rounding."""


class WrongAloneError(Exception):
    """A result is wrong though nothing shared its pass."""


def plan(company: Company, borders: Sequence[int]) -> Plan:
    """Return how rows are put into batches: `batches`, with rows apart that must not meet.

    Parameters
    ----------
    company : Company
        With which others a row is read.
    borders : sequence of int
        Rows up to so many tokens and longer ones never share a pass.
    """

    def kind(length: int) -> Hashable:
        return length if company is Company.EQUAL else tuple(length > border for border in borders)

    def planned(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
        groups: defaultdict[Hashable, list[int]] = defaultdict(list)
        for index in sorted(range(len(lengths)), key=lambda index: -lengths[index]):
            groups[kind(lengths[index])].append(index)
        for group in groups.values():
            own = [lengths[index] for index in group]
            for places in batches(own, 1 if company is Company.ALONE else budget):
                yield [group[place] for place in places]

    return planned


def in_company(
    loaded: Loaded,
    budget: Budget,
    neighbours: Neighbours,
    lengths: Sequence[int],
    forward: Callable[[list[int]], list[T]],
    wrong: Wrong[T],
    *,
    alone_is_right: bool = True,
    sharing: Sequence[Loaded] = (),
) -> Iterator[tuple[list[int], list[T]]]:
    """Yield each batch of indices into `lengths` with its results, as `in_batches` does.

    Three rows of a batch, the shortest among them, which has the most padding, are looked at where
    no batch as long, as padded and as large was before; all rows, if one may be wrong alone. Where
    a result is wrong, nothing of the batch is used, and rows are read with others of their own
    length only from then on; where that changes them too, alone. A note says so.

    Parameters
    ----------
    loaded : Loaded
        The model that `forward` runs.
    budget : Budget
        At most how many tokens a batch has.
    neighbours : Neighbours
        What is known of the model.
    lengths : sequence of int
        Length of every row, in tokens.
    forward : callable
        Runs one batch; returns one result a row, in the batch's order.
    wrong : callable
        What is wrong with a row's result; see `unlike_alone`.
    alone_is_right : bool
        Whether that cannot be where a row is read alone.
    sharing : sequence of Loaded
        Other models that read the same batches.

    Raises
    ------
    WrongAloneError
        When a result is wrong though nothing shared its pass.
    """
    borders = [own for one in (loaded, *sharing) if (own := one.findings.border) is not None]
    reason: str | None = None

    def planned(left: Sequence[int], tokens: int) -> Iterator[list[int]]:
        return plan(neighbours.company, borders)(left, tokens)

    def checked(batch: list[int]) -> list[T]:
        nonlocal reason
        try:
            results = forward(batch)
        except FAILURES as error:  # some need as many end tokens in every row
            if len(batch) == 1 or is_out_of_memory(error):
                raise
            fault: str | None = first_line(error)
        else:
            fault = _fault(loaded, neighbours, batch, lengths, results, wrong, alone_is_right)
            if fault and (len(batch) == 1 or neighbours.company is Company.ALONE):
                raise WrongAloneError(fault)
        if fault:
            reason = fault
            neighbours.part()
            raise PlanAnewError
        if reason:
            loaded.note(_note(loaded, neighbours.company, reason))
            reason = None
        return results

    yield from in_batches(loaded, budget, lengths, checked, planned)


def answers_of_rows(
    loaded: Loaded,
    lengths: Sequence[int],
    forward: Callable[[list[int]], list[T]],
    difference: Difference[T],
) -> Iterator[tuple[int, T]]:
    """Yield the index of every row with its result, which is what it is when it is read alone.

    The parameters are those of `in_company` and of `unlike_alone`.
    """
    rows, wrong = loaded.findings.rows, unlike_alone(loaded, forward, difference)
    for batch, results in in_company(loaded, loaded.budget, rows, lengths, forward, wrong):
        yield from zip(batch, results, strict=True)


def _fault(
    loaded: Loaded,
    neighbours: Neighbours,
    batch: Sequence[int],
    lengths: Sequence[int],
    results: Sequence[T],
    wrong: Wrong[T],
    alone_is_right: bool,
) -> str | None:
    """Return what is wrong in a batch, looked at where none like it was before."""
    own = [lengths[index] for index in batch]
    extent = max(own), max(own) - min(own), len(own)
    if loaded.settled or (alone_is_right and len(batch) == 1) or neighbours.reaches(*extent):
        return None
    found = (wrong(batch[place], results[place]) for place in _telling(own, alone_is_right))
    if fault := next((fault for fault in found if fault), None):
        return fault
    neighbours.extend(*extent)
    return None


def _telling(lengths: Sequence[int], alone_is_right: bool) -> list[int]:
    """Return the places of the rows that tell most: the longest, and two of those with padding.

    All of them, where a row may be wrong by itself too: that is the slower way already.
    """
    order = sorted(range(len(lengths)), key=lambda place: lengths[place])
    if not alone_is_right:
        return order
    padded = [place for place in order if lengths[place] < lengths[order[-1]]] or order
    return sorted({padded[0], padded[len(padded) // 2], order[-1]})


def unlike_alone(
    loaded: Loaded,
    forward: Callable[[list[int]], list[T]],
    difference: Difference[T],
) -> Wrong[T]:
    """Return what tells how a row's result differs from that of the row read alone.

    Parameters
    ----------
    loaded : Loaded
        The model that `forward` runs.
    forward : callable
        Runs one batch.
    difference : callable
        How two results of a row differ, by its index; None where only by rounding.
    """

    def wrong(index: int, result: T) -> str | None:
        (alone,) = forward([index])
        reason = difference(index, result, alone)
        if reason is None:
            return None
        (again,) = forward([index])
        twice = difference(index, alone, again)
        if twice is None:
            return reason
        loaded.note(f"{loaded.who} is not deterministic: of one text, read alone twice, {twice}")
        return None

    return wrong


def _note(loaded: Loaded, company: Company, reason: str) -> str:
    told = (
        "next to a longer text; its texts share a pass with others of the same length only"
        if company is Company.EQUAL
        else "next to another text; its texts are read one at a time"
    )
    return f"{loaded.who} answers otherwise {told}, which is slower: {reason}"
