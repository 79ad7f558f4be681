"""A project whose names and texts all try to be more than text, and what is known of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tests.plugin.project import recorded, write_rows

RUNS = (
    "<script>window.ran = 'script'</script>",
    "</script><script>window.ran = 'closed'</script>",
    "<img src=x onerror=\"window.ran = 'onerror'\">",
    "<svg onload=\"window.ran = 'onload'\"><!--<script>",
    "<iframe src=\"javascript:parent.ran = 'iframe'\"></iframe>",
    "<a href=\"javascript:window.ran = 'link'\" autofocus onfocus=\"window.ran = 'focus'\">a</a>",
    "</td></tr></table><style>body { display: none }</style>",
    "<meta http-equiv=refresh content=\"0; url=https://example.org\"><base href='//example.org/'>",
    "<link rel=stylesheet href=https://example.org/a.css><object data=https://example.org/b>",
)
"""What would run, ask a server or break the page where it were HTML."""
ODD = (
    "a line\u2028and\u2029another, a tab\t, \\u003cb\\u003e, \\",
    "{{ 7 * 7 }} ${7 * 7} {% raw %} <%= 7 * 7 %> &lt;b&gt; &amp;",
    "\u202eturned around\u202c, \u05e9\u05dc\u05d5\u05dd, \u0645\u0631\u062d\u0628\u0627",
    "\U0001f600 e\u0301, \x00\x1b[31m, \x85, \ufeff, 'one' \"two\" `three`",
    "]]></script>--> */ // \n\n# a heading\n- a list\n@everyone",
    "word" * 300,
)
"""What would be something else in JSON, a template, a terminal or Markdown."""
TEXTS = (*RUNS, *ODD)
N = 4 * len(TEXTS)
EVAL = "<img src=x onerror=window.ran='eval'>"
SMALLER = "<b onclick=window.ran='model'>smaller"
LANGUAGES = ("<i>de", "en", "\u202efr")

TEACHER = {*range(N)} - {0, 1, 2}
STUDENT = {*range(N)} - {2, 3, 4, 5, 6, 7}
SFT = {*range(N)} - {*range(1, 20)}


def text_of(i: int) -> str:
    """Return what example `i` asks: each text several times, and none twice the same."""
    return f"{TEXTS[i % len(TEXTS)]} {i}"


def answer_of(i: int, right: set[int]) -> str:
    """Return what a model answers that is right on these examples."""
    return text_of(i) if i in right else f"not {text_of(i)}"


def write_project(folder: Path) -> None:
    """Write gold sets, predictions, gates and ``distill.yaml``."""
    gold = [
        {"id": id_of(i), "q": text_of(i), "a": text_of(i), "lang": language(i)} for i in range(N)
    ]
    write_rows(folder / "gold.jsonl", gold)
    models: dict[str, Any] = {}
    sizes = {"teacher": 7_000, "student": 100, SMALLER: 20, "sft": 100}
    rights = {"teacher": TEACHER, "student": STUDENT, SMALLER: STUDENT - {30, 31, 32}, "sft": SFT}
    for k, (name, size) in enumerate(sizes.items()):
        rows = [{"id": id_of(i), "prediction": answer_of(i, rights[name])} for i in range(N)]
        write_rows(folder / f"{k}.jsonl", rows)
        write_rows(folder / f"{k}.labels.jsonl", labels(rights[name]))
        files = {EVAL: f"{k}.jsonl", "labels": f"{k}.labels.jsonl"}
        role = {"role": "student"} if name == SMALLER else {}
        models[name] = {**recorded(name, parameters=size, latency_ms=size / 10), **role}
        models[name]["predictions"] = files
    write_rows(
        folder / "labels.jsonl",
        [{"id": id_of(i), "q": text_of(i), "a": label(i)} for i in range(N)],
    )
    evals = {
        EVAL: {
            "task": "generation",
            "data": "gold.jsonl",
            "input": "q",
            "target": "a",
            "metrics": ["exact_match"],
            "slices": ["lang"],
        },
        "labels": {"task": "classification", "data": "labels.jsonl", "input": "q", "target": "a"},
    }
    config = {"models": models, "evals": evals}
    (folder / "distill.yaml").write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")
    (folder / "test_ship.py").write_text(GATES, encoding="utf-8")


GATES = f"""
import pytest
from pytest_distill import *

EVAL = {EVAL!r}

def test_keeps():
    assert_quality_retained(0.99, eval=EVAL, student="student")

def test_smaller_keeps():
    assert_quality_retained(0.5, eval=EVAL, student={SMALLER!r})

def test_slices():
    assert_slices_retained(
        0.5, by="lang", eval=EVAL, student="student", confidence=None, min_examples=2
    )

def test_pays():
    assert_beats_sft(confidence=None, eval=EVAL, student="student")

def test_routes():
    assert_routable(min_handled=0.5, retained=0.9, eval="labels", student="student")

@pytest.mark.distill
@pytest.mark.parametrize("what", ["<script>window.ran='test'</script>"])
def test_raises(what):
    raise ValueError(what)
"""


def id_of(i: int) -> str:
    """Return the id of an example."""
    return f"<b>{i:02d}'\""


def language(i: int) -> str:
    """Return the slice that an example is in."""
    return LANGUAGES[i % 3]


def label(i: int) -> str:
    """Return the gold label of an example."""
    return ("pos", "<u>neg")[i % 2]


def labels(right: set[int]) -> list[dict[str, Any]]:
    """Return predicted labels with probabilities, surer of what is right."""
    rows = []
    for i in range(N):
        told = label(i if i in right else i + 1)
        sure = 0.99 - 0.4 * ((7 * i) % N) / N - (0.05 if i not in right else 0)
        rows.append(
            {"id": id_of(i), "probabilities": {told: sure, label(i + (i in right)): 1 - sure}}
        )
    return rows
