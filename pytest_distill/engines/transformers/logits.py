"""Logits at chosen positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from pytest_distill.engines.transformers.fast.onednn import computing
from pytest_distill.engines.transformers.loaded import Loaded


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
    handle = None if projection is None else projection.register_forward_pre_hook(pick)
    try:
        with computing(loaded):
            logits: torch.Tensor = loaded.model(**inputs).logits
    finally:
        if handle is not None:
            handle.remove()
    if picked:
        return logits[0]
    return logits[row.to(logits.device), column.to(logits.device)]
