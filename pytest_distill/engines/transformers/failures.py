"""What a model's code raises where it does not know an input or cannot go on from one."""

from __future__ import annotations

FAILURES = (
    RuntimeError,
    TypeError,
    ValueError,
    LookupError,
    AttributeError,
    AssertionError,
    MemoryError,
)


def said(error: BaseException) -> str:
    """Return the first line that an exception says; its class where it says nothing."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def first_line(error: BaseException) -> str:
    """Return what an exception says, in one line."""
    told = str(error).strip().splitlines()[0] if str(error).strip() else ""
    return f"{type(error).__name__}: {told}" if isinstance(error, FAILURES) else told
