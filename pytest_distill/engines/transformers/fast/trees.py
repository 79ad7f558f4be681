"""Rows of tokens that begin alike, as trees: what they share stands there, and is read, once.

In a tree each token sees its own past and nothing else.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from pytest_distill.engines.transformers.batching import begin_alike, pad
from pytest_distill.engines.transformers.fast.caching import Cached, filled, going_on
from pytest_distill.engines.transformers.likelihood import Likelihood, Place, score_places
from pytest_distill.engines.transformers.loaded import Loaded
from pytest_distill.engines.windows import Span

_HEAD = 32  # examples that begin with the same tokens, so many, may share a prefix


@dataclass(frozen=True, slots=True)
class Part:
    """One continuation of one request: what the model reads, and what is scored in it."""

    request: int
    choice: int
    row: tuple[int, ...]
    span: Span


@dataclass(frozen=True, slots=True)
class Tree:
    """The rows of one request: their longest common beginning, then a branch for each.

    Parameters
    ----------
    trunk : tuple of int
        The tokens that all rows begin with.
    branches : tuple of tuple of int
        What comes after the trunk in each different row; one of them may be empty.
    leaves : tuple of (Part, int)
        Every continuation with the number of its branch.
    """

    trunk: tuple[int, ...]
    branches: tuple[tuple[int, ...], ...]
    leaves: tuple[tuple[Part, int], ...]

    @property
    def size(self) -> int:
        """How many tokens the model reads."""
        return len(self.trunk) + sum(map(len, self.branches))

    @property
    def parts(self) -> list[Part]:
        """Every continuation."""
        return [part for part, _ in self.leaves]


@dataclass(frozen=True, slots=True)
class PrefixGroup:
    """Trees whose trunks begin alike, and how many tokens of that are computed once for all."""

    prefix: tuple[int, ...]
    trees: tuple[Tree, ...]


def by_row(parts: Iterable[Part]) -> dict[tuple[int, ...], list[Part]]:
    """Return continuations by what is read for them: those that differ in a last token share it."""
    parts_of: defaultdict[tuple[int, ...], list[Part]] = defaultdict(list)
    for part in parts:
        parts_of[part.row].append(part)
    return parts_of


def trees_of(parts: Sequence[Part], limit: int) -> Iterator[Tree]:
    """Yield the tree of one request's parts; several where one is longer than `limit` tokens."""
    wanted = by_row(parts)
    rows = list(wanted)
    length = len(common_prefix(rows))
    start = 0
    while start < len(rows):
        stop, size = start + 1, len(rows[start])
        while stop < len(rows) and size + len(rows[stop]) - length <= limit:
            size += len(rows[stop]) - length
            stop += 1
        chosen = rows[start:stop]
        yield Tree(
            trunk=rows[0][:length],
            branches=tuple(row[length:] for row in chosen),
            leaves=tuple((part, at) for at, row in enumerate(chosen) for part in wanted[row]),
        )
        start = stop


def by_prefix(trees: Sequence[Tree], least: int) -> list[PrefixGroup]:
    """Return the trees in groups that share a beginning, where that saves `least` tokens or more.

    Trees that begin with the same tokens (a few-shot header, the instruction of a subject, a
    passage) are a group of their own where that pays; all others are one more, and
    what they have in common (a short instruction) is shared too.
    """
    heads: defaultdict[tuple[int, ...], list[Tree]] = defaultdict(list)
    for tree in trees:
        heads[tree.trunk[:_HEAD]].append(tree)
    made, rest = [], []
    for head, group in heads.items():
        prefix = _prefix(group, least) if len(head) == _HEAD else ()
        if prefix:
            made.append(PrefixGroup(prefix, tuple(group)))
        else:
            rest.extend(group)
    if rest:
        made.append(PrefixGroup(_prefix(rest, least), tuple(rest)))
    return made


def _prefix(trees: Sequence[Tree], least: int) -> tuple[int, ...]:
    """Return the tokens that all trees begin with, where computing them once pays.

    Scored positions are not part of it: they need logits in the rows of their own.
    """
    first = min(part.span.start for tree in trees for part in tree.parts)
    prefix = common_prefix([tree.trunk for tree in trees])[:first]
    return prefix if len(prefix) * (len(trees) - 1) >= least else ()


def common_prefix(rows: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Return what all rows begin with: what the first and the last of them in order do."""
    low, high = min(rows), max(rows)
    return low[: begin_alike(low, high)]


@torch.inference_mode()
def score_trees(
    loaded: Loaded, rows: Sequence[Sequence[Tree]], skip: int, cached: Cached | None
) -> list[tuple[Part, Likelihood]]:
    """Return how likely every part of the trees is.

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
    found = score_places(loaded, inputs, wanted)
    return [(part, one) for (part, _), one in zip(leaves, found, strict=True)]


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
