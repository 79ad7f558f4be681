"""Calls into a model's own code: what that raises is one error, which says where it was raised.

The code of a model is its class, its tokenizer and its chat template, be they transformers' own or
the checkpoint's. Any of them may fail at what no other model fails at, where it does not know an
input or cannot go on from one. What they and their libraries say on the way is kept quiet.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

import torch
import transformers.utils.logging

from pytest_distill._util.user_code import PACKAGE, is_ours, raised
from pytest_distill.errors import DistillError, ModelError

P = ParamSpec("P")
T = TypeVar("T")

_PANICS = "pyo3_runtime"
"""Module of what code in Rust, as that of the tokenizers, raises where it gives up."""

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

# Any, because transformers' functions carry no types.
_hf_logging: Any = transformers.utils.logging
# Libraries of quantised weights that log at the import, or a line for each matrix product.
_OTHERS = ("bitsandbytes", "torchao", "compressed_tensors", "torch.utils._pytree")


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


def none_where_it_fails(run: Callable[P, T]) -> Callable[P, T | None]:
    """Let a function that tries something on a model return None where the model's code fails."""

    @wraps(run)
    def tried(*args: P.args, **kwargs: P.kwargs) -> T | None:
        try:
            return run(*args, **kwargs)
        except FAILURES as error:
            if is_out_of_memory(error):
                raise
            return None

    return tried


@contextmanager
def model_code(who: Callable[[], str], doing: str) -> Iterator[None]:
    """Turn whatever a model's own code raises in the block into one `ModelError`.

    What is raised in this package is its defect and goes through as it is. So does what says that
    memory ran out, which has its own handling, and what ends the run.

    Parameters
    ----------
    who : callable
        Gives the model and its class, for the message.
    doing : str
        What the model did, after "fails while".
    """
    try:
        yield
    except BaseException as error:
        if not _is_the_models(error):
            raise
        told = f"{who()} fails while {doing}: {raised(error)}{_place(error)}"
        raise ModelError(f"{told}; pytest --full-trace shows all of it") from error


def raised_here(error: BaseException) -> bool:
    """Return whether an exception is of this package: raised in it, and about nothing else.

    That an object of the model lacks an attribute, or its output the logits, is the model's.
    """
    frames = list(_frames(error.__traceback__))
    if not frames or not _is_own(frames[-1]):
        return False
    if not isinstance(error, AttributeError) or error.name == "logits":
        return not isinstance(error, AttributeError)
    return is_ours(error.obj) or type(error.obj).__module__ == "builtins"


def in_own_code(error: BaseException) -> bool:
    """Return whether an exception was raised in code that the checkpoint brings itself."""
    return any(_package(tb) == "transformers_modules" for tb in _frames(error.__traceback__))


def _is_the_models(error: BaseException) -> bool:
    if isinstance(error, DistillError) or is_out_of_memory(error) or raised_here(error):
        return False
    return isinstance(error, Exception) or type(error).__module__ == _PANICS


def _place(error: BaseException) -> str:
    """Return the innermost line of the model's code; where that is torch's, who called it too."""
    frames = list(_frames(error.__traceback__))
    if not frames or _is_own(frames[-1]):
        return ""
    last = [_line(frames[-1])]
    if _package(frames[-1]) == "torch":
        others = (tb for tb in reversed(frames) if not _is_own(tb) and _package(tb) != "torch")
        last += [f"called from {_line(tb)}" for tb in others][:1]
    return f" ({', '.join(last)})"


def _line(tb: TracebackType) -> str:
    """Return file, line and function; the file from its package on."""
    path, package = Path(tb.tb_frame.f_code.co_filename), _package(tb)
    if package in path.parts:
        at = len(path.parts) - 1 - path.parts[::-1].index(package)
        path = Path(*path.parts[at:])
    return f"{path}:{tb.tb_lineno} in {tb.tb_frame.f_code.co_name}"


def _package(tb: TracebackType) -> str:
    return str(tb.tb_frame.f_globals.get("__name__")).partition(".")[0]


def _is_own(tb: TracebackType) -> bool:
    return PACKAGE in Path(tb.tb_frame.f_code.co_filename).parents


def _frames(tb: TracebackType | None) -> Iterator[TracebackType]:
    """Yield the frames of a traceback without that of `OneDNN`, through which operations pass."""
    while tb is not None:
        if not (tb.tb_frame.f_code.co_name == "__torch_function__" and _is_own(tb)):
            yield tb
        tb = tb.tb_next


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the warnings, log records and progress bars of transformers and its libraries inside.

    What matters among them (weights that are missing, a text that is too long) this package
    checks itself and raises as an error: a warning in a suite run with ``-W error`` would fail
    the test, and any other would drown in its output. Never held across a ``yield`` of a
    generator, where it would silence the caller too.
    """
    verbosity = _hf_logging.get_verbosity()
    progress = _hf_logging.is_progress_bar_enabled()
    others = [(logger := logging.getLogger(name), logger.level) for name in _OTHERS]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _hf_logging.set_verbosity_error()
        for logger, _ in others:
            logger.setLevel(logging.ERROR)
        _hf_logging.disable_progress_bar()
        try:
            yield
        finally:
            _hf_logging.set_verbosity(verbosity)
            for logger, level in others:
                logger.setLevel(level)
            if progress:
                _hf_logging.enable_progress_bar()
