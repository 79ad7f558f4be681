"""Logits at chosen positions, and the log-likelihood of chosen tokens in rows that are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import chain, islice
from math import fsum, isnan
from typing import Any, NamedTuple

import torch

from pytest_distill.engines.transformers.batching import pad
from pytest_distill.engines.transformers.fast.onednn import all_logits
from pytest_distill.engines.transformers.loaded import Loaded
from pytest_distill.engines.transformers.neighbours import answers_of_rows
from pytest_distill.engines.windows import Span

_CHUNK = 512  # positions whose logits become float32 at a time
_BLOCK = 256  # tokens of a vocabulary whose highest score is looked for at a time


class Likelihood(NamedTuple):
    """How likely some tokens are, one after the other.

    Parameters
    ----------
    value : float
        The natural logarithm of their probability, summed in float64.
    greedy : bool
        Whether each of them is the most likely one at its place, so that the model would generate
        them greedily: lm-evaluation-harness's ``is_greedy``. Of several that are as likely it is
        the one that torch's ``argmax`` names.
    """

    value: float
    greedy: bool


Place = tuple[int, int]
"""A row of a batch and a column in it."""


@torch.inference_mode()
def score_spans(
    loaded: Loaded, rows: Sequence[Sequence[int]], spans: Sequence[Sequence[Span]]
) -> list[Likelihood]:
    """Return how likely every span is, in the order of the rows and their spans.

    Parameters
    ----------
    loaded : Loaded
        A causal model.
    rows : sequence of sequence of int
        Token ids. They are padded on the right: no token attends to what comes after it, so no
        mask is needed and the positions are right.
    spans : sequence of sequence of Span
        What is scored in each row; position `start` of a row predicts the span's first target.
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
) -> Iterator[tuple[int, list[Likelihood]]]:
    """Yield the index of every row with how likely its spans are, batch by batch."""

    def forward(batch: list[int]) -> list[list[Likelihood]]:
        own = [spans[index] for index in batch]
        found = iter(score_spans(loaded, [rows[index] for index in batch], own))
        return [[next(found) for _ in of] for of in own]

    def difference(index: int, got: list[Likelihood], alone: list[Likelihood]) -> str | None:
        for span, here, there in zip(spans[index], got, alone, strict=True):
            if differ(loaded, len(span.targets), here.value, there.value):
                return f"a log-likelihood was {here.value:.4f} and then {there.value:.4f}"
        return None

    yield from answers_of_rows(loaded, [len(row) for row in rows], forward, difference)


def differ(loaded: Loaded, tokens: int, got: float, expected: float) -> bool:
    """Return whether two log-likelihoods of some tokens are apart by more than rounding.

    In half precision a logit of about 16 is rounded to a unit in the last place, and two ways of
    summing differ by a few of them at every token. NaN twice tells nothing.
    """
    if isnan(got) and isnan(expected):
        return False
    dtype = loaded.model.dtype
    if dtype in (torch.float16, torch.bfloat16):
        most = 16 * 4 * torch.finfo(dtype).eps * max(1, tokens)
    else:
        most = max(1e-3, 2e-5 * tokens, 1e-5 * abs(expected))
    return not abs(got - expected) <= most


def score_places(
    loaded: Loaded,
    inputs: dict[str, Any],
    wanted: Sequence[tuple[Sequence[Place], Sequence[int]]],
) -> list[Likelihood]:
    """Return how likely each sequence of targets is at its places.

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
    norms, tops = _norms_and_tops(logits)
    rows = [[number[place] for place in own] for own, _ in wanted]
    targets = [target for _, own in wanted for target in own]
    row, target = torch.tensor([[*chain.from_iterable(rows)], targets], device=logits.device)
    likely = logits[row, target].float() - norms[row]
    # Both come back together: a GPU waits each time.
    values, hits = map(iter, torch.stack([likely, (tops[row] == target).float()]).tolist())
    return [
        Likelihood(fsum(islice(values, len(own))), all(list(islice(hits, len(own)))))
        for own in rows
    ]


def _norms_and_tops(logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the logarithm of the sum of exponentials, and the top token, of every position."""
    norms, tops = [], []
    for part in torch.split(logits, _CHUNK):
        scores = part.float()
        norms.append(scores.logsumexp(dim=-1))
        tops.append(top_tokens(scores))
    return torch.cat(norms), torch.cat(tops)


def top_tokens(scores: torch.Tensor) -> torch.Tensor:
    """Return of each row the token with the highest score, the first of several, as ``argmax``.

    First the block that has it is looked for: of a large vocabulary a CPU finds a maximum five
    times as fast as its place.

    Parameters
    ----------
    scores : torch.Tensor
        Shape (rows, vocabulary).
    """
    size = scores.shape[-1]
    count = size // _BLOCK
    if count < 2:
        return scores.argmax(dim=-1)
    highest = scores[:, : count * _BLOCK].view(len(scores), count, _BLOCK).amax(dim=-1)
    if rest := size % _BLOCK:
        highest = torch.cat([highest, scores[:, -rest:].amax(dim=-1, keepdim=True)], dim=-1)
    # The last block is filled up from the one before it, in which all is lower.
    begin = (highest.argmax(dim=-1, keepdim=True) * _BLOCK).clamp(max=size - _BLOCK)
    block = scores.gather(-1, begin + torch.arange(_BLOCK, device=scores.device))
    tops: torch.Tensor = begin.squeeze(-1) + block.argmax(dim=-1)
    return tops


def logits_at(
    loaded: Loaded, inputs: Mapping[str, Any], rows: Sequence[int], columns: Sequence[int]
) -> torch.Tensor:
    """Return a model's logits at some positions of a batch; a seq2seq model's decoder's.

    The vocabulary projection is most of the cost of a small model, so it runs for these positions
    alone: they are picked out of the hidden states on their way into it. (``logits_to_keep``
    would take the same columns of every row.) What the model does to its logits afterwards,
    scaling or capping, is done as ever. Where that mixes positions, as `trials` finds out, all are
    projected.

    Parameters
    ----------
    loaded : Loaded
        A causal or seq2seq model.
    inputs : mapping of str to object
        Keyword arguments of its ``forward``, ``input_ids`` among them.
    rows, columns : sequence of int
        The positions; their order is the result's.

    Returns
    -------
    torch.Tensor
        Shape (positions, vocabulary), in the model's type.
    """
    row = torch.tensor(rows, dtype=torch.long)
    column = torch.tensor(columns, dtype=torch.long)
    shape = inputs.get("decoder_input_ids", inputs["input_ids"]).shape
    picked = False

    def pick(_module: Any, args: tuple[Any, ...]) -> tuple[Any, ...] | None:
        nonlocal picked
        hidden = args[0] if args else None
        if not isinstance(hidden, torch.Tensor) or hidden.shape[:-1] != shape:
            return None
        picked = True
        return (hidden[row.to(hidden.device), column.to(hidden.device)].unsqueeze(0), *args[1:])

    some = loaded.findings.projects_some
    projection = loaded.model.get_output_embeddings() if some else None
    with nullcontext() if projection is None else projection.register_forward_pre_hook(pick):
        logits = all_logits(loaded, **inputs)
    if picked:
        return logits[0]
    return logits[row.to(logits.device), column.to(logits.device)]
