"""Continuations scored in trees: planned, checked against the plain path, given up if wrong."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence
from functools import partial
from itertools import chain, islice

from pytest_distill.engines.transformers.architecture import attention_window
from pytest_distill.engines.transformers.batching import batches, fill, in_batches
from pytest_distill.engines.transformers.failures import FAILURES, first_line, is_out_of_memory
from pytest_distill.engines.transformers.fast.caching import Cached, cache_name, read_prefix
from pytest_distill.engines.transformers.fast.trees import (
    Part,
    PrefixGroup,
    Tree,
    by_prefix,
    by_row,
    score_trees,
    trees_of,
)
from pytest_distill.engines.transformers.likelihood import Likelihood, differ, score_spans
from pytest_distill.engines.transformers.loaded import Loaded, Neighbours
from pytest_distill.engines.transformers.places import release, tokens_of_copies

Scored = list[tuple[Part, Likelihood]]

# Trees stand one after the other in rows of about this many tokens. Each of them pays a little
# attention to its masked neighbours, and in return nothing is padded.
_ROW = 512
_MOST = 8192  # a prefix that saves half of this pays on any device
_LEAST = 32  # tokens; smaller trees are not worth another attempt


class _RefusedError(Exception):
    """The model didn't do to trees what it does to rows."""

    def __init__(self, reason: str, most: int = 0, *, prefix: bool = False) -> None:
        super().__init__(reason)
        self.most = most  # of how many tokens a tree may still be
        self.prefix = prefix  # whether it went on from a prefix that was read before


def score_in_trees(
    loaded: Loaded, parts: Sequence[Part]
) -> Generator[tuple[Part, Likelihood], None, list[Part]]:
    """Yield parts with how likely they are; return those that have to be scored in rows.

    Whenever trees are larger than those that were checked before, stand behind more columns of
    others, or in more rows, every part of the largest one of a batch, of the smallest, and of the
    one with most columns to overlook is compared with the plain path. When they disagree, none of
    the batch is used, and only smaller trees are tried from then on; `Loaded.notes` says so. Texts
    beyond an attention window are left to rows.
    """
    left, errors, findings = list(parts), [], loaded.findings
    while planned := _planned(loaded, left):
        done: set[int] = set()
        refused = None
        try:
            for group in planned:
                for scored in _score_group(loaded, group):
                    for part, likelihood in scored:
                        done.add(id(part))
                        yield part, likelihood
        except _RefusedError as error:
            refused = error
        left = [part for part in left if id(part) not in done]
        if refused is None:
            break
        errors.append(refused)
        if refused.prefix:
            findings.share_prefix = False
        else:
            findings.largest_tree = refused.most
    if errors:  # the last one says most: trees are smaller then, and without a prefix
        loaded.note(_told(loaded, errors[-1]))
    if left and findings.largest_tree is None:
        window = attention_window(loaded.model.config)
        loaded.note(
            f"{loaded.who} scores choices of more than {window} tokens in a row of their own, "
            "which is slower: some of its layers look no further back"
        )
    return left


def _told(loaded: Loaded, error: _RefusedError) -> str:
    """Return the note on what was given up."""
    if error.prefix:
        what = "reads what questions begin with anew for each of them"
    elif not error.most:
        what = "scores every choice in a row of its own"
    else:
        what = (
            f"scores choices of more than {error.most} tokens, those of a question taken together, "
            "in a row of their own"
        )
    return f"{loaded.who} {what}, which is slower: {error}"


def _planned(loaded: Loaded, parts: Sequence[Part]) -> list[PrefixGroup]:
    """Return the trees that may be tried; rows on either side of a border never share one."""
    border, most = loaded.findings.border, loaded.findings.largest_tree
    window = attention_window(loaded.model.config)
    if most == 0:
        return []
    # What a shared prefix must save, in tokens: half a batch, for two more passes.
    least = max(1, min(loaded.budget.tokens, _MOST) // 2)
    made: list[PrefixGroup] = []
    for beyond in (True, False) if border is not None else (False,):
        own = [
            part
            for part in parts
            if (border is not None and len(part.row) > border) is beyond
            and (window is None or len(part.row) <= window)
        ]
        trees = [tree for tree in _trees(loaded, own, most) if most is None or tree.size <= most]
        for group in by_prefix(trees, least) if trees else ():
            # What a cache keeps of a short prefix is not what a long row makes of it.
            apart = beyond and border is not None and len(group.prefix) <= border
            shared = loaded.findings.share_prefix and not apart
            made.append(group if shared else PrefixGroup((), group.trees))
    return made


def _trees(loaded: Loaded, parts: Sequence[Part], most: int | None) -> Iterator[Tree]:
    requests: defaultdict[int, list[Part]] = defaultdict(list)
    for part in parts:
        requests[part.request].append(part)
    limit = max(loaded.budget.tokens, _ROW)
    for own in requests.values():
        yield from trees_of(own, limit if most is None else min(limit, most))


def _score_group(loaded: Loaded, group: PrefixGroup) -> Iterator[Scored]:
    cached = _cache(loaded, group.prefix)
    skip = 0 if cached is None else len(group.prefix)
    sizes = [tree.size - skip for tree in group.trees]
    # Every row has its own copy of the prefix's keys and values.
    planned = partial(plan, beside=tokens_of_copies(loaded.model, skip))

    def forward(batch: list[int]) -> Scored:
        length = _row_length(sizes[batch[0]], loaded.budget.tokens)
        rows = fill([sizes[index] for index in batch], length)
        trees = [[group.trees[batch[place]] for place in row] for row in rows]
        return _checked(loaded, trees, skip, cached)

    for _, scored in in_batches(loaded, loaded.budget, sizes, forward, planned):
        yield scored


def plan(sizes: Sequence[int], budget: int, beside: int = 0) -> Iterator[list[int]]:
    """Yield groups of indices of trees, the biggest first; each group fits the budget in rows.

    A row takes `beside` tokens of the budget more than it reads.
    """
    order = sorted(range(len(sizes)), key=lambda index: -sizes[index])
    while order:
        length = _row_length(sizes[order[0]], budget)
        most = max(1, budget // (length + beside))
        count = sum(map(len, islice(fill((sizes[index] for index in order), length), most)))
        yield order[:count]
        order = order[count:]


def _row_length(biggest: int, budget: int) -> int:
    return max(biggest, min(_ROW, budget))


def _cache(loaded: Loaded, prefix: Sequence[int]) -> Cached | None:
    """Return the keys and values of a prefix; None where there is none or no room for it."""
    if not prefix:
        return None
    if cache_name(loaded) is None:
        raise _RefusedError("it fills no cache of keys and values", prefix=True)
    try:
        return read_prefix(loaded, prefix)
    except FAILURES as error:
        if not is_out_of_memory(error):
            raise _RefusedError(first_line(error), prefix=True) from None
    release(loaded.device)
    return None


def _checked(
    loaded: Loaded, rows: Sequence[Sequence[Tree]], skip: int, cached: Cached | None
) -> Scored:
    """Return the values of a batch of trees; raise `_RefusedError` where they are not right."""
    try:
        scored = score_trees(loaded, rows, skip, cached)
    except FAILURES as error:
        if is_out_of_memory(error):
            raise
        raise _RefusedError(
            f"it takes no tree of tokens ({first_line(error)})", prefix=cached is not None
        ) from None
    trees = sorted((tree for row in rows for tree in row), key=lambda tree: tree.size)
    hidden, parts, farthest = max((_hidden(row, skip) for row in rows), key=lambda found: found[0])
    extent = (trees[-1].size, hidden, len(rows))
    seen = loaded.findings.trees.setdefault(cached is not None, Neighbours())
    if loaded.settled or seen.reaches(*extent):
        return scored
    values = {id(part): likelihood.value for part, likelihood in scored}
    # Where only a few more columns are hidden, the branch that they are hidden from tells.
    known = seen.reaches(trees[-1].size, 0, len(rows))
    chosen = [] if known else [(tree.parts, tree) for tree in (trees[0], trees[-1])]
    for own, tree in (*chosen, (parts, farthest)):
        if reason := _difference(loaded, own, values):
            most = max(seen.longest if seen.longest < tree.size else 0, tree.size // 2)
            raise _RefusedError(reason, most if most >= _LEAST else 0, prefix=cached is not None)
    seen.extend(*extent)
    return scored


def _hidden(row: Sequence[Tree], skip: int) -> tuple[int, list[Part], Tree]:
    """Return behind how many columns a branch stands that it must not see; its parts and tree too.

    It is the last that has a token, and the columns are those of the trees before its own and of
    the branches before it. Where there are none, a model that overlooks masks and positions is
    right too.
    """
    *before, tree = row
    branches = tree.branches
    last = next((n for n in range(len(branches) - 1, 0, -1) if branches[n]), 0)
    columns = sum(one.size - skip for one in before) + sum(map(len, branches[:last]))
    return columns, [part for part, branch in tree.leaves if branch == last], tree


def _difference(loaded: Loaded, parts: Sequence[Part], values: Mapping[int, float]) -> str | None:
    """Return how a log-likelihood in a tree differs from that of a row of its own, if one does."""
    own = by_row(parts)
    every = list(own)
    for batch in batches([len(row) for row in every], loaded.budget.tokens):
        rows = [every[index] for index in batch]
        plain = score_spans(loaded, rows, [[part.span for part in own[row]] for row in rows])
        read = chain.from_iterable(own[row] for row in rows)
        for part, (expected, _) in zip(read, plain, strict=True):
            got = values[id(part)]
            if differ(loaded, len(part.span.targets), got, expected):
                return f"a log-likelihood was {got:.4f} in a tree and {expected:.4f} in a row"
    return None
