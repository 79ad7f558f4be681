from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from .generated import PARTS, metrics_table, names_of_parts, tasks_table, with_parts
from .keys import keys_table, kind_text
from .pages import ROOT, all_pages

WITH_PARTS = [page for page in all_pages() if names_of_parts(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", WITH_PARTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_generated_parts_of_a_page_are_as_the_code_has_them(page: Path) -> None:
    """A part differs from the code: ``python -m tests.docs.generated``."""
    text = page.read_text(encoding="utf-8")
    assert with_parts(text) == text


def test_every_part_stands_once() -> None:
    """What can be generated is shown, on one page alone."""
    shown = Counter(n for page in WITH_PARTS for n in names_of_parts(page.read_text("utf-8")))
    assert shown == Counter(PARTS.keys())


def test_every_option_has_its_row(pytestconfig: pytest.Config) -> None:
    """An option that a format of a report brings too."""
    text = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `--(distill-\w+)[ `]", text, re.MULTILINE)
    given = [name for name in vars(pytestconfig.option) if name.startswith("distill_")]
    assert sorted(rows) == sorted(name.replace("_", "-") for name in given)


@pytest.mark.parametrize(
    ("metric", "cells"),
    [
        (
            "matthews",
            "classification | \N{MINUS SIGN}1 to 1, higher | over all examples, [jackknife]",
        ),
        (
            "perplexity",
            "perplexity | 1 to infinity, lower | over all texts, [t test of log-likelihoods]",
        ),
        ("math_equal", "generation | 0 to 1, higher | share of examples, [exact test]"),
    ],
)
def test_a_row_says_what_the_metric_declares(metric: str, cells: str) -> None:
    """Tasks, range, direction and what the value is made of come from the metric."""
    assert f"| [`{metric}`](metrics.md#{metric}) | {cells}(" in metrics_table()


def test_a_row_says_what_a_metric_needs() -> None:
    """Keys of the eval, and what to install."""
    needs = [
        row.split(" | ")[-1] for row in metrics_table().splitlines() if "matches_schema" in row
    ]
    assert needs == ["`schema` or `tools`, `pytest-distill[tools]` |"]


def test_the_default_metric_of_a_task_stands_first() -> None:
    """Whatever the order in which a task lists its metrics."""
    assert "| `exact_match`, `token_f1`," in tasks_table()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            {"type": "integer", "minimum": 1, "maximum": 10_000},
            "whole number ≥ 1 and at most 10,000",
        ),
        ({"type": "number", "exclusiveMinimum": 0.5}, "number above 0.5"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "text"),
        ({"type": ["object", "array", "null"]}, "mapping or list"),
        ({"enum": ["left", "right", None]}, "`left` or `right`"),
        (
            {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
            "text, or a list",
        ),
        (
            {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
            "list of 2 numbers",
        ),
        (
            {"type": "array", "items": {"type": "string"}, "minItems": 2},
            "list of 2 or more texts",
        ),
        ({"type": "array", "items": {"type": "string"}, "minItems": 1}, "list of texts"),
    ],
)
def test_a_type_is_told_in_words(said: dict[str, object], words: str) -> None:
    """With its bounds; that a key may have nothing behind it is not told."""
    assert kind_text(said) == words


def test_a_row_says_what_a_key_is() -> None:
    """Type, default and meaning come from the schema; what must be there is needed."""
    mapping = {
        "properties": {
            "a": {"type": "string", "description": "One."},
            "b": {"type": "boolean", "default": False, "description": "Two."},
            "c": {"type": "string", "description": "Elsewhere."},
        },
        "required": ["a"],
    }
    assert keys_table("x", lambda: mapping, lambda: ["c"]).splitlines()[2:] == [
        "| `a` | text | needed | One. |",
        "| `b` | true or false | `false` | Two. |",
    ]
