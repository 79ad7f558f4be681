"""Logits of two models into a few numbers a position, so that nothing else needs to be kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from pytest_distill.evals.distributions import bounded_likeness

Figures = NDArray[np.float64]
"""Shape (positions, 7): 1; whether both models have the same most likely token; bounds of the
divergence; bounds of the total variation; how much of the teacher's probability is known."""


class Reduction(Protocol):
    """What makes figures of logits, in two steps: the first stays on the device.

    So many chunks are computed before the host waits for them once.
    """

    def on_device(self, logits: Sequence[torch.Tensor], places: slice) -> torch.Tensor:
        """Return some float64 numbers of each position, of the logits of every model there."""

    def on_host(self, numbers: Figures) -> Figures:
        """Return the figures that follow from these numbers."""


class WholeDistributions:
    """Student and teacher, in this order, both with all of their logits."""

    @torch.inference_mode()
    def on_device(self, logits: Sequence[torch.Tensor], places: slice) -> torch.Tensor:  # noqa: ARG002 (as in the protocol)
        """Return whether the models agree, their divergence and their total variation."""
        student, teacher = logits
        mine = student.float().log_softmax(-1)
        theirs = teacher.to(student.device).float().log_softmax(-1)
        p, q = theirs.exp(), mine.exp()
        divergence = torch.where(p > 0, p * (theirs - mine), 0.0).sum(-1, dtype=torch.float64)
        variation = (p - q).abs().sum(-1, dtype=torch.float64) / 2
        agreed = _first_largest(mine) == _first_largest(theirs)
        # Rounding can bring the divergence of two nearly equal distributions below 0.
        columns = (agreed.double(), divergence.clamp(min=0), variation.clamp(max=1))
        return torch.stack(columns, dim=1)

    def on_host(self, numbers: Figures) -> Figures:
        """Return them as figures: both bounds are the same, and all probability is known."""
        return np.insert(numbers[:, [0, 1, 1, 2, 2]], [0, 5], 1.0, axis=1)


@dataclass(frozen=True)
class CapturedTokens:
    """The student's logits, and the most likely tokens that were recorded of the teacher.

    Parameters
    ----------
    top, logprobs : ndarray, shape (positions, k)
        Columns of the student's logits, -1 where there are fewer; the teacher's log-probabilities.
    """

    top: NDArray[np.int64]
    logprobs: Figures

    @torch.inference_mode()
    def on_device(self, logits: Sequence[torch.Tensor], places: slice) -> torch.Tensor:
        """Return the most likely token, probability and least of the others, and all captured."""
        mine = logits[0].float().log_softmax(-1)
        there = torch.from_numpy(self.top[places]).to(mine.device)
        mask = torch.zeros(mine.shape[0], mine.shape[1] + 1, dtype=torch.bool, device=mine.device)
        mask.scatter_(1, torch.where(there >= 0, there, mine.shape[1]), value=True)
        mask = mask[:, :-1]
        rest = mine.exp().masked_fill(mask, 0.0).sum(-1, dtype=torch.float64)
        least = mine.masked_fill(mask, torch.inf).amin(-1)
        least = torch.where(mask.all(-1), -torch.inf, least)
        few = torch.stack([_first_largest(mine).double(), rest, least.double()], dim=1)
        return torch.cat([few, mine.gather(1, there.clamp(min=0)).double()], dim=1)

    def on_host(self, numbers: Figures) -> Figures:
        """Return bounds of the figures; 0 at positions that were not captured."""
        best, rest, least = numbers[:, :3].T
        bounded = bounded_likeness(self.logprobs, numbers[:, 3:], rest, least)
        agreed = self.top[np.arange(len(self.top)), self.logprobs.argmax(axis=1)] == best
        columns = [np.ones(len(best)), agreed, *bounded.divergence, *bounded.total_variation]
        figures = np.column_stack([*columns, bounded.mass])
        return np.where(np.isfinite(self.logprobs).any(axis=1, keepdims=True), figures, 0.0)


def _first_largest(values: torch.Tensor) -> torch.Tensor:
    """Return the first index of the largest value of each row; argmax on CUDA may give any."""
    last = torch.arange(values.shape[1], dtype=torch.int32, device=values.device)
    largest = values == values.amax(-1, keepdim=True)
    return torch.where(largest, last, values.shape[1]).amin(-1)
