"""Rows of a gold set, one at a time, from each kind of source, with the place of each."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

from pytest_distill.errors import ConfigError, GoldSetError, did_you_mean, refuse_unknown
from pytest_distill.evals import hub_data
from pytest_distill.evals.readers import READERS, ClassNames, Row, Rows, numbered

__all__ = ["KINDS", "ClassNames", "Opened", "Row", "Rows", "open_rows"]


class Opened(NamedTuple):
    """Rows that can be read: how messages call their source, and what a name on the hub stood for.

    `origin` is None for what lies here.
    """

    shown: str
    rows: Rows
    origin: str | None = None


def open_rows(
    source: Path | str,
    split: str | None,
    names: ClassNames | None = None,
    *,
    config: str | None = None,
    revision: str | None = None,
) -> Opened:
    """Return the rows of `source`; GoldSetError where there is none.

    Where the source names classes that its rows give as numbers, they are put into `names` when the
    first row is read.
    """
    path = Path(source)
    shown = shown_path(path)
    names = {} if names is None else names
    here = path.is_dir() or path.is_file()
    for key, value in (("config", config), ("revision", revision)):
        if value is not None and here:
            raise GoldSetError(
                f"{shown}: lies here, and only a data set of the hub has a {key}; drop '{key}'"
            )
    if path.is_dir():
        return Opened(shown, _dataset_folder(path, shown, split, names))
    read = READERS.get(path.suffix.lower())
    if read is None and split is not None and _is_hub_name(str(source)):
        return _hub_dataset(str(source), split, names, config, revision)
    if not path.is_file():
        raise _nothing_there(path, shown)
    if read is None:
        raise GoldSetError(f"{shown}: {_of_other_kind(path.suffix)}")
    if split is not None:
        raise GoldSetError(f"{shown}: a {path.suffix} file has no splits; drop 'split'")
    return Opened(shown, _reporting_os_errors(read(path, shown, names), shown))


def _of_other_kind(suffix: str) -> str:
    for endings, instead in _INSTEAD.items():
        if suffix.lower() in endings:
            return f"{instead} ({_KINDS} are read)"
    return f"unknown kind of file '{suffix}'; use {_KINDS}"


def shown_path(path: Path) -> str:
    """Return a path as a message names it: relative where it lies under the current folder."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _is_hub_name(name: str) -> bool:
    return re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) is not None


def _nothing_there(path: Path, shown: str) -> GoldSetError:
    if not path.parent.is_dir():
        return GoldSetError(
            f"{shown}: no such file; the folder '{shown_path(path.parent)}' is missing"
        )
    if "\\" in path.name:
        return GoldSetError(f"{shown}: no such file; write '/' between folders")
    names = [p.name for p in path.parent.iterdir() if p.is_dir() or p.suffix.lower() in READERS]
    if near := did_you_mean(path.name, names, listed=False):
        return GoldSetError(f"{shown}: no such file; {near}")
    if path.suffix.lower() in READERS:
        return GoldSetError(f"{shown}: no such file")
    return GoldSetError(
        f"{shown}: no such file or folder; a gold set is a file ({_KINDS}), a folder saved by "
        "datasets, or a hub dataset with 'split'"
    )


def _reporting_os_errors(rows: Rows, shown: str) -> Rows:
    try:
        yield from rows
    except OSError as error:
        raise GoldSetError(f"{shown}: cannot be read: {error.strerror or error}") from None


KINDS = tuple(READERS)
"""The endings of files with rows."""
_KINDS = ", ".join(KINDS)

_INSTEAD = {
    (".gz", ".zip", ".bz2", ".xz", ".zst"): "is packed: unpack it first",
    (".xlsx", ".xls", ".ods", ".numbers"): "is a spreadsheet: save its sheet as .csv",
    (".tsv", ".tab"): "has tabs between its cells: save it with commas, as .csv",
}
"""What is done with files that are near to those that can be read."""


def _import_datasets(shown: str) -> Any:
    try:
        return hub_data.DATASETS.load(f"{shown}: reading it")
    except ConfigError as error:
        raise GoldSetError(str(error)) from None


def _dataset_folder(path: Path, shown: str, split: str | None, names: ClassNames) -> Rows:
    if not any((path / name).is_file() for name in ("state.json", "dataset_dict.json")):
        raise GoldSetError(f"{shown}: not a folder that datasets' save_to_disk wrote")
    datasets = _import_datasets(shown)
    try:
        loaded = datasets.load_from_disk(str(path))
    except Exception as error:  # noqa: BLE001 - whatever its readers raise: the folder is damaged
        raise GoldSetError(f"{shown}: cannot be read: {_first_line(error)}") from None
    place = shown
    if isinstance(loaded, datasets.DatasetDict):
        loaded, place = _chosen_split(loaded, shown, split), f"{shown}[{split}]"
    elif split is not None:
        raise GoldSetError(f"{shown}: holds a single dataset without splits; drop 'split'")
    names.update(_class_names(datasets, loaded))
    return numbered(loaded, place)


def _class_names(datasets: Any, loaded: Any) -> ClassNames:
    features = (loaded.features or {}).items()
    return {f: tuple(of.names) for f, of in features if isinstance(of, datasets.ClassLabel)}


def _chosen_split(splits: Any, shown: str, split: str | None) -> Any:
    if split is None:
        raise GoldSetError(f"{shown}: has several splits; set 'split' to one of {sorted(splits)}")
    refuse_unknown(split, splits, f"{shown}: no split '{split}'", GoldSetError)
    return splits[split]


def _hub_dataset(
    name: str, split: str, names: ClassNames, config: str | None, revision: str | None
) -> Opened:
    datasets = _import_datasets(name)
    rows, origin = hub_data.load(datasets, name, split, config, revision)
    names.update(_class_names(datasets, rows))
    shown = f"{name}[{split}]" if config is None else f"{name}[{config}, {split}]"
    return Opened(name, numbered(rows, shown), origin)


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
