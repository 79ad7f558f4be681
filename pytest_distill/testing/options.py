"""Checks of the options that an engine declares."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from pytest_distill.engines import plain
from pytest_distill.engines.lookup import FurtherKeys
from pytest_distill.errors import ConfigError
from pytest_distill.testing.results import NotKeptError, UncheckedError
from pytest_distill.testing.subject import Subject

_UNKNOWN = "no_engine_has_this_key"
_WRONG: tuple[Any, ...] = ({"neither": ["a number", "nor a text"]}, -1)
"""Values of which hardly any key can be more than one."""


def check_options(subject: Subject, make: Callable[[Mapping[str, Any]], Any]) -> None:
    """Hand in keys and values that cannot be; a value may be accepted, but then all the way.

    Parameters
    ----------
    make : callable
        Makes an engine of the entry with some keys changed.
    """
    options = subject.entry.options
    if isinstance(options, FurtherKeys):
        raise UncheckedError("it declares no Options: whatever its entry says is handed on")
    refused = _refused(_UNKNOWN, 1, make)
    if not refused and options.model_config.get("extra") != "allow":
        raise NotKeptError(f"an entry with the unknown key '{_UNKNOWN}'", "an engine")
    for key in type(options).model_fields:
        for value in _WRONG:
            refused = _refused(key, value, make) or refused
    if not refused:
        raise UncheckedError("its Options take whatever they were given")


def _refused(key: str, value: Any, make: Callable[[Mapping[str, Any]], Any]) -> bool:
    """Return whether a value is refused as it should be; NotKeptError where it is otherwise."""
    asked = f"an entry with {key}: {plain.shown(value)}"
    try:
        made = make({key: value})
    except ConfigError as error:
        if key not in str(error):
            raise NotKeptError(asked, f"ConfigError without the key: {error}") from None
        return True
    except Exception as error:
        raise NotKeptError(asked, f"{type(error).__name__}: {error}") from error
    with suppress(Exception):  # told where closing is checked
        made.close()
    return False
