"""A long text in windows: what a model reads at once, and what is scored in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Span:
    """Some tokens to score: where they begin to be predicted, and what they are."""

    start: int
    targets: tuple[int, ...]


class Reading(NamedTuple):
    """What a model reads in one go, and what is scored in it."""

    row: list[int]
    span: Span


def windows(tokens: Sequence[int], prefix: int, window: int, stride: int) -> Iterator[Reading]:
    """Yield what the model reads and what is scored in it, so that every token is scored once.

    Parameters
    ----------
    tokens : sequence of int
        The text.
    prefix : int
        The token that the first one is predicted from.
    window : int
        How many tokens the model reads at most.
    stride : int
        How many tokens are scored in every window after the first, which scores all of its own.
        With ``stride == window`` the windows are disjoint, as in lm-evaluation-harness, except
        that the last one is filled up with context; a smaller stride gives every token at least
        ``window - stride`` tokens of context, for more windows.

    Notes
    -----
    What a layer keeps of a token depends on all that stood before it in its window: read like
    this, no two windows have anything in common. The engine transformers has another way too.
    """
    end = min(window, len(tokens))
    if end:
        yield Reading([prefix, *tokens[: end - 1]], Span(0, tuple(tokens[:end])))
    while end < len(tokens):
        begin, end = end, min(end + stride, len(tokens))
        row = list(tokens[end - window - 1 : end - 1])
        yield Reading(row, Span(window - (end - begin), tuple(tokens[begin:end])))
