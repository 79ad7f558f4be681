"""lm-evaluation-harness itself: imported where one of its tasks is named, and kept quiet."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from importlib import import_module
from io import StringIO
from typing import Any

from pytest_distill._util.packages import Package

PACKAGE = Package("lm_eval", "lm-eval", "lm-eval")

PREFIX = "lm_eval:"
"""What ``task:`` begins with where it names one of its tasks."""


def module(name: str) -> Any:
    """Return a module of lm-evaluation-harness; ConfigError where it is not installed."""
    PACKAGE.load(f"task: {PREFIX}...")
    with quiet():
        return import_module(f"lm_eval.{name}")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep its progress bars, log lines and warnings from the terminal: what matters is told."""
    logger = logging.getLogger("lm_eval")
    before = logger.disabled, logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings(), redirect_stderr(StringIO()), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.disabled, logger.level = before
