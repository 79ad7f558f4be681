"""Ray itself, imported when it is first asked; its names are used untyped."""

from __future__ import annotations

import os
import warnings
from importlib import import_module
from typing import Any

from pytest_distill._util.packages import Package

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
