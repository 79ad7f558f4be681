"""Sizes, times and rates as people write them, read exactly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from numbers import Real
from typing import Literal

from pytest_distill._util.numbers import exact
from pytest_distill.errors import ConfigError

Unit = Literal["", "B", "s", "/s", "parameters"]
"""Plain ratio or score; bytes; seconds; examples a second; number of parameters."""

SCALES: Mapping[Unit, Mapping[str, Fraction]] = {
    "B": {
        **{unit: Fraction(1000**power) for power, unit in enumerate(("B", "kB", "MB", "GB", "TB"))},
        **{unit: Fraction(1024**power) for power, unit in ((1, "KiB"), (2, "MiB"), (3, "GiB"))},
    },
    "s": {
        "µs": Fraction(1, 10**6),
        "us": Fraction(1, 10**6),
        "ms": Fraction(1, 1000),
        "s": Fraction(1),
        "min": Fraction(60),
    },
    "/s": {"/s": Fraction(1), "/min": Fraction(1, 60)},
    "parameters": {
        "": Fraction(1),
        "k": Fraction(10**3),
        "M": Fraction(10**6),
        "B": Fraction(10**9),
    },
}
_EXAMPLES: Mapping[Unit, str] = {
    "B": "'300 MB'",
    "s": "'50 ms'",
    "/s": "'200 /s'",
    "parameters": "'135M'",
}


def quantity(value: object, unit: Unit, name: str) -> Fraction:
    """Return what a user wrote, as an exact number of bytes, seconds, examples a second, ...

    A plain number is one of the unit itself.

    Raises
    ------
    ConfigError
        Where it is no such quantity above 0; `name` is the argument that it was given for.
    """
    wanted = f"{name}={value!r}: must be above 0 and have a unit, such as {_EXAMPLES[unit]}"
    if isinstance(value, Real):
        number = exact(value, name)
    else:
        scales = SCALES[unit]
        written = re.fullmatch(r"\s*(\d[\d_,]*\.?\d*|\.\d+)\s*(\S*)\s*", str(value))
        if written is None:
            raise ConfigError(wanted)
        if written[2] not in scales:
            units = ", ".join(scale for scale in scales if scale)
            raise ConfigError(f"{name}={value!r}: unknown unit '{written[2]}'; known are {units}")
        number = Fraction(re.sub("[_,]", "", written[1])) * scales[written[2]]
    if number <= 0:
        raise ConfigError(wanted)
    return number
