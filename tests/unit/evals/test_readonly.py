from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_distill.evals.goldset import read_gold_set, read_only

ROW = {"id": "a", "tags": ["x", "y"], "meta": {"spans": [[0, 1]], "lang": "de"}}

CHANGES: list[Callable[[Any], Any]] = [
    lambda f: f.__setitem__("target", "pos"),
    lambda f: f.__delitem__("id"),
    lambda f: f.update(id="b"),
    lambda f: f.pop("id"),
    lambda f: f.popitem(),
    lambda f: f.clear(),
    lambda f: f.setdefault("target", "pos"),
    lambda f: f.__ior__({"id": "b"}),
    lambda f: f["tags"].append("z"),
    lambda f: f["tags"].__setitem__(0, "z"),
    lambda f: f["tags"].__iadd__(["z"]),
    lambda f: f["tags"].sort(),
    lambda f: f["tags"].clear(),
    lambda f: f["meta"].__setitem__("lang", "en"),
    lambda f: f["meta"]["spans"][0].append(2),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_row_refuses_to_be_changed(change: Callable[[Any], Any]) -> None:
    """However deep: what one metric does to an example, no other model's scores may see."""
    row = read_only(ROW)
    with pytest.raises(TypeError, match="gold examples are read-only"):
        change(row)
    assert row == ROW


def test_a_row_stays_what_json_and_isinstance_know() -> None:
    """Mappings are dicts and lists are lists, and print as such."""
    row = read_only(ROW)
    assert json.loads(json.dumps(row)) == ROW
    assert isinstance(row["meta"], dict)
    assert isinstance(row["tags"], list)
    assert repr(row) == repr(ROW)


def pickled(row: Any) -> Any:
    """Return what another process gets."""
    return pickle.loads(pickle.dumps(row))  # noqa: S301 (our own bytes)


@pytest.mark.parametrize("copied", [copy.deepcopy, pickled])
def test_a_copy_can_be_changed(copied: Callable[[Any], Any]) -> None:
    """A metric that wants to change a row takes a copy, plain all the way down."""
    row = copied(read_only(ROW))
    row["meta"]["spans"][0].append(2)
    row["tags"].append("z")
    assert (row["meta"]["spans"], row["tags"]) == ([[0, 1, 2]], ["x", "y", "z"])


def test_the_examples_of_a_file_are_read_only(tmp_path: Path) -> None:
    """Whatever reads a gold set gets such rows."""
    (tmp_path / "gold.jsonl").write_text(json.dumps(ROW) + "\n")
    (example,) = read_gold_set(tmp_path / "gold.jsonl")
    with pytest.raises(TypeError, match="read-only"):
        example.fields["id"] = "b"  # type: ignore[index]
    with pytest.raises(TypeError, match="read-only"):
        example.fields["tags"].append("z")
