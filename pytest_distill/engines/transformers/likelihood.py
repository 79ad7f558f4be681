"""The log-likelihood of chosen tokens in rows that a causal model reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import fsum
from typing import Any, NamedTuple

import torch

from pytest_distill.engines.transformers.batching import pad
from pytest_distill.engines.transformers.loaded import Loaded
from pytest_distill.engines.transformers.logits import logits_at
from pytest_distill.engines.transformers.neighbours import answers_of_rows
from pytest_distill.engines.transformers.trials import differ

_CHUNK = 512  # positions whose logits become float32 at a time


@dataclass(frozen=True, slots=True)
class Span:
    """Some tokens to score: where they begin to be predicted, and what they are."""

    start: int
    targets: tuple[int, ...]


class Reading(NamedTuple):
    """What a model reads in one go, and what is scored in it."""

    row: list[int]
    span: Span


Place = tuple[int, int]
"""A row of a batch and a column in it."""


@torch.inference_mode()
def score_spans(
    loaded: Loaded, rows: Sequence[Sequence[int]], spans: Sequence[Sequence[Span]]
) -> list[float]:
    """Return the log-likelihood of every span, in the order of the rows and their spans.

    Parameters
    ----------
    loaded : Loaded
        A causal model.
    rows : sequence of sequence of int
        Token ids. They are padded on the right: no token attends to what comes after it, so no
        mask is needed and the positions are right.
    spans : sequence of sequence of Span
        What is scored in each row; position `start` of a row predicts the span's first target.

    Returns
    -------
    list of float
        Natural logarithms, summed in float64.
    """
    inputs = {"input_ids": pad(rows, 0, loaded.device), "use_cache": False}
    wanted = [
        ([(row, span.start + offset) for offset in range(len(span.targets))], span.targets)
        for row, own in enumerate(spans)
        for span in own
    ]
    return score_places(loaded, inputs, wanted)


def score_rows(
    loaded: Loaded, rows: Sequence[Sequence[int]], spans: Sequence[Sequence[Span]]
) -> Iterator[tuple[int, list[float]]]:
    """Yield the index of every row with the log-likelihoods of its spans, batch by batch."""

    def forward(batch: list[int]) -> list[list[float]]:
        own = [spans[index] for index in batch]
        values = iter(score_spans(loaded, [rows[index] for index in batch], own))
        return [[next(values) for _ in of] for of in own]

    def difference(index: int, got: list[float], alone: list[float]) -> str | None:
        for span, here, there in zip(spans[index], got, alone, strict=True):
            if differ(loaded, len(span.targets), here, there):
                return f"a log-likelihood was {here:.4f} and then {there:.4f}"
        return None

    yield from answers_of_rows(loaded, [len(row) for row in rows], forward, difference)


def score_places(
    loaded: Loaded,
    inputs: dict[str, Any],
    wanted: Sequence[tuple[Sequence[Place], Sequence[int]]],
) -> list[float]:
    """Return the summed log-probability of each sequence of targets at its places.

    The log-softmax is taken in float32 whatever the model runs in, once for every position.

    Parameters
    ----------
    loaded : Loaded
        A causal model.
    inputs : dict
        Keyword arguments of its ``forward``.
    wanted : sequence of (places, targets)
        Which positions of the batch predict which tokens. Several may share a position: it goes
        through the vocabulary projection once.
    """
    places = sorted({place for own, _ in wanted for place in own})
    number = {place: index for index, place in enumerate(places)}
    logits = logits_at(loaded, inputs, *zip(*places, strict=True))
    norms = torch.cat([part.float().logsumexp(dim=-1) for part in torch.split(logits, _CHUNK)])
    rows = torch.tensor([number[place] for own, _ in wanted for place in own], device=norms.device)
    tokens = [target for _, targets in wanted for target in targets]
    chosen = logits[rows, torch.tensor(tokens, device=norms.device)].float()
    values = iter((chosen - norms[rows]).tolist())
    return [fsum(next(values) for _ in targets) for _, targets in wanted]
