"""Opens the project of a ``distill.yaml``, as options and hooks of the session say."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pytest_distill._util.user_code import user_code
from pytest_distill.config import Extensions, load_config
from pytest_distill.engines.lookup import ENGINES
from pytest_distill.engines.spec import located
from pytest_distill.errors import ConfigError, StoreWarning, did_you_mean
from pytest_distill.evals.built_in import check_own_metric
from pytest_distill.evals.metrics import Metric
from pytest_distill.evaluation.store.keeping import Keeper
from pytest_distill.plugin.places import Places
from pytest_distill.plugin.progress import progress_on, teller
from pytest_distill.plugin.workers import threads_per_worker, worker_count, worker_number
from pytest_distill.project.project import Project


def open_project(
    path: Path, config: pytest.Config, places: Places, run: tuple[int, str]
) -> Project:
    """Return the project of a ``distill.yaml``.

    Parameters
    ----------
    path : Path
        The file.
    config : pytest.Config
        Options and hooks.
    places : Places
        Where the files of the session are.
    run : tuple of int and str
        The number of the whole run, and when it began.
    """
    number, began = run
    loaded = load_config(path, _extensions_of(config))
    return Project(
        loaded,
        device=config.getoption("distill_device"),
        paths=_model_paths(config, loaded.models),
        threads=threads_per_worker(),
        limit=config.getoption("distill_limit"),
        keeper=Keeper(
            places.store(path.parent),
            session=number,
            refresh=bool(config.getoption("distill_refresh")),
            warn=lambda message: warnings.warn(StoreWarning(message), stacklevel=2),
            tell=teller(config),
        ),
        predictions=places.from_here("distill_predictions"),
        baseline=places.from_here("distill_baseline"),
        worker=worker_number(),
        workers=worker_count() or 1,
        tell=teller(config),
        began=datetime.fromisoformat(began),
        progress=progress_on(config),
    )


def _extensions_of(config: pytest.Config) -> Extensions:
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


def _model_paths(config: pytest.Config, known: Collection[str]) -> dict[str, str]:
    """Return what ``--distill-model NAME=PATH`` says, paths from the current folder."""
    paths = {}
    for given in config.getoption("distill_model") or ():
        name, _, path = given.partition("=")
        if name not in known:
            raise ConfigError(f"--distill-model {given}: {did_you_mean(name, known)}")
        paths[name] = located(path, config.invocation_params.dir)
    return paths
