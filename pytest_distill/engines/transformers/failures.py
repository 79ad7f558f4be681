"""What a model's code raises where it does not know an input or cannot go on from one."""

from __future__ import annotations

import torch

FAILURES = (
    RuntimeError,
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    AssertionError,
    MemoryError,
)

# How torch's allocator on the CPU, its kernels and the C++ library say that memory ran out, all of
# them in a plain RuntimeError.
_OUT_OF_MEMORY = (
    "can't allocate memory",
    "Cannot allocate memory",
    "not enough memory",
    "bad_alloc",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception of a forward pass means that memory ran out."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)


def said(error: BaseException) -> str:
    """Return the first line that an exception says; its class where it says nothing."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def first_line(error: BaseException) -> str:
    """Return what an exception says, in one line."""
    told = str(error).strip().splitlines()[0] if str(error).strip() else ""
    return f"{type(error).__name__}: {told}" if isinstance(error, FAILURES) else told
