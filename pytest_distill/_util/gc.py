"""Python's garbage collector, where very many objects are made that stay."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep the collector off, unless it is already.

    It looks through all objects again each time that their number grew by a quarter, and none of a
    million rows is garbage: that takes a third of the time to read them. For a block that is short
    and runs no model, since whatever refers to itself is freed only afterwards.
    """
    paused = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if paused:
            gc.enable()
