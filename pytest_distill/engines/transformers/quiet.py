"""Keeps what transformers says on the way out of pytest's output."""

from __future__ import annotations

import logging as standard
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import transformers.utils.logging

# Any, because transformers' functions carry no types.
logging: Any = transformers.utils.logging
# Libraries of quantised weights that log at the import, or a line for each matrix product.
_OTHERS = ("bitsandbytes", "torchao", "compressed_tensors", "torch.utils._pytree")


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the warnings, log records and progress bars of transformers and its libraries inside.

    What matters among them (weights that are missing, a text that is too long) this package
    checks itself and raises as an error: a warning in a suite run with ``-W error`` would fail
    the test, and any other would drown in its output. Never held across a ``yield`` of a
    generator, where it would silence the caller too.
    """
    verbosity = logging.get_verbosity()
    progress = logging.is_progress_bar_enabled()
    others = [(logger := standard.getLogger(name), logger.level) for name in _OTHERS]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.set_verbosity_error()
        for logger, _ in others:
            logger.setLevel(standard.ERROR)
        logging.disable_progress_bar()
        try:
            yield
        finally:
            logging.set_verbosity(verbosity)
            for logger, level in others:
                logger.setLevel(level)
            if progress:
                logging.enable_progress_bar()
