"""What a causal model keeps of the tokens it has read, taken out of its cache and put back."""

from __future__ import annotations

from typing import Any

import torch
import transformers

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


def kept(cache: Any) -> Cached:
    """Return the keys and values that a cache holds."""
    return [(layer.keys, layer.values) for layer in cache.layers]
