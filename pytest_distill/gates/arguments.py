"""Arguments of gates that are no numbers within bounds."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

from pytest_distill.errors import ConfigError, did_you_mean


def check_option(value: object, name: str, options: Sequence[str]) -> None:
    """Raise ConfigError where an argument is none of its options."""
    if value not in options:
        raise ConfigError(f"{name}={value!r}: {did_you_mean(str(value), options)}")


def check_flag(value: object, name: str) -> None:
    """Raise ConfigError where an argument is neither True nor False."""
    if not isinstance(value, bool):
        raise ConfigError(f"{name}={value!r}: must be True or False")


def checked_count(value: object, name: str) -> int:
    """Return a number of at least 1; ConfigError where it is none."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ConfigError(f"{name}={value!r}: must be a number of at least 1")
    return int(value)
