"""Calls into code of the user's: whatever that raises is the error of the gate that asked.

A metric, an engine or a hook may raise anything. Left alone, a ``SystemExit`` would end pytest, a
``pytest.skip`` would turn the gate's test into one that was skipped, and an error in a place where
the report is made would cost all of it.
"""

from __future__ import annotations

import importlib
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from traceback import extract_tb
from types import FrameType, TracebackType
from typing import Any

from pytest_distill.errors import ConfigError, DistillError, one_line

_MODEL_LIBRARIES = {
    "accelerate",
    "peft",
    "tokenizers",
    "torch",
    "transformers",
    "transformers_modules",
}
PACKAGE = Path(__file__).parent.parent
STANDARD_LIBRARY = Path(os.__file__).parent
LONGEST = 300
"""Characters of an exception's own words that are quoted: they may hold a whole array."""


@contextmanager
def user_code(what: str | Callable[[], str], kind: type[DistillError]) -> Iterator[None]:
    """Turn whatever the block raises into a `kind` of one line, caused by what was raised.

    A Ctrl-C stays one, and an error that is one of ours already says enough.

    Parameters
    ----------
    what : str or callable
        Whose code is called, e.g. ``metric 'mine'``: the start of the message, or what returns it.
    kind : type
        The error to raise.
    """
    try:
        yield
    except (DistillError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        raise kind(f"{what if isinstance(what, str) else what()} {said(error)}") from error


def unless_ours(thing: object, what: str, kind: type[DistillError]) -> AbstractContextManager[None]:
    """Return `user_code`, or nothing where `thing` is of this package: then it is a defect."""
    return nullcontext() if is_ours(thing) else user_code(what, kind)


def is_ours(thing: object) -> bool:
    """Return whether a class, or the class of an object, is of this package."""
    kind = thing if isinstance(thing, type) else type(thing)
    return kind.__module__.partition(".")[0] == PACKAGE.name


def raised(error: BaseException) -> str:
    """Return what was raised, in one line that follows a subject."""
    try:
        words = one_line(" ".join(str(error).split()))
    except BaseException:  # noqa: BLE001 (an exception of the user's may have any __str__)
        words = ""
    if len(words) > LONGEST:
        words = f"{words[:LONGEST]}..."
    return f"raised {type(error).__name__}{': ' if words else ''}{words}"


def said(error: BaseException) -> str:
    """Return what was raised, and where, in words that follow a subject."""
    told = raised(error)
    frames = list(user_frames(error.__traceback__))
    if not frames:
        return told
    last = extract_tb(frames[-1], limit=1)[0]
    path = Path(last.filename)
    with suppress(OSError, ValueError):  # it lies elsewhere, or there is no current folder any more
        path = path.relative_to(Path.cwd())
    return f"{told} ({path}:{last.lineno}, in {last.name})"


def warn_of(error: DistillError, kind: type[Warning]) -> None:
    """Warn of an error that `user_code` raised, at the line of the user's that is to blame."""
    cause = error.__cause__ or error
    frames = list(user_frames(cause.__traceback__))
    where = extract_tb(frames[-1], limit=1)[0] if frames else None
    file, line = (where.filename, where.lineno or 0) if where else (PACKAGE.name, 0)
    warnings.warn_explicit(kind(str(error)), kind, file, line)


def user_frames(tb: TracebackType | None) -> Iterator[TracebackType]:
    """Yield the frames that are neither this package's nor a library's."""
    while tb is not None:
        if _is_users(tb.tb_frame):
            yield tb
        tb = tb.tb_next


def _is_users(frame: FrameType) -> bool:
    path = Path(frame.f_code.co_filename)
    if not path.is_absolute() or PACKAGE in path.parents or STANDARD_LIBRARY in path.parents:
        return False
    if {"site-packages", "dist-packages"} & {*path.parts}:
        return False
    # A library may lie anywhere that PYTHONPATH names.
    return str(frame.f_globals.get("__name__")).partition(".")[0] not in _MODEL_LIBRARIES


def load_object(dotted: str, where: str) -> Any:
    """Import ``module:name`` or ``module.name``; ConfigError where that fails."""
    module, _, name = dotted.replace(":", ".").rpartition(".")
    if not module:
        raise ConfigError(f"{where}: '{dotted}' is no dotted path such as 'package.module:name'")
    with user_code(f"{where}: importing '{module}'", ConfigError):
        try:
            home = importlib.import_module(module)
        except ImportError as error:
            raise ConfigError(f"{where}: cannot import '{module}': {error}") from None
        if not hasattr(home, name):
            raise ConfigError(f"{where}: module '{module}' has no '{name}'")
        return getattr(home, name)
