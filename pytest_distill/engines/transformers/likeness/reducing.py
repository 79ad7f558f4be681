"""Logits of two models into a few numbers a position, so that nothing else needs to be kept."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from pytest_distill.evals.distributions import bounded_likeness

Figures = NDArray[np.float64]
"""Shape (positions, 7): 1; whether both models have the same most likely token; bounds of the
divergence; bounds of the total variation; how much of the teacher's probability is known."""


@torch.inference_mode()
def whole(teacher: torch.Tensor, student: torch.Tensor) -> Figures:
    """Return the figures of positions, from logits of shape (positions, vocabulary)."""
    mine = student.float().log_softmax(-1)
    theirs = teacher.to(student.device).float().log_softmax(-1)
    p, q = theirs.exp(), mine.exp()
    divergence = torch.where(p > 0, p * (theirs - mine), 0.0).sum(-1, dtype=torch.float64)
    variation = (p - q).abs().sum(-1, dtype=torch.float64) / 2
    agreed = _first_largest(mine) == _first_largest(theirs)
    ones = torch.ones_like(variation)
    # Rounding can bring the divergence of two nearly equal distributions below 0.
    columns = (ones, agreed.double(), divergence.clamp(min=0), variation.clamp(max=1), ones)
    figures: Figures = torch.stack(columns, dim=1).cpu().numpy()
    return figures[:, [0, 1, 2, 2, 3, 3, 4]]


@torch.inference_mode()
def captured(student: torch.Tensor, top: NDArray[np.int64], logprobs: Figures) -> Figures:
    """Return the figures of positions, from the student's logits and the teacher's top tokens."""
    mine = student.float().log_softmax(-1)
    there = torch.from_numpy(top).to(mine.device)
    mask = torch.zeros(mine.shape[0], mine.shape[1] + 1, dtype=torch.bool, device=mine.device)
    mask.scatter_(1, torch.where(there >= 0, there, mine.shape[1]), value=True)
    mask = mask[:, :-1]
    rest = mine.exp().masked_fill(mask, 0.0).sum(-1, dtype=torch.float64)
    least = mine.masked_fill(mask, torch.inf).amin(-1)
    least = torch.where(mask.all(-1), -torch.inf, least)
    own = mine.gather(1, there.clamp(min=0)).double()
    best = _first_largest(mine)
    bounded = bounded_likeness(
        logprobs, own.cpu().numpy(), rest.cpu().numpy(), least.double().cpu().numpy()
    )
    agreed = top[np.arange(len(top)), logprobs.argmax(axis=1)] == best.cpu().numpy()
    figures = np.column_stack(
        [np.ones(len(top)), agreed, *bounded.divergence, *bounded.total_variation, bounded.mass]
    )
    return np.where(np.isfinite(logprobs).any(axis=1, keepdims=True), figures, 0.0)


def _first_largest(values: torch.Tensor) -> torch.Tensor:
    """Return the first index of the largest value of each row; argmax on CUDA may give any."""
    last = torch.arange(values.shape[1], device=values.device)
    largest = values == values.amax(-1, keepdim=True)
    return torch.where(largest, last, values.shape[1]).amin(-1)
