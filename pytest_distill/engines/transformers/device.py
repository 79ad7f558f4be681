"""Where a model runs: the device of a spec, its memory, and what one forward pass may hold."""

from __future__ import annotations

import gc

import torch

from pytest_distill.engines import ModelSpec
from pytest_distill.errors import ModelError

# On a CPU a batch should stay in its caches: with SmolLM2-135M (one thread, 20 ARC-Easy questions)
# batches of 256, 512, 1024, 2048 and 4096 tokens took 7.0, 7.4, 8.0, 10.8 and 15.9 s of CPU time.
_TOKENS_ON_CPU = 512
_TOKENS_ON_CUDA = 16384
# Generating reads all weights for one token a row, so here more rows always help.
_TOKENS_GENERATING_ON_CPU = 4096


def resolve_device(spec: ModelSpec) -> torch.device:
    """Return the device that ``device:`` means on this machine.

    Raises
    ------
    ModelError
        When it names CUDA, or a CUDA device, that is not there, or no device at all: a model that
        was meant for a GPU never runs silently on the CPU.
    """
    if spec.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(spec.device)
    except RuntimeError:
        raise ModelError(
            f"model '{spec.name}': device '{spec.device}' is unknown; use auto, cuda, cuda:N or cpu"
        ) from None
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise ModelError(
                f"model '{spec.name}': device '{spec.device}' was asked for, but torch "
                f"{torch.__version__} finds no CUDA device here; use 'device: auto' or 'cpu', or "
                "run where a GPU is"
            )
        count = torch.cuda.device_count()
        if device.index is not None and device.index >= count:
            raise ModelError(
                f"model '{spec.name}': device '{spec.device}' was asked for, but this machine has "
                f"only cuda:0 to cuda:{count - 1}"
                if count > 1
                else f"model '{spec.name}': device '{spec.device}' was asked for, but this machine "
                "has only cuda:0"
            )
    return device


def token_budget(spec: ModelSpec, device: torch.device, *, generating: bool = False) -> int:
    """Return how many tokens, padding included, a batch has: ``batch_tokens``, else a default."""
    if spec.batch_tokens is not None:
        return spec.batch_tokens
    if device.type == "cuda":
        return _TOKENS_ON_CUDA
    return _TOKENS_GENERATING_ON_CPU if generating else _TOKENS_ON_CPU


def release(device: torch.device) -> None:
    """Give memory that nothing refers to any more back to the device."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
