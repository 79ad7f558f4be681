"""lm-evaluation-harness itself: imported where one of its tasks is named, and kept quiet."""

from __future__ import annotations

import logging
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache, lru_cache, partial
from importlib import import_module, metadata
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from typing import Any

from pytest_distill._util.packages import Package
from pytest_distill.errors import ConfigError

PACKAGE = Package("lm_eval", "lm-eval", "lm-eval")

PREFIX = "lm_eval:"
"""What ``task:`` begins with where it names one of its tasks."""


SINCE, BEFORE = (0, 4, 12), (0, 5)
"""The versions whose inside is known here."""


def module(name: str) -> Any:
    """Return a module of lm-evaluation-harness.

    Raises
    ------
    ConfigError
        Where it is not installed, or another version than those that are read here.
    """
    known = sys.modules.get(f"{PACKAGE.module}.{name}")
    if known is not None:
        return known
    _check_version()
    with quiet():
        PACKAGE.load(f"task: {PREFIX}...")
        return import_module(f"lm_eval.{name}")


def tasks_folder() -> Path:
    """Return where its tasks are; nothing is imported."""
    _check_version()
    spec = find_spec(PACKAGE.module)
    (root,) = (spec and spec.submodule_search_locations) or [""]
    return Path(root, "tasks")


@cache
def _check_version() -> None:
    PACKAGE.require(f"task: {PREFIX}...")
    installed = metadata.version("lm_eval")
    numbers = tuple(int(number) for number in re.findall(r"\d+", installed)[:3])
    if not SINCE <= numbers < BEFORE:
        raise ConfigError(
            f"task: {PREFIX}... needs lm-eval from {_dotted(SINCE)} on and before "
            f"{_dotted(BEFORE)}, and {installed} is installed: pip install "
            f"'pytest-distill[{PACKAGE.extra}]'"
        )


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


@contextmanager
def quiet() -> Iterator[None]:
    """Keep its progress bars, log lines and warnings from the terminal: what matters is told.

    Each of its templates is compiled once; it would compile them anew for every document, which is
    most of the time that a prompt takes.
    """
    logger = logging.getLogger("lm_eval")
    before = logger.disabled, logger.level
    logger.setLevel(logging.CRITICAL)
    utils: Any = sys.modules.get(f"{PACKAGE.module}.utils")
    env = vars(utils.env) if utils is not None else {}
    compiling = env.get("from_string")
    try:
        if utils is not None:
            env["from_string"] = partial(_compiled, utils.env)
        with warnings.catch_warnings(), redirect_stderr(StringIO()), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        env["from_string"] = compiling
        if compiling is None:
            del env["from_string"]
        logger.disabled, logger.level = before


@lru_cache(maxsize=1024)
def _compiled(env: Any, template: str) -> Any:
    return type(env).from_string(env, template)
