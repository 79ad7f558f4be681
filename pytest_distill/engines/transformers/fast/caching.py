"""The keys and values of tokens that a causal model has read, in and out of its cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import transformers
from transformers.cache_utils import DynamicLayer

from pytest_distill.engines.transformers.batching import pad
from pytest_distill.engines.transformers.failures import none_where_it_fails
from pytest_distill.engines.transformers.fast.onednn import computing
from pytest_distill.engines.transformers.likelihood import logits_at
from pytest_distill.engines.transformers.loaded import Loaded
from pytest_distill.engines.transformers.trials import trial_tokens

# Any, because the kinds of layers that we never meet here make its types a thicket.
_Cache: Any = transformers.DynamicCache

Cached = list[tuple[torch.Tensor, torch.Tensor]]
"""Keys and values of every layer, each of shape (rows, heads, tokens, head size)."""


def filled(cached: Cached, rows: int) -> Any:
    """Return a cache that holds keys and values; a single row is there for all `rows`."""
    cache = _Cache()
    for layer, states in enumerate(cached):
        # A view on the batch: the layer copies it when it appends what is new.
        cache.update(*(state.expand(rows, -1, -1, -1) for state in states), layer)
    return cache


def keys_and_values(cache: Any) -> Cached:
    """Return the keys and values that a cache holds."""
    return [(layer.keys, layer.values) for layer in cache.layers]


def each(change: Callable[..., torch.Tensor], *cached: Cached) -> Cached:
    """Return what `change` makes of the keys, and of the values, of every layer of some caches."""
    layers = (zip(*of, strict=True) for of in zip(*cached, strict=True))
    return [(change(*keys), change(*values)) for keys, values in layers]


@torch.inference_mode()
def cache_name(loaded: Loaded) -> str | None:
    """Return by what name ``forward`` takes a cache of ours and fills it; None where it does not.

    It is `cache` from transformers 5.24 on, before `past_key_values`.
    """
    findings = loaded.findings
    if findings.cache_name is None:
        findings.cache_name = ""
        ids = pad([trial_tokens(loaded, 2)], 0, loaded.device)
        for name in ("cache", "past_key_values"):
            if _kept(loaded, ids, name) == ids.shape[1]:
                findings.cache_name = name
                break
    return findings.cache_name or None


@none_where_it_fails
def _kept(loaded: Loaded, ids: torch.Tensor, name: str) -> int:
    """Return how many tokens a cache that a model takes by this name holds after some."""
    cache = filled([], 1)
    with computing(loaded):
        loaded.model(input_ids=ids, use_cache=True, **{name: cache})
    return int(cache.get_seq_length())


def going_on(loaded: Loaded, cache: Any) -> dict[str, Any]:
    """Return the inputs that let a model go on from a cache, and keep what it reads in it."""
    return {str(cache_name(loaded)): cache, "use_cache": True}


def reading_on(
    loaded: Loaded, rows: Sequence[Sequence[int]], seen: Cached, begin: int
) -> tuple[dict[str, Any], Any]:
    """Return the inputs that let a model read rows from a position on, and the cache it fills.

    Padded on the right: no token attends to what comes after it. What was `seen` before them is in
    the cache.
    """
    ids = pad(rows, 0, loaded.device)
    cache = filled(seen, len(rows))
    positions = torch.arange(begin, begin + ids.shape[1], device=ids.device)
    inputs = {
        "input_ids": ids,
        "position_ids": positions.expand(len(rows), -1),
        **going_on(loaded, cache),
    }
    return inputs, cache


@torch.inference_mode()
def read_prefix(loaded: Loaded, prefix: Sequence[int]) -> Cached:
    """Return the keys and values of the tokens that several rows begin with."""
    cache = filled([], 1)
    inputs = {"input_ids": pad([prefix], 0, loaded.device), **going_on(loaded, cache)}
    logits_at(loaded, inputs, [0], [len(prefix) - 1])
    return keys_and_values(cache)


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
