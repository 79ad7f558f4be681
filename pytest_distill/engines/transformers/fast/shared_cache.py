"""Overlapping windows of long texts, where each goes on from the cache of the last."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import itemgetter

import torch

from pytest_distill.engines.transformers.architecture import attention_window
from pytest_distill.engines.transformers.batching import in_batches, pad
from pytest_distill.engines.transformers.failures import FAILURES, is_out_of_memory
from pytest_distill.engines.transformers.fast import caching
from pytest_distill.engines.transformers.likelihood import (
    Place,
    logits_at,
    score_places,
    score_spans,
)
from pytest_distill.engines.transformers.loaded import Loaded
from pytest_distill.engines.windows import Reading, Span
from pytest_distill.errors import ModelError

# Much attention rests on the first tokens of a text, whatever they are. Xiao et al. (2024),
# "Efficient streaming language models with attention sinks": without them nothing is predicted
# any more, and four of them are enough.
_SINKS = 4
_LONGEST = 2**15  # tokens read in one go; beyond, float32 places neighbours ever less precisely
_CHECKED = 64  # tokens


@dataclass(frozen=True, slots=True)
class Window:
    """What a window sees: `size` tokens, of which `stride` are new.

    The others are the first tokens that were read (the sinks) and the last ones before the new.
    """

    size: int
    stride: int

    @property
    def overlap(self) -> int:
        """How many tokens are not new."""
        return self.size - self.stride

    @property
    def sinks(self) -> int:
        """How many of them are the first."""
        return min(_SINKS, self.overlap)

    @property
    def recent(self) -> int:
        """How many of them stood just before the new ones."""
        return self.overlap - self.sinks


def stretches(tokens: Sequence[int], prefix: int, window: Window) -> Iterator[Reading]:
    """Yield a text in stretches, so that every token is scored once.

    All but the first begin with as much context as a window has before its new tokens.

    Parameters
    ----------
    tokens : sequence of int
        A text of more than ``window.size`` tokens.
    prefix : int
        The token that the first one is predicted from.
    window : Window
        What a window sees.
    """
    read = [prefix, *tokens[:-1]]
    begin, length = 0, max(_LONGEST, window.size + window.stride)
    while begin < len(tokens):
        end = begin + length if len(tokens) - begin - length > window.size else len(tokens)
        first = max(0, begin - window.overlap)
        yield Reading(read[first:end], Span(begin - first, tuple(tokens[begin:end])))
        begin = end


def score_stretches(
    loaded: Loaded, parts: Sequence[tuple[int, Reading]], window: Window
) -> Iterator[tuple[int, float]]:
    """Yield the number of each stretch's text with its log-likelihood, batch by batch.

    Raises
    ------
    ModelError
        When the model is none whose windows can share its cache.
    """
    order = sorted(parts, key=lambda part: -len(part[1].row))
    _check(loaded, order[0][1].row, window)

    def forward(batch: list[int]) -> list[float]:
        return _score(loaded, [order[place][1] for place in batch], window)

    sizes = [window.size] * len(parts)  # in memory at once, whatever the stretch's length
    for batch, values in in_batches(loaded, loaded.budget, sizes, forward):
        for place, value in zip(batch, values, strict=True):
            yield order[place][0], value


@torch.inference_mode()
def _score(loaded: Loaded, parts: Sequence[Reading], window: Window) -> list[float]:
    """Return the log-likelihood of every stretch; all of them move on together."""
    totals = [0.0] * len(parts)
    going, begin, end = list(range(len(parts))), 0, window.size
    seen: caching.Cached = []
    ahead: list[caching.Cached] = []  # the sinks of the next windows
    while True:
        rows = [parts[index].row[begin:end] for index in going]
        wanted = [_wanted(parts[index], row, begin, end) for row, index in enumerate(going)]
        values, seen = _read(loaded, rows, begin, seen, wanted)
        for index, value in zip(going, values, strict=True):
            totals[index] += value
        stay = [row for row, index in enumerate(going) if len(parts[index].row) > end]
        if not stay:
            return totals
        if len(stay) < len(going):
            going = [going[row] for row in stay]
            seen, *ahead = [caching.each(itemgetter(stay), one) for one in (seen, *ahead)]
        begin, end = end, end + window.stride
        if not ahead:
            read = [parts[index].row for index in going]
            begins = range(begin, max(map(len, read)), window.stride)
            ahead = _read_sinks(loaded, read, begins, window)
        seen = caching.each(partial(_joined, window), ahead.pop(0), seen)


def _wanted(part: Reading, row: int, begin: int, end: int) -> tuple[list[Place], Sequence[int]]:
    """Return what is scored of columns `begin` to `end`, which a row of a batch consists of."""
    start = part.span.start
    first, end = max(begin, start), min(end, len(part.row))
    targets = part.span.targets[first - start : end - start]
    return [(row, column - begin) for column in range(first, end)], targets


def _joined(window: Window, sinks: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """Return what a window that has moved sees: the sinks, and the last of what was seen."""
    return torch.cat([sinks, seen[:, :, seen.shape[2] - window.recent :]], dim=2)


def _read_sinks(
    loaded: Loaded, rows: Sequence[list[int]], begins: Sequence[int], window: Window
) -> list[caching.Cached]:
    """Return the keys and values of the sinks, for as many windows as a batch takes.

    They stand just before the tokens that stay, as near as in the texts that the model was
    trained on. They see nothing but each other, so that they can be read for any place.
    """
    begins = begins[: max(1, loaded.budget.tokens // (window.sinks * len(rows)))]
    ids = pad([row[: window.sinks] for row in rows for _ in begins], 0, loaded.device)
    positions = torch.tensor([[*begins]] * len(rows), device=loaded.device).reshape(-1, 1)
    cache = caching.filled([], len(ids))
    offsets = torch.arange(window.sinks, device=loaded.device) - window.overlap
    inputs = {
        "input_ids": ids,
        "position_ids": positions + offsets,
        **caching.going_on(loaded, cache),
    }
    logits_at(loaded, inputs, [0], [0])
    read = caching.keys_and_values(cache)
    count = len(begins)
    return [caching.each(itemgetter(slice(at, None, count)), read) for at in range(count)]


def _read(
    loaded: Loaded,
    rows: Sequence[list[int]],
    begin: int,
    seen: caching.Cached,
    wanted: Sequence[tuple[Sequence[Place], Sequence[int]]],
) -> tuple[list[float], caching.Cached]:
    """Return what is scored of tokens that begin at a position, and the keys and values then.

    A row that ends isn't kept, so that its padding is seen by none.
    """
    inputs, cache = caching.reading_on(loaded, rows, seen, begin)
    scored = score_places(loaded, inputs, wanted)
    return [one.value for one in scored], caching.keys_and_values(cache)


def _check(loaded: Loaded, row: list[int], window: Window) -> None:
    """Refuse a model that doesn't give the same log-likelihoods anywhere and from its cache.

    Looked at are its config, and the first tokens of the longest row: read at once and from the
    start, and read as far away as the row goes, the sinks before the rest.
    """
    reason, findings = None, loaded.findings
    most = attention_window(loaded.model.config)
    if caching.cache_name(loaded) is None:
        reason = "it fills no cache of keys and values"
    elif most is not None and window.size > most:
        reason = f"some of its layers look no further back than {most} tokens"
    elif findings.border is not None and len(row) > findings.border:
        reason = f"its positions count otherwise beyond {findings.border} tokens"
    elif not any(name.endswith("inv_freq") for name, _ in loaded.model.named_buffers()):
        reason = "it has no rotary positions (inv_freq) that reach beyond its context"
    elif len(row) <= findings.reach:
        return
    if reason is None:
        reason = _difference(loaded, row, window)
    if reason is not None:
        raise ModelError(
            f"model '{loaded.name}' ({loaded.architecture}) can't share its cache between windows: "
            f"{reason}; leave out 'share_cache', so that all models read every window anew"
        )
    findings.reach = len(row)


@torch.inference_mode()
def _difference(loaded: Loaded, row: list[int], window: Window) -> str | None:
    count, sinks = min(_CHECKED, window.size), window.sinks
    targets = tuple(row[sinks + 1 : count + 1])
    ((plain, _),) = score_spans(loaded, [row[:count]], [[Span(sinks, targets)]])
    begin = len(row) - count + sinks
    places = [(0, column) for column in range(count - sinks)]
    try:
        (seen,) = _read_sinks(loaded, [row], [begin - sinks + window.overlap], window)
        (moved,), _ = _read(loaded, [row[sinks:count]], begin, seen, [(places, targets)])
    except FAILURES as error:
        if is_out_of_memory(error):
            raise
        return f"{type(error).__name__} in its forward()"
    if math.isnan(plain) or abs(moved - plain) <= _tolerance(loaded, len(targets)):
        return None  # of a model that gives no numbers others tell
    return (
        f"the log-likelihood of its first {len(targets)} tokens was {plain:.4f}, and {moved:.4f} "
        f"at position {begin}"
    )


def _tolerance(loaded: Loaded, tokens: int) -> float:
    """Return how far the log-likelihood of some tokens may be from the plain one.

    Neither positions nor logits are exact, and errors of single tokens partly cancel: over 60
    tokens, up to position 30,000, SmolLM2-135M differed by up to 0.005 in float32, 0.14 in float16
    and 1.4 in bfloat16.
    """
    return max(0.05, 64 * torch.finfo(loaded.model.dtype).eps * math.sqrt(tokens))
