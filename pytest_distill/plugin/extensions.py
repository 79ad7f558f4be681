"""What hooks of the user's project add."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from pytest_distill._util.user_code import user_code
from pytest_distill.config import Extensions
from pytest_distill.engines.lookup import ENGINES
from pytest_distill.errors import ConfigError
from pytest_distill.evals.built_in import check_own_metric
from pytest_distill.evals.metrics import Metric


def extensions_of(config: pytest.Config) -> Extensions:
    """Return what the project's hooks add; ConfigError where they give something else."""
    metrics: dict[str, Metric] = {}
    for found in _asked(config, "pytest_distill_metrics", list | tuple):
        for metric in found:
            checked = check_own_metric(metric, "hook pytest_distill_metrics")
            if metrics.setdefault(checked.name, checked) is not checked:
                raise ConfigError(
                    f"hook pytest_distill_metrics: two metrics are called '{checked.name}'"
                )
    engines: dict[str, Any] = {}
    for found in _asked(config, "pytest_distill_engines", Mapping):
        engines |= found
    for name, engine in engines.items():
        if name in ENGINES:
            raise ConfigError(
                f"hook pytest_distill_engines: '{name}' is the name of a built-in engine, whose "
                f"place it would take; give it another, such as 'my_{name}'"
            )
        if not callable(engine):
            raise ConfigError(f"hook pytest_distill_engines: '{name}': {engine!r} is no class")
    return Extensions(metrics, engines)


def _asked(config: pytest.Config, name: str, kind: Any) -> list[Any]:
    with user_code(f"hook {name}", ConfigError):
        given = list(getattr(config.hook, name)())
        for found in given:
            if not isinstance(found, kind):
                wanted = "a mapping" if kind is Mapping else "a list"
                raise ConfigError(f"hook {name}: returned {found!r}, not {wanted}")
    return given
