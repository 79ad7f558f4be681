"""Rows of tokens that begin alike, as trees: what they share stands there once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pytest_distill.engines.transformers.likelihood import Span

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


@dataclass(frozen=True, slots=True)
class PrefixGroup:
    """Trees whose trunks begin alike, and how many tokens of that are computed once for all."""

    prefix: tuple[int, ...]
    trees: tuple[Tree, ...]


def trees_of(parts: Sequence[Part], limit: int) -> Iterator[Tree]:
    """Yield the tree of one request's parts; several where one is longer than `limit` tokens."""
    wanted: defaultdict[tuple[int, ...], list[Part]] = defaultdict(list)
    for part in parts:
        wanted[part.row].append(part)
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
    first = min(part.span.start for tree in trees for part, _ in tree.leaves)
    prefix = common_prefix([tree.trunk for tree in trees])[:first]
    return prefix if len(prefix) * (len(trees) - 1) >= least else ()


def common_prefix(rows: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """Return what all rows begin with: what the first and the last of them in order do."""
    low, high = min(rows), max(rows)
    pairs = zip(low, high, strict=False)  # one of them may be longer
    length = next((at for at, (a, b) in enumerate(pairs) if a != b), min(len(low), len(high)))
    return low[:length]


def fill(sizes: Sequence[int], length: int) -> list[list[int]]:
    """Return indices into `sizes`, put into rows of at most `length` tokens, in their order.

    A size beyond the length has a row for itself.
    """
    rows: list[list[int]] = []
    room = 0
    for index, size in enumerate(sizes):
        if not rows or size > room:
            rows.append([])
            room = length
        rows[-1].append(index)
        room -= size
    return rows
