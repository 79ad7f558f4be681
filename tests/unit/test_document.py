"""What a ``distill.yaml`` may hold: it may come from others, and must not stop a run."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from pytest_distill import ConfigError
from pytest_distill.config.document import MOST_REPEATED, Document


def doubled(item: str, levels: int) -> str:
    """Return lines each of which names the one before twice."""
    lines = ["a0: &a0 {x: 1}"]
    lines += [f"a{i}: &a{i} " + item.format(f"*a{i - 1}") for i in range(1, levels)]
    return "\n".join(lines)


BOMBS = {
    "sequences": doubled("[{0}, {0}]", 60),
    "mappings": doubled("{{l: {0}, r: {0}}}", 60),
    "keys": doubled("{{{0}: 1, y: {0}}}", 60),
    "merge keys": doubled("{{<<: [{0}, {0}]}}", 60),
    "one long list": f"a: &a [{', '.join('x' * 1000)}]\nb: [{', '.join(['*a'] * 1000)}]",
}


@pytest.mark.parametrize("kind", BOMBS)
def test_aliases_are_bounded(tmp_path: Path, kind: str) -> None:
    """A few lines that stand for a billion entries are refused at once."""
    path = tmp_path / "distill.yaml"
    path.write_text(BOMBS[kind], encoding="utf-8")
    begin = time.perf_counter()
    with pytest.raises(ConfigError, match=f"stand for more than {MOST_REPEATED:,} entries"):
        Document(path)
    assert time.perf_counter() - begin < 5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: &a [*a]", "distill.yaml:1: an anchor refers to itself"),
        ("b: 1\na: &a {<<: *a}", "distill.yaml:2: an anchor refers to itself"),
        ("a: " + "[" * 2000 + "]" * 2000, "is nested too deeply"),
        ("a: " + "9" * 5000, "distill.yaml:1: a number of 5000 digits"),
        ("a: 0x" + "f" * 5000, "distill.yaml:1: a number of 5002 digits"),
        ("a: 2025-13-45", "has a value that YAML cannot read: month must be in 1..12"),
        ("a: !!int ''", "has a value that YAML cannot read"),
        ("a: !!timestamp x", "has a value that YAML cannot read"),
        ("a: !!python/object/apply:os.getcwd []", "is not valid YAML"),
    ],
)
def test_what_yaml_trips_over_is_an_error_of_the_file(
    tmp_path: Path, text: str, words: str
) -> None:
    """In one line, with the file's name."""
    path = tmp_path / "distill.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        Document(path)
    assert words in str(caught.value)


def test_aliases_and_merge_keys_may_be_used(tmp_path: Path) -> None:
    """Entries that share their keys are what they are for."""
    path = tmp_path / "distill.yaml"
    path.write_text("a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}\n", encoding="utf-8")
    assert Document(path).content == {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2}}


def test_what_is_written_out_may_be_long(tmp_path: Path) -> None:
    """Only aliases are bounded."""
    path = tmp_path / "distill.yaml"
    path.write_text("a:\n" + "- x\n" * (MOST_REPEATED + 10), encoding="utf-8")
    assert len(Document(path).content["a"]) == MOST_REPEATED + 10
