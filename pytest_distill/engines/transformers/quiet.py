"""Keeps what transformers says on the way out of pytest's output."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import transformers.utils.logging

# Any, because transformers' functions carry no types.
logging: Any = transformers.utils.logging


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the warnings, log records and progress bars of transformers, and only inside.

    What matters among them (weights that are missing, a text that is too long) this package
    checks itself and raises as an error: a warning in a suite run with ``-W error`` would fail
    the test, and any other would drown in its output. Never held across a ``yield`` of a
    generator, where it would silence the caller too.
    """
    verbosity = logging.get_verbosity()
    progress = logging.is_progress_bar_enabled()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        try:
            yield
        finally:
            logging.set_verbosity(verbosity)
            if progress:
                logging.enable_progress_bar()
