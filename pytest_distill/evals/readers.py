"""The rows of each kind of file, one at a time, with the place of each."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, NoReturn

from pytest_distill.errors import GoldSetError, some_of

Row = dict[str, Any]
Rows = Iterator[tuple[str, Row]]
"""Pairs of a place, for messages, and the row that stands there."""


ClassNames = dict[str, tuple[str, ...]]
"""Field -> the names of the classes that stand in it as numbers from 0: a ClassLabel."""


_PACKED = (b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")
"""What files of gzip, zip, bzip2, xz and zstd begin with."""


def _lines(path: Path, shown: str) -> Iterator[tuple[int, str]]:
    # Lines end at \n alone: str.splitlines would also cut at U+2028, which may stand inside JSON.
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            try:
                yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise GoldSetError(f"{shown}:{number}: {not_text(raw, error.start)}") from None


def not_text(raw: bytes, at: int) -> str:
    """Return what is wrong with a line that is no UTF-8, and what to do."""
    if raw.startswith(_PACKED):
        return "the file is packed: unpack it first"
    return f"not UTF-8 (byte 0x{raw[at]:02x} at column {at + 1}); save the file as UTF-8"


def _jsonl(path: Path, shown: str, _names: ClassNames) -> Rows:
    for number, line in _lines(path, shown):
        if line.isspace() or not line:
            continue
        where = f"{shown}:{number}"
        row = _decoded(line.rstrip(), where)
        if not isinstance(row, dict):
            raise GoldSetError(f"{where}: expected one JSON object a line, got {_instead(row)}")
        yield where, row


def _instead(value: Any) -> str:
    """Return what stands in the place of a row, and what to do about it."""
    shown = f"{type(value).__name__} {value!r:.40}"
    if not isinstance(value, list) or not value or not isinstance(value[0], dict):
        return shown
    if "id" in value[0]:
        return f"{shown}; where this is the list of all rows, call the file .json"
    return f'{shown}; give it an id: {{"id": ..., "output": [...]}}'


def _json(path: Path, shown: str, names: ClassNames) -> Rows:
    """Yield the objects of a list; a file of an object a line is called .json too."""
    text = "".join(line for _, line in _lines(path, shown))
    if text.lstrip()[:1] != "[":
        _refuse_one_object(text, shown)
        yield from _jsonl(path, shown, names)
        return
    for where, row in numbered(_decoded(text, shown), shown):
        if not isinstance(row, dict):
            raise GoldSetError(f"{where}: expected a list of objects, got {_instead(row)}")
        yield where, row


def _refuse_one_object(text: str, shown: str) -> None:
    """Raise GoldSetError where a file is one object around all rows, as tools write columns."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return  # an object a line, or an error that reading them finds
    inside = value.values() if isinstance(value, dict) else ()
    if inside and ("\n" in text.strip() or all(isinstance(v, dict | list) for v in inside)):
        raise GoldSetError(
            f"{shown}: holds one object, with {some_of([*value])}; a .json file is a list of "
            "objects, one a row (pandas: to_json(orient='records')), or has an object a line"
        )


def _decoded(line: str, where: str) -> Any:
    try:
        value = _DECODER.decode(line)
        if "\\u" in line:  # an escape can write half a surrogate pair, which no tokenizer can read
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        reason = f"{error.msg} at column {error.colno}"
        if error.lineno > 1:
            where = f"{where}:{error.lineno}"
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


_DECODER = json.JSONDecoder(object_pairs_hook=_unique_keys, parse_constant=_not_json)


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
    other = next((mark for mark in (";", "\t", "|") if mark in names[0]), None)
    if other is not None and len(names) == 1:
        raise GoldSetError(
            f"{where}: one column, called {names[0]!r:.60}: its cells are parted by {other!r}, not "
            "by ','; save it with commas"
        )
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
            yield from numbered(chain.from_iterable(batches), shown)
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


def numbered(rows: Iterable[Row], shown: str) -> Rows:
    """Yield rows that have no lines, each with its number."""
    for number, row in enumerate(rows, start=1):
        yield f"{shown} row {number}", row


READERS: dict[str, Callable[[Path, str, ClassNames], Rows]] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
}
"""The ending of a file's name -> what yields its rows."""
