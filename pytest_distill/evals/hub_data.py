"""A data set of the hub: the rows of a split at one commit, from the hub or from what is cached.

`datasets` goes by the newest of what it cached where it can't reach the hub, whichever revision is
asked for. So the commit is found here first, and nothing else is taken for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_distill._util import hub
from pytest_distill._util.packages import Package
from pytest_distill.errors import GoldSetError

DATASETS = Package("datasets", "datasets", "datasets")
DEFAULT_CONFIG = "default"
"""What `datasets` calls the config of a data set that has a single one without a name."""


def load(
    datasets: Any, name: str, split: str, config: str | None, revision: str | None
) -> tuple[Iterable[dict[str, Any]], str]:
    """Return the rows of a data set, and which commit they are of, for the report.

    Parameters
    ----------
    datasets : module
        The package.
    name, split : str
        Name on the hub, and split.
    config : str, optional
        Which of several configs.
    revision : str, optional
        Branch, tag or commit.

    Raises
    ------
    GoldSetError
        Where neither the hub nor the cache gives it.
    """
    shown = name if config is None else f"{name} ({config})"
    offline = bool(datasets.config.HF_HUB_OFFLINE)
    try:
        with quiet(datasets):
            builder = None
            if revision is not None and hub.is_commit(revision):
                found, builder = hub.Found(revision), _prepared(datasets, name, config, revision)
            if builder is None:
                found = hub.find(name, revision, "dataset", offline=offline)
                builder = _prepared(datasets, name, config, found.commit)
            if builder is None:
                if found.trouble is not None:
                    raise hub.HubError(_not_cached(datasets, name, config, found))
                builder = _downloaded(datasets, name, config, found.commit)
            rows: Iterable[dict[str, Any]] = builder.as_dataset(split=split)
    except hub.HubError as error:
        raise GoldSetError(
            f"{shown}: no such folder here, and the hub doesn't give the data set: {error}"
        ) from None
    except Exception as error:  # noqa: BLE001 - network, hub and loader each raise their own
        raise GoldSetError(
            f"{shown}: no such folder here, and the split '{split}' cannot be had from the hub: "
            f"{why(error, name, revision)}"
        ) from None
    return rows, found.told(name, revision)


def _downloaded(datasets: Any, name: str, config: str | None, commit: str) -> Any:
    """Return the builder of a commit, its data downloaded and prepared."""
    builder = datasets.load_dataset_builder(name, config, revision=commit)
    if builder.hash != commit:  # the hub failed on the way, and it took what is cached
        raise hub.HubError("it stopped answering on the way: run again")
    builder.download_and_prepare()
    return builder


def _prepared(datasets: Any, name: str, config: str | None, commit: str) -> Any | None:
    """Return a builder that reads what was prepared of this very commit; None where nothing was.

    Without a config only the nameless one will do: another may not be the data set's default.
    """
    for folder in _folders(datasets, name):
        if folder.name == commit and _config(folder) == (config or DEFAULT_CONFIG):
            from datasets.packaged_modules.cache.cache import Cache

            builder = Cache(
                repo_id=name,
                dataset_name=name.rpartition("/")[2],
                config_name=_config(folder),
                version=folder.parent.name,
                hash=commit,
            )
            builder.download_and_prepare()
            return builder
    return None


def _folders(datasets: Any, name: str) -> list[Path]:
    """Return the folders that hold a data set's prepared configs and commits."""
    owner, _, last = name.rpartition("/")
    snake = datasets.naming.camelcase_to_snakecase(last)
    whole = f"{owner}___{snake}" if owner else snake
    root = Path(datasets.config.HF_DATASETS_CACHE).expanduser() / whole
    return sorted(path for path in root.glob("*/*/*") if path.is_dir())


def _config(folder: Path) -> str | None:
    """Return the config that a folder holds; None where its files were chosen by hand."""
    try:
        told = json.loads((folder / "dataset_info.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    name = told.get("config_name") if isinstance(told, dict) else None
    return str(name) if name == folder.parent.parent.name else None


def _not_cached(datasets: Any, name: str, config: str | None, found: hub.Found) -> str:
    """Return what the cache has instead of a config of a commit, and why the hub isn't asked."""
    there = sorted(
        {c for f in _folders(datasets, name) if f.name == found.commit and (c := _config(f))}
    )
    if not there:
        return f"nothing of its commit {found.commit} is in the cache, and {found.trouble}"
    named = ", ".join(there)
    if config is None:
        return f"the cache has its config {named}: set 'config', since {found.trouble}"
    return f"the cache has its config {named}, not '{config}', and {found.trouble}"


def why(error: BaseException, name: str, revision: str | None) -> str:
    """Return what went wrong: at the hub, else in what lies there."""
    told: BaseException | None = error
    while told is not None:
        if hub.is_of_the_hub(told):
            return str(hub.reason(told, name, revision, "dataset"))
        told = told.__cause__
    if type(error).__name__ == "DatasetNotFoundError":  # it drops what the hub's client raised
        return f"{error} Set HF_TOKEN to a token that may read it"
    while error.__cause__ is not None:  # "an error occurred while generating" says nothing
        error = error.__cause__
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def quiet(datasets: Any) -> Iterator[None]:
    """Keep the progress bars and the log of `datasets` out of pytest's output."""
    shown = not datasets.utils.are_progress_bars_disabled()
    with hub.quiet("datasets"):
        datasets.utils.disable_progress_bars()
        try:
            yield
        finally:
            if shown:
                datasets.utils.enable_progress_bars()
