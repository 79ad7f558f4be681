"""Ray itself, imported when it is first asked, and what its errors say; its names are untyped."""

from __future__ import annotations

import os
import warnings
from importlib import import_module
from typing import Any

from pytest_distill._util.packages import Package
from pytest_distill.errors import one_line

RAY = Package("ray", "ray[data]", "ray")
_DATA = Package("ray.data", RAY.name, RAY.extra)


def ray(part: str = "") -> Any:
    """Return Ray's module, or one inside it, where `require` was called before."""
    return import_module(f"ray.{part}" if part else "ray")


def require(what: str) -> None:
    """Import Ray, its telemetry off; ConfigError where it is not installed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when it is imported, and later
    # It warns of its own defaults, in its own threads too: no project can mend that.
    warnings.filterwarnings("ignore", module=r"ray(\.|$)")
    RAY.load(what)
    _DATA.load(what)


def of_ray(error: BaseException) -> str:
    """Return what an error of Ray's says, in one line."""
    cause = getattr(error, "cause", None)
    inner = cause if isinstance(cause, BaseException) else error
    lines = [line.strip() for line in str(inner).splitlines() if line.strip()]
    return one_line(f"{type(inner).__name__}: {lines[-1]}" if lines else type(inner).__name__)
