"""Keys and values of texts that grow: one block a layer, and in it a slot for every text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers.cache_utils import DynamicLayer

from pytest_distill.engines.transformers.fast.caching import Cached, filled


class Slots:
    """The block of every layer, of shape (rows, heads, columns, head size), and what is in it.

    The texts stand in the first rows, their tokens from the first column on. A step writes the keys
    and values of one token a text and copies nothing else. A slot that is freed is filled with
    zeros: what is masked is still multiplied by 0, and no number of another text's may come in.

    Attributes
    ----------
    rows, columns : int
        How many texts have a place, and of how many tokens.
    width : int
        How many columns the texts of the last step took before it.
    """

    def __init__(self) -> None:
        self.rows = self.columns = self.width = 0
        self.cache = filled([], 1)
        self.where: tuple[torch.Tensor, ...] = ()  # row and column of what a step writes

    def enter(self, cached: Cached, taken: int) -> None:
        """Write the keys and values of new texts behind the `taken` that are there."""
        if not self.cache.layers:
            self.cache.layers = [_Layer(self) for _ in cached]
        for layer, (keys, values) in zip(self.cache.layers, cached, strict=True):
            self.width = max(self.width, keys.shape[2])
            layer.keys = self._entered(layer.keys, keys, taken)
            layer.values = self._entered(layer.values, values, taken)

    def _entered(
        self, block: torch.Tensor | None, states: torch.Tensor, taken: int
    ) -> torch.Tensor:
        count, heads, tokens, size = states.shape
        shape = (self.rows, heads, self.columns, size)
        if block is None or block.shape != shape:
            old, block = block, states.new_zeros(shape)
            if old is not None and taken:
                used = min(self.width + 1, self.columns)
                block[:taken, :, :used] = old[:taken, :, :used]
        block[taken : taken + count, :, :tokens] = states
        return block

    def open(self, sizes: Sequence[int], device: torch.device) -> dict[str, Any]:
        """Let each text go on after its `sizes` tokens; return what else a model reads of them."""
        ends = torch.tensor(sizes, device=device)
        self.width = max(sizes)
        self.where = torch.arange(len(sizes), device=device), ends
        columns = torch.arange(self.width + 1, device=device)
        return {
            "attention_mask": (columns <= ends[:, None]).long(),
            "position_ids": ends[:, None],
        }

    def keep(self, rows: Sequence[int], taken: int) -> list[int]:
        """Free the slots of all but some of the `taken` rows; return which row is where now.

        The last ones move into the gaps before them: one row at most for each that is freed.
        """
        count = len(rows)
        last = iter(sorted(rows)[len([row for row in rows if row < count]) :])
        staying = set(rows)
        order = [row if row in staying else next(last) for row in range(count)]
        for layer in self.cache.layers:
            for block in (layer.keys, layer.values):
                used = block[:taken, :, : self.width + 1]
                for place, row in enumerate(order):
                    if place != row:
                        used[place] = used[row]
                used[count:] = 0
        return order


class _Layer(DynamicLayer):  # type: ignore[no-untyped-call]
    """One layer's block, as a model's cache."""

    def __init__(self, slots: Slots) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.slots = slots
        self.is_initialized = True

    def update(
        self,
        key_states: torch.Tensor,
        value_states: torch.Tensor,
        *_args: Any,
        **_kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write one token of every text; return what there is of all of them."""
        return self._written(self.keys, key_states), self._written(self.values, value_states)

    def _written(self, block: Any, states: torch.Tensor) -> torch.Tensor:
        rows, ends = (index.to(block.device) for index in self.slots.where)
        block[rows, :, ends] = states[:, :, 0]
        whole: torch.Tensor = block[: len(rows), :, : self.slots.width + 1]
        return whole

    def get_seq_length(self) -> int:
        """Return how many tokens the longest text had before this one."""
        return self.slots.width
