from __future__ import annotations

import csv
import gzip
import json
import sys
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pyarrow.parquet
import pytest

from pytest_distill import errors
from pytest_distill.evals.goldset import read_gold_set

ROWS = [{"id": "a", "text": "good", "label": 1}, {"id": "b", "text": "bad", "label": 0}]


def write(path: Path, text: str | bytes) -> Path:
    """Write a file and return its path."""
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def error_of(source: Path | str, **options: Any) -> str:
    """Return the message of the GoldSetError that reading `source` raises."""
    with pytest.raises(errors.GoldSetError) as raised:
        read_gold_set(source, **options)
    return str(raised.value)


@pytest.fixture(autouse=True)
def in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder, so that messages name files relative to it."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def table() -> Any:
    """Return ROWS as an Arrow table."""
    return pyarrow.Table.from_pylist(ROWS)


def test_jsonl_keeps_rows_ids_and_lines(tmp_path: Path) -> None:
    """A .jsonl file gives one example a line, in order, blank lines and a BOM passed over."""
    lines = "\n\n".join(map(json.dumps, ROWS))
    path = write(tmp_path / "gold.jsonl", b"\xef\xbb\xbf" + lines.encode() + b"\r\n\n")
    gold = read_gold_set(path)
    assert [(e.id, dict(e.fields), e.where) for e in gold] == [
        ("a", ROWS[0], "gold.jsonl:1"),
        ("b", ROWS[1], "gold.jsonl:3"),
    ]
    assert len(gold) == 2
    assert gold.source == "gold.jsonl"


def test_jsonl_lines_end_at_newlines_alone(tmp_path: Path) -> None:
    """U+2028 inside a JSON text does not end the line."""
    path = write(tmp_path / "gold.jsonl", '{"id": "a", "text": "x\u2028y"}\n')
    assert read_gold_set(path).examples[0].fields["text"] == "x\u2028y"


def test_csv_keeps_rows_and_the_line_where_each_starts(tmp_path: Path) -> None:
    """A .csv cell may hold commas, quotes and line ends; a row's place is its first line."""
    path = tmp_path / "gold.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        csv.writer(file).writerows([["id", "text"], ["a", 'x, "y"\nz'], ["b", ""]])
    gold = read_gold_set(path)
    assert [dict(e.fields) for e in gold] == [
        {"id": "a", "text": 'x, "y"\nz'},
        {"id": "b", "text": ""},
    ]
    assert [e.where for e in gold] == ["gold.csv:2", "gold.csv:4"]


def test_parquet_keeps_rows_and_numbers_them(tmp_path: Path, table: Any) -> None:
    """A .parquet file gives its rows as Python values."""
    pyarrow.parquet.write_table(table, tmp_path / "gold.parquet", row_group_size=1)
    gold = read_gold_set(tmp_path / "gold.parquet")
    assert [(e.id, dict(e.fields), e.where) for e in gold] == [
        ("a", ROWS[0], "gold.parquet row 1"),
        ("b", ROWS[1], "gold.parquet row 2"),
    ]


def test_datasets_folder_of_one_dataset(tmp_path: Path, table: Any) -> None:
    """A folder written by Dataset.save_to_disk is read without a split."""
    datasets.Dataset(table).save_to_disk(tmp_path / "gold")
    gold = read_gold_set(tmp_path / "gold")
    assert [(dict(e.fields), e.where) for e in gold] == [
        (ROWS[0], "gold row 1"),
        (ROWS[1], "gold row 2"),
    ]
    assert "drop 'split'" in error_of(tmp_path / "gold", split="test")


def test_datasets_folder_of_several_splits(tmp_path: Path, table: Any) -> None:
    """A folder written by DatasetDict.save_to_disk is read by split, and says which it has."""
    datasets.DatasetDict({"test": datasets.Dataset(table)}).save_to_disk(tmp_path / "gold")
    gold = read_gold_set(tmp_path / "gold", split="test")
    assert gold.examples[0].where == "gold[test] row 1"
    assert error_of(tmp_path / "gold", split="tets") == (
        "gold: no split 'tets'; did you mean 'test'?"
    )
    assert error_of(tmp_path / "gold") == (
        "gold: has several splits; set 'split' to one of ['test']"
    )


@pytest.mark.parametrize("key", ["config", "revision"])
def test_what_lies_here_has_no_config_and_no_revision(tmp_path: Path, key: str) -> None:
    """A key that says something of the hub is refused for a file, not ignored."""
    (tmp_path / "gold.jsonl").write_text('{"input": "a"}\n')
    assert error_of(tmp_path / "gold.jsonl", **{key: "x"}) == (
        f"gold.jsonl: lies here, and only a data set of the hub has a {key}; drop '{key}'"
    )


def test_missing_package_datasets_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the package datasets, the error gives the command that installs it."""
    write(tmp_path / "state.json", "{}")
    monkeypatch.setitem(sys.modules, "datasets", None)
    message = "needs the package datasets: pip install 'pytest-distill[datasets]'"
    assert message in error_of(tmp_path)
    assert message in error_of("org/reviews", split="test")


@pytest.mark.parametrize("row", [{"text": "good"}, {"text": "good", "id": None}])
def test_missing_id_is_a_digest_of_the_row(tmp_path: Path, row: dict[str, Any]) -> None:
    """Without ids, an id is 16 hex digits that depend on the row's content, not on key order."""
    other = dict(reversed(row.items())) | {"n": 1}
    path = write(tmp_path / "gold.jsonl", f"{json.dumps(row)}\n{json.dumps(other)}")
    again = write(tmp_path / "again.jsonl", json.dumps({"n": 1} | row))
    first, second = read_gold_set(path)
    assert len(first.id) == 16
    assert int(first.id, 16) >= 0
    assert second.id == read_gold_set(again).examples[0].id != first.id


def test_ids_are_texts(tmp_path: Path) -> None:
    """A whole number as id is its decimal text; the id may stand in another field."""
    path = write(tmp_path / "gold.jsonl", '{"uid": 7, "text": "x"}')
    assert read_gold_set(path, id_field="uid").examples[0].id == "7"


def test_place_of_a_file_elsewhere_is_its_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file outside of the current folder is named as it was given."""
    path = write(tmp_path / "gold.jsonl", '{"id": "a"}')
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert read_gold_set(path).examples[0].where == f"{path}:1"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "g.jsonl: it is empty; at least one example is needed"),
        ("\n \n", "g.jsonl: it is empty; at least one example is needed"),
        (
            '{"id": 1}\n{"id": 2,}',
            "g.jsonl:2: not valid JSON: Expecting property name enclosed in double quotes "
            "at column 10",
        ),
        ("[1, 2]", "g.jsonl:1: expected one JSON object a line, got list [1, 2]"),
        (
            '[{"id": 1}]',
            "g.jsonl:1: expected one JSON object a line, got list [{'id': 1}]; where this is the "
            "list of all rows, call the file .json",
        ),
        (
            '[{"label": "a"}]',
            "g.jsonl:1: expected one JSON object a line, got list [{'label': 'a'}]; give it an id: "
            '{"id": ..., "output": [...]}',
        ),
        ('{"id": 4, "x": NaN}', "g.jsonl:1 (id '4'): not valid JSON: NaN is not a JSON value"),
        ('{"x": -Infinity', "g.jsonl:1: not valid JSON: -Infinity is not a JSON value"),
        (
            '{"x": 1, "x": 2}',
            "g.jsonl:1: not valid JSON: 'x' is given twice in one object",
        ),
        (
            '{"x": "\\ud800"}',
            "g.jsonl:1: not valid JSON: half of a surrogate pair (\\ud800 to \\udfff) is not a "
            "character",
        ),
        ("[" * 100_000, "g.jsonl:1: not valid JSON: nested too deeply"),
        (
            b'{"id": 1}\n{"x": "caf\xe9"}',
            "g.jsonl:2: not UTF-8 (byte 0xe9 at column 11); save the file as UTF-8",
        ),
        ('{"id": "a"}\n\n{"id": "a"}', "g.jsonl:3: the id 'a' is already used at g.jsonl:1"),
        (
            '{"x": 1}\n{"x": 1}',
            "g.jsonl:2: the same row as g.jsonl:1; remove one, or tell them apart by 'id'",
        ),
        (
            '{"id": 1}\n{"x": 1}',
            "g.jsonl:2: no 'id', though g.jsonl:1 has one; give every row an id, or none",
        ),
        (
            '{"x": 1}\n{"id": 1}',
            "g.jsonl:1: no 'id', though g.jsonl:2 has one; give every row an id, or none",
        ),
        ('{"id": [1]}', "g.jsonl:1: 'id' must be a text or a number, not [1]"),
        ('{"id": true}', "g.jsonl:1: 'id' must be a text or a number, not True"),
        ('{"id": ""}', "g.jsonl:1: 'id' is empty"),
    ],
)
def test_bad_jsonl(tmp_path: Path, content: str | bytes, message: str) -> None:
    """A malformed .jsonl file is one message with file, line and what to do."""
    assert error_of(write(tmp_path / "g.jsonl", content)) == message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "g.csv: it is empty; at least one example is needed"),
        ("id,text\n", "g.csv: it is empty; at least one example is needed"),
        ("id,text\na,b,c\n", "g.csv:2: 3 columns, but the header has 2"),
        ('id,text\n"a\nb",c\nd\n', "g.csv:4: 1 columns, but the header has 2"),
        (
            "id;text\na;b\n",
            "g.csv:1: one column, called 'id;text': its cells are parted by ';', not by ','; save "
            "it with commas",
        ),
        (
            "id\ttext\na\tb\n",
            "g.csv:1: one column, called 'id\\ttext': its cells are parted by '\\t', not by ','; "
            "save it with commas",
        ),
        ("id,text,text\na,b,c\n", "g.csv:1: two columns are called 'text'"),
        ('id,text\na,"b\n', "g.csv:2: not valid CSV: unexpected end of data"),
        (
            b"id,text\na,caf\xe9\n",
            "g.csv:2: not UTF-8 (byte 0xe9 at column 6); save the file as UTF-8",
        ),
        (gzip.compress(b"id,text\n", mtime=0), "g.csv:1: the file is packed: unpack it first"),
        ("id,text\na,x\na,y\n", "g.csv:3: the id 'a' is already used at g.csv:2"),
    ],
)
def test_bad_csv(tmp_path: Path, content: str | bytes, message: str) -> None:
    """A malformed .csv file is one message with file, line and what to do."""
    assert error_of(write(tmp_path / "g.csv", content)) == message


def test_bad_parquet(tmp_path: Path) -> None:
    """A file that only looks like parquet is named."""
    path = write(tmp_path / "g.parquet", b"PAR1 but no more")
    assert error_of(path).startswith("g.parquet: not a readable parquet file: Parquet magic bytes")


def test_missing_file_suggests_the_nearest_name(tmp_path: Path) -> None:
    """A slip in a file's name is met with the name of the file that is there."""
    write(tmp_path / "reviews.jsonl", "")
    assert error_of(tmp_path / "review.jsonl") == (
        "review.jsonl: no such file; did you mean 'reviews.jsonl'?"
    )
    assert error_of(tmp_path / "quite-different.csv") == "quite-different.csv: no such file"
    assert error_of(tmp_path / "glod" / "reviews.jsonl") == (
        f"{Path('glod/reviews.jsonl')}: no such file; the folder 'glod' is missing"
    )
    windows = r"data\reviews.jsonl"
    assert error_of(tmp_path / windows) == f"{windows}: no such file; write '/' between folders"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("g.txt", "unknown kind of file '.txt'; use .jsonl, .ndjson, .json, .csv, .parquet"),
        ("g.jsonl.gz", "is packed: unpack it first (.jsonl,"),
        ("g.XLSX", "is a spreadsheet: save its sheet as .csv (.jsonl,"),
        ("g.tsv", "has tabs between its cells: save it with commas, as .csv (.jsonl,"),
    ],
)
def test_unknown_kind_of_file(tmp_path: Path, name: str, message: str) -> None:
    """A file of another kind is refused with the kinds that can be read, and what to do."""
    assert error_of(write(tmp_path / name, "[]")).startswith(f"{name}: {message}")


@pytest.mark.parametrize("name", ["gold.json", "gold.jsonl", "gold.ndjson"])
def test_an_object_a_line_whatever_the_file_is_called(tmp_path: Path, name: str) -> None:
    """Tools write such files under all three names."""
    gold = read_gold_set(write(tmp_path / name, "\n".join(map(json.dumps, ROWS))))
    assert [(dict(e.fields), e.where) for e in gold] == [
        (ROWS[0], f"{name}:1"),
        (ROWS[1], f"{name}:2"),
    ]


@pytest.mark.parametrize("indent", [None, 1])
def test_a_list_of_objects(tmp_path: Path, indent: int | None) -> None:
    """A .json file with one list has a row an object."""
    gold = read_gold_set(write(tmp_path / "g.json", json.dumps(ROWS, indent=indent)))
    assert [(dict(e.fields), e.where) for e in gold] == [
        (ROWS[0], "g.json row 1"),
        (ROWS[1], "g.json row 2"),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "g.json: it is empty; at least one example is needed"),
        ("", "g.json: it is empty; at least one example is needed"),
        ('[{"x": 1}, 2]', "g.json row 2: expected a list of objects, got int 2"),
        ('[{"x": 1},\n {"x": NaN}]', "g.json: not valid JSON: NaN is not a JSON value"),
        ('[{"x": 1},\n {"x": }]', "g.json:2: not valid JSON: Expecting value at column 8"),
        (
            '{"id": {"0": "a"}, "x": {"0": 1}}',
            "g.json: holds one object, with id, x; a .json file is a list of objects, one a row "
            "(pandas: to_json(orient='records')), or has an object a line",
        ),
        (
            '{\n "rows": [{"x": 1}]\n}',
            "g.json: holds one object, with rows; a .json file is a list of objects, one a row "
            "(pandas: to_json(orient='records')), or has an object a line",
        ),
    ],
)
def test_bad_json(tmp_path: Path, content: str, message: str) -> None:
    """A .json file that is no list of objects says what one is."""
    assert error_of(write(tmp_path / "g.json", content)) == message


def test_folder_that_datasets_did_not_write(tmp_path: Path) -> None:
    """Any other folder is refused."""
    (tmp_path / "gold").mkdir()
    assert error_of(tmp_path / "gold") == "gold: not a folder that datasets' save_to_disk wrote"


def test_name_without_split(tmp_path: Path) -> None:
    """A name that is no file is refused with all that a gold set can be."""
    message = error_of(tmp_path / "reviews")
    assert message.startswith("reviews: no such file or folder; a gold set is a file (.jsonl,")
    assert message.endswith("a hub dataset with 'split'")


def test_split_of_a_file(tmp_path: Path) -> None:
    """A file has no splits."""
    path = write(tmp_path / "gold.jsonl", '{"id": 1}')
    assert error_of(path, split="test") == ("gold.jsonl: a .jsonl file has no splits; drop 'split'")


def test_missing_id_field_of_another_name(tmp_path: Path) -> None:
    """An id field that the user named must be there: a slip must not turn into digests."""
    path = write(tmp_path / "gold.jsonl", '{"uid": 1}')
    assert error_of(path, id_field="uuid") == ("gold.jsonl:1: no field 'uuid'; did you mean 'uid'?")
