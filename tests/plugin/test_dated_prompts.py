"""Prompts that hold a date: the same for a whole run, and another thing to ask on another day."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pytest_distill.engines.transformers.likeness import comparing as likeness

from .chat_models import write_chat_models
from .project import HEAD, Project, Run, command, gates_of, said, write_gates

MONDAY = datetime(2026, 3, 30, 23, 59)
TUESDAY = datetime(2026, 3, 31, 0, 1)
DATED = "{{ strftime_now('%d %b') }}{{ messages[0].content }}"
PLAIN = "{{ messages[0].content }}"
REPORTS = ("--distill-report", "--distill-json", "out.json")
SCORES = "assert_score(100)"  # which nobody reaches; the student is evaluated for it


@pytest.fixture(params=[DATED, PLAIN], ids=["dated", "plain"])
def template(request: pytest.FixtureRequest) -> str:
    """Return a chat template, which reads the clock or does not."""
    text: str = request.param
    return text


@pytest.fixture
def chatting(project: Project, template: str) -> Project:
    """Return a project with two tiny models that answer chats of four prompts."""
    write_chat_models(project, template)
    texts = ("abba", "cafe", "bead", "gaga")
    project.rows("texts.jsonl", ({"id": t, "text": t, "target": t[:1]} for t in texts))
    project.evals.clear()
    project.evals["texts"] = {
        "task": "generation",
        "data": "texts.jsonl",
        "input": "text",
        "chat": True,
        "max_new_tokens": 3,
        "metrics": ["chrf"],
    }
    project.save()
    head = HEAD.replace('"reviews"', '"texts"')
    write_gates(project, head=head, it=SCORES)
    return project


def _began(monkeypatch: pytest.MonkeyPatch, when: datetime) -> None:
    run = (when.toordinal(), when.isoformat())
    monkeypatch.setattr("pytest_distill.plugin.session.run_of", lambda _: run)


def _predictions(result: pytest.RunResult) -> str:
    return next(line for line in said(result).splitlines() if "(predictions: " in line)


MADE, FOUND = "(predictions: 4 made in this run", "(predictions: 4 from the store)"


@pytest.mark.usefixtures("chatting")
def test_on_another_day_a_dated_prompt_is_asked_anew(
    run: Run, monkeypatch: pytest.MonkeyPatch, template: str
) -> None:
    """On the same day, and without a date on any, the answers are those of the store."""
    dated = template == DATED
    _began(monkeypatch, MONDAY)
    first = run(*REPORTS)
    assert MADE in _predictions(first)
    again = run(*REPORTS)
    assert FOUND in _predictions(again)
    for result in (first, again):  # told also where all answers are stored
        assert ("the prompts of this run hold '30 Mar'" in " ".join(said(result).split())) == dated
    _began(monkeypatch, TUESDAY)
    later = run(*REPORTS)
    assert (MADE if dated else FOUND) in _predictions(later)
    assert ("'31 Mar'" in said(later)) == dated


@pytest.mark.parametrize("template", [DATED])
def test_all_workers_of_a_run_have_one_date(
    chatting: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That at which the run began, whenever a worker was started."""
    _began(monkeypatch, MONDAY)
    result = run("-n", "2", *REPORTS)
    assert gates_of(chatting)["it"]["outcome"] == "FAILED"
    assert "the prompts of this run hold '30 Mar'" in " ".join(said(result).split())


@pytest.mark.parametrize("template", [PLAIN])
def test_where_all_is_stored_a_chat_loads_nothing(chatting: Project, run_apart: Run) -> None:
    """A template that does not read the clock is a part of the model's digest."""
    loads = "import sys; assert {'torch', 'transformers'} & set(sys.modules)"
    head = HEAD.replace('"reviews"', '"texts"')
    write_gates(chatting, head=head, it=SCORES, zz=loads)
    run_apart(*REPORTS).assert_outcomes(passed=1, failed=1)
    write_gates(chatting, head=head, it=SCORES, zz=loads.replace("assert", "assert not"))
    run_apart(*REPORTS).assert_outcomes(passed=1, failed=1)


@pytest.mark.parametrize("template", [DATED])
def test_a_comparison_of_tokens_is_of_its_date(
    chatting: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was compared under another date is compared anew."""
    write_gates(chatting, head=HEAD.replace('"reviews"', '"texts"'), it="assert_divergence(50)")
    seen = []
    for when in (MONDAY, MONDAY, TUESDAY):
        _began(monkeypatch, when)
        calls: list[int] = []
        with monkeypatch.context() as patched:
            patched.setattr(likeness, "compare", _counting(calls))
            run(*REPORTS)
        seen.append(len(calls))
    assert seen == [1, 0, 1]


def _counting(calls: list[int]) -> Any:
    own = likeness.compare

    def compare(*args: Any) -> Any:
        calls.append(1)
        return own(*args)

    return compare


@pytest.mark.usefixtures("chatting")
@pytest.mark.parametrize("template", [DATED])
def test_an_export_says_that_its_prompts_hold_a_date(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answers can be used where the weights are absent; the report tells of the date."""
    _began(monkeypatch, datetime.now())
    run(*REPORTS)
    assert "4 predictions" in command("store", "export", "out").stdout
    rows = [json.loads(line) for line in Path("out/texts.student.jsonl").read_text().splitlines()]
    assert all(row["dated"] != row["request"] for row in rows)
    for file in Path("student").glob("*.safetensors"):
        file.unlink()
    Path("student").rename("gone")
    result = run(*REPORTS, "--distill-predictions", "out")
    told = "its chat template read the clock, so that its prompts hold the date of then"
    assert told in " ".join(said(result).split())
