"""A model in memory, and what was found out of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from pytest_distill.engines.transformers.batching import Budget
from pytest_distill.engines.transformers.findings import Findings
from pytest_distill.engines.transformers.reader import Reader


@dataclass(frozen=True)
class Loaded(Reader):
    """A model in memory, ready to be asked.

    Parameters
    ----------
    name, architecture, tokenizer, kind, context, vocabulary, clock, notes
        See `Reader`.
    model
        The transformers object, on its device and in eval mode.
    device : torch.device
        Where the inputs go.
    budget, generation_budget : Budget
        How many tokens, padding included, one forward pass takes, and how many a batch that is
        generated has in the end. They shrink when memory runs out.
    onednn : bool
        Whether matrix products run in oneDNN; see `onednn`.
    findings : Findings
        What each way to run the model found out of it.
    settled : bool
        Whether nothing is tried any more: while the clock runs.
    joins : bool
        Whether what requests have in common may be answered once: not while it is measured.
    """

    model: Any
    device: torch.device
    budget: Budget
    generation_budget: Budget
    onednn: bool
    findings: Findings = field(default_factory=Findings)
    settled: bool = False
    joins: bool = True
