"""Everything that is asked of CUDA, in one place: a machine without one cannot run this code.

A device is passed on every call, since torch's default is the current device, which none of the
models need be on.
"""

from __future__ import annotations

import torch


def device_count() -> int:
    """Return how many GPUs torch can use; 0 where there is none."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def free_memory(device: torch.device) -> int:
    """Return how many bytes are free on a GPU, whoever holds the others."""
    free, _total = torch.cuda.mem_get_info(device)
    return free


def give_back(device: torch.device) -> None:
    """Give the blocks that the allocator keeps for later back to a GPU."""
    with torch.cuda.device(device):
        torch.cuda.empty_cache()


def name(device: torch.device) -> str:
    """Return what a GPU is called."""
    return torch.cuda.get_device_name(device)


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has done all that it was given."""
    torch.cuda.synchronize(device)


def forget_peak(device: torch.device) -> None:
    """Let `peak_memory` start from what is allocated now."""
    torch.cuda.reset_peak_memory_stats(device)


def peak_memory(device: torch.device) -> int:
    """Return the most bytes that tensors held on a GPU since `forget_peak`."""
    return torch.cuda.max_memory_allocated(device)
