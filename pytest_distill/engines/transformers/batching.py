"""Rows of token ids into padded batches, longest first, under a budget of tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

# Of a batch this share of the budget may be padding: about what a forward pass costs beside its
# tokens, so that one more batch would be no gain.
_PADDING = 1 / 16


@dataclass
class Budget:
    """How many tokens one forward pass takes, padding included; smaller once memory ran out."""

    tokens: int


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
