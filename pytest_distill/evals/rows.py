"""Rows of a gold set, one at a time, from each kind of source, with the place of each."""

from __future__ import annotations

import csv
import difflib
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from pytest_distill._util.packages import Package
from pytest_distill.errors import GoldSetError, refuse_unknown
from pytest_distill.evals import hub_data

Row = dict[str, Any]
Rows = Iterator[tuple[str, Row]]
"""Pairs of a place, for messages, and the row that stands there."""


ClassNames = dict[str, tuple[str, ...]]
"""Field -> the names of the classes that stand in it as numbers from 0: a ClassLabel."""


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
    read = _READERS.get(path.suffix.lower())
    if read is None and split is not None and _is_hub_name(str(source)):
        return _hub_dataset(str(source), split, names, config, revision)
    if not path.is_file():
        raise _nothing_there(path, shown)
    if read is None:
        raise GoldSetError(f"{shown}: unknown kind of file '{path.suffix}'; use {_KINDS}")
    if split is not None:
        raise GoldSetError(f"{shown}: a {path.suffix} file has no splits; drop 'split'")
    return Opened(shown, _reporting_os_errors(read(path, shown, names), shown))


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
    names = [p.name for p in path.parent.iterdir() if p.is_dir() or p.suffix.lower() in _READERS]
    near = difflib.get_close_matches(path.name, names, n=1)
    if near:
        return GoldSetError(f"{shown}: no such file; did you mean '{near[0]}'?")
    if path.suffix.lower() in _READERS:
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


def _lines(path: Path, shown: str) -> Iterator[tuple[int, str]]:
    # Lines end at \n alone: str.splitlines would also cut at U+2028, which may stand inside JSON.
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            try:
                yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise GoldSetError(
                    f"{shown}:{number}: not UTF-8 (byte 0x{raw[error.start]:02x} at column "
                    f"{error.start + 1}); save the file as UTF-8"
                ) from None


def _jsonl(path: Path, shown: str, _names: ClassNames) -> Rows:
    decoder = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_not_json)
    for number, line in _lines(path, shown):
        if line.isspace() or not line:
            continue
        where = f"{shown}:{number}"
        row = _decoded(decoder, line.rstrip(), where)
        if not isinstance(row, dict):
            raise GoldSetError(
                f"{where}: expected one JSON object a line, got {type(row).__name__} {row!r:.40}"
            )
        yield where, row


def _decoded(decoder: json.JSONDecoder, line: str, where: str) -> Any:
    try:
        value = decoder.decode(line)
        if "\\u" in line:  # an escape can write half a surrogate pair, which no tokenizer can read
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at column {error.colno}"
    except RecursionError:
        reason = "nested too deeply"
    except UnicodeEncodeError:
        reason = "half of a surrogate pair (\\ud800 to \\udfff) is not a character"
    except ValueError as error:
        reason = str(error)
        where += _id_in(line)
    else:
        return value
    raise GoldSetError(f"{where}: not valid JSON: {reason}")


def _id_in(line: str) -> str:
    """Return the id in a line that is JSON but for a constant like NaN, as a model's score is."""
    try:
        row = json.loads(line)
    except ValueError:
        return ""
    return f" (id '{row['id']}')" if isinstance(row, dict) and "id" in row else ""


def _unique_keys(pairs: list[tuple[str, Any]]) -> Row:
    # One text a field's name for all rows, which are many and have the same few fields.
    row = {sys.intern(name): value for name, value in pairs}
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"'{twice}' is given twice in one object")
    return row


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a JSON value")


def _csv(path: Path, shown: str, _names: ClassNames) -> Rows:
    reader = csv.reader((line for _, line in _lines(path, shown)), strict=True)
    header: list[str] | None = None
    start = 1
    try:
        for cells in reader:
            where, start = f"{shown}:{start}", reader.line_num + 1
            if not cells:
                continue
            if header is None:
                header = _checked_header(cells, where)
                continue
            if len(cells) != len(header):
                raise GoldSetError(
                    f"{where}: {len(cells)} columns, but the header has {len(header)}"
                )
            yield where, dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise GoldSetError(f"{shown}:{start}: not valid CSV: {error}") from None


def _checked_header(names: list[str], where: str) -> list[str]:
    for name in names:
        if names.count(name) > 1:
            raise GoldSetError(f"{where}: two columns are called '{name}'")
    return names


def _parquet(path: Path, shown: str, names: ClassNames) -> Rows:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            names.update(_names_in_schema(file.schema_arrow.metadata or {}))
            batches = (batch.to_pylist() for batch in file.iter_batches())
            yield from _numbered(chain.from_iterable(batches), shown)
    except pyarrow.ArrowException as error:
        reason = str(error).partition("\n")[0]
        raise GoldSetError(f"{shown}: not a readable parquet file: {reason}") from None


def _names_in_schema(metadata: Mapping[bytes, bytes]) -> ClassNames:
    """Return the names that datasets writes beside a table."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        return {
            field: tuple(map(str, told["names"]))
            for field, told in features.items()
            if isinstance(told, dict) and told.get("_type") == "ClassLabel"
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}  # of another tool, or none: the rows are all that counts


_READERS: dict[str, Callable[[Path, str, ClassNames], Rows]] = {
    ".jsonl": _jsonl,
    ".csv": _csv,
    ".parquet": _parquet,
}

KINDS = tuple(_READERS)
"""The endings of files with rows."""
_KINDS = ", ".join(KINDS)


def _import_datasets(shown: str) -> Any:
    try:
        import datasets
    except ImportError:
        needs = Package("datasets", "datasets", "datasets").lacking(f"{shown}: reading it")
        raise GoldSetError(needs) from None
    return datasets


def _dataset_folder(path: Path, shown: str, split: str | None, names: ClassNames) -> Rows:
    if not any((path / name).is_file() for name in ("state.json", "dataset_dict.json")):
        raise GoldSetError(f"{shown}: not a folder that datasets' save_to_disk wrote")
    datasets = _import_datasets(shown)
    try:
        loaded = datasets.load_from_disk(str(path))
    except Exception as error:  # noqa: BLE001 - whatever its readers raise: the folder is damaged
        raise GoldSetError(f"{shown}: cannot be read: {_first_line(error)}") from None
    if isinstance(loaded, datasets.DatasetDict):
        chosen = _chosen_split(loaded, shown, split)
        names.update(_class_names(datasets, chosen))
        return _numbered(chosen, f"{shown}[{split}]")
    if split is not None:
        raise GoldSetError(f"{shown}: holds a single dataset without splits; drop 'split'")
    names.update(_class_names(datasets, loaded))
    return _numbered(loaded, shown)


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
    return Opened(name, _numbered(rows, shown), origin)


def _numbered(rows: Iterable[Row], shown: str) -> Rows:
    for number, row in enumerate(rows, start=1):
        yield f"{shown} row {number}", row


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
