"""Opens the project of a ``distill.yaml``, as the options of the session say."""

from __future__ import annotations

import warnings
from collections.abc import Collection
from datetime import datetime
from pathlib import Path

import pytest

from pytest_distill.config import load_config
from pytest_distill.engines.spec import located
from pytest_distill.errors import ConfigError, StoreWarning, did_you_mean
from pytest_distill.evaluation.store.keeping import Keeper
from pytest_distill.plugin.extensions import extensions_of
from pytest_distill.plugin.places import Places
from pytest_distill.plugin.progress import progress_on, teller
from pytest_distill.plugin.workers import threads_per_worker, worker_number
from pytest_distill.project.project import Project


def open_project(
    path: Path, config: pytest.Config, places: Places, run: int, began: datetime
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
    run : int
        The number of the whole run.
    began : datetime
        When it began.
    """
    loaded = load_config(path, extensions_of(config))
    return Project(
        loaded,
        device=config.getoption("distill_device"),
        paths=_model_paths(config, loaded.models),
        threads=threads_per_worker(),
        limit=config.getoption("distill_limit"),
        keeper=Keeper(
            places.store(path.parent),
            session=run,
            refresh=bool(config.getoption("distill_refresh")),
            warn=lambda message: warnings.warn(StoreWarning(message), stacklevel=2),
            tell=teller(config),
        ),
        predictions=places.from_here("distill_predictions"),
        worker=worker_number(),
        began=began,
        progress=progress_on(config),
    )


def _model_paths(config: pytest.Config, known: Collection[str]) -> dict[str, str]:
    """Return what ``--distill-model NAME=PATH`` says, paths from the current folder."""
    paths = {}
    for given in config.getoption("distill_model") or ():
        name, _, path = given.partition("=")
        if name not in known:
            raise ConfigError(f"--distill-model {given}: {did_you_mean(name, known)}")
        paths[name] = located(path, config.invocation_params.dir)
    return paths
