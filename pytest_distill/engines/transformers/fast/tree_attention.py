"""Trees of tokens through a causal model: each token sees its own past and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from pytest_distill.engines.transformers.batching import pad
from pytest_distill.engines.transformers.fast.caching import (
    Cached,
    filled,
    going_on,
    keys_and_values,
)
from pytest_distill.engines.transformers.fast.trees import Part, Tree
from pytest_distill.engines.transformers.likelihood import Place, score_places
from pytest_distill.engines.transformers.loaded import Loaded
from pytest_distill.engines.transformers.logits import logits_at


@torch.inference_mode()
def read_prefix(loaded: Loaded, prefix: Sequence[int]) -> Cached:
    """Return the keys and values of the tokens that all trees begin with."""
    cache = filled([], 1)
    inputs = {
        "input_ids": pad([prefix], 0, loaded.device),
        **going_on(loaded, cache),
    }
    logits_at(loaded, inputs, [0], [len(prefix) - 1])
    return keys_and_values(cache)


@torch.inference_mode()
def score_trees(
    loaded: Loaded, rows: Sequence[Sequence[Tree]], skip: int, cached: Cached | None
) -> list[tuple[Part, float]]:
    """Return the log-likelihood of every part of the trees.

    Parameters
    ----------
    loaded : Loaded
        A causal model that takes masks of our own.
    rows : sequence of sequence of Tree
        Which trees stand one after the other in each row of the batch.
    skip : int
        How many tokens at the start of every trunk are in `cached`.
    cached : list of (keys, values), optional
        Their keys and values.
    """
    packed = [_pack(row, skip) for row in rows]
    inputs: dict[str, Any] = {
        "input_ids": pad([row.tokens for row in packed], 0, loaded.device),
        "position_ids": pad([row.positions for row in packed], 0, loaded.device),
        "attention_mask": _mask(packed, skip, loaded),
        "use_cache": False,
    }
    if cached is not None:
        inputs |= going_on(loaded, filled(cached, len(rows)))
    leaves = [
        (part, [(row, column) for column in columns])
        for row, own in enumerate(packed)
        for part, columns in own.leaves
    ]
    wanted: list[tuple[Sequence[Place], Sequence[int]]] = [
        (places, part.span.targets) for part, places in leaves
    ]
    values = score_places(loaded, inputs, wanted)
    return [(part, value) for (part, _), value in zip(leaves, values, strict=True)]


@dataclass
class _Packed:
    """A row of a batch: its tokens, what they belong to, and where its parts are scored."""

    tokens: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    trees: list[int] = field(default_factory=list)
    branches: list[int] = field(default_factory=list)  # 0 in a trunk
    leaves: list[tuple[Part, list[int]]] = field(default_factory=list)

    def append(self, tokens: Sequence[int], position: int, tree: int, branch: int) -> int:
        """Put a trunk or a branch at the end; return where it begins."""
        begin = len(self.tokens)
        self.tokens += tokens
        self.positions += range(position, position + len(tokens))
        self.trees += [tree] * len(tokens)
        self.branches += [branch] * len(tokens)
        return begin


def _pack(trees: Sequence[Tree], skip: int) -> _Packed:
    packed = _Packed()
    for number, tree in enumerate(trees, 1):
        length = len(tree.trunk)
        trunk = packed.append(tree.trunk[skip:], skip, number, 0) - skip
        begins = [
            packed.append(tokens, length, number, branch) - length
            for branch, tokens in enumerate(tree.branches, 1)
        ]
        for part, branch in tree.leaves:
            span = range(part.span.start, part.span.start + len(part.span.targets))
            columns = [at + (trunk if at < length else begins[branch]) for at in span]
            packed.leaves.append((part, columns))
    return packed


def _mask(packed: Sequence[_Packed], skip: int, loaded: Loaded) -> torch.Tensor:
    """Return the additive mask, of shape (rows, 1, tokens, skip + tokens).

    A token sees the prefix, and before itself the trunk of its tree and its own branch. Padding
    is tree 0 and sees the padding before it, so that no row of the mask is empty.
    """
    device = loaded.device
    tree = pad([row.trees for row in packed], 0, device)
    branch = pad([row.branches for row in packed], 0, device)
    same_tree = tree[:, :, None] == tree[:, None, :]
    in_sight = (branch[:, None, :] == 0) | (branch[:, :, None] == branch[:, None, :])
    dtype = loaded.model.dtype
    size = tree.shape[1]
    seen = (same_tree & in_sight).tril_()
    mask = torch.full((len(packed), size, skip + size), 0, dtype=dtype, device=device)
    mask[:, :, skip:].masked_fill_(~seen, torch.finfo(dtype).min)
    return mask.unsqueeze(1)
