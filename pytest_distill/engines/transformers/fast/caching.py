"""The keys and values of tokens that a causal model has read, in and out of its cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import transformers

from pytest_distill.engines.transformers.batching import pad
from pytest_distill.engines.transformers.failures import none_where_it_fails
from pytest_distill.engines.transformers.fast.onednn import computing
from pytest_distill.engines.transformers.loaded import Loaded
from pytest_distill.engines.transformers.logits import logits_at
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


@torch.inference_mode()
def read_prefix(loaded: Loaded, prefix: Sequence[int]) -> Cached:
    """Return the keys and values of the tokens that several rows begin with."""
    cache = filled([], 1)
    inputs = {"input_ids": pad([prefix], 0, loaded.device), **going_on(loaded, cache)}
    logits_at(loaded, inputs, [0], [len(prefix) - 1])
    return keys_and_values(cache)
