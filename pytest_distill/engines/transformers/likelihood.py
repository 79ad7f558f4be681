"""The log-likelihood of chosen tokens in rows that a causal model reads."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from pytest_distill.engines.transformers.batching import pad
from pytest_distill.engines.transformers.loading import Loaded
from pytest_distill.engines.transformers.quiet import quiet

_CHUNK = 512  # positions whose logits become float32 log-probabilities at a time


@dataclass(frozen=True, slots=True)
class Span:
    """Some tokens to score: where they begin to be predicted, and what they are."""

    start: int
    targets: tuple[int, ...]


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
    # The vocabulary projection is most of the cost of a small model: only for positions that
    # some row of the batch is scored at.
    positions = sorted(
        {
            span.start + offset
            for row in spans
            for span in row
            for offset in range(len(span.targets))
        }
    )
    inputs: dict[str, Any] = {"input_ids": pad(rows, 0, loaded.device), "use_cache": False}
    if "logits_to_keep" in inspect.signature(loaded.model.forward).parameters:
        inputs["logits_to_keep"] = torch.tensor(positions, device=loaded.device)
        column = {position: index for index, position in enumerate(positions)}
    else:
        column = {position: position for position in positions}
    with quiet():
        logits = loaded.model(**inputs).logits
    values = []
    for row, wanted in enumerate(spans):
        for span in wanted:
            columns = [column[span.start + offset] for offset in range(len(span.targets))]
            values.append(_span_score(logits[row], columns, span.targets))
    return values


def _span_score(logits: torch.Tensor, columns: Sequence[int], targets: Sequence[int]) -> float:
    total = torch.zeros((), dtype=torch.float64)
    for start in range(0, len(columns), _CHUNK):
        part = logits[torch.tensor(columns[start : start + _CHUNK], device=logits.device)]
        aims = torch.tensor(targets[start : start + _CHUNK], device=logits.device).unsqueeze(-1)
        logprobs = torch.log_softmax(part, dim=-1, dtype=torch.float32).gather(-1, aims)
        total += logprobs.double().sum().cpu()
    return float(total)
