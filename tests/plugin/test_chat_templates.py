"""Conversations with real models, in a whole run: what a chat template refuses or leaves out."""

from __future__ import annotations

from typing import Any

import pytest

from .chat_models import write_chat_models
from .project import HEAD, Project, Run, decision_of, refuse_package_frames, said, write_gates

REPORTS = ("--distill-report", "--distill-json", "out.json")
PLAIN = "{% for m in messages %}{{ m.content }}{% endfor %}"
ALTERNATE = (
    "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
    "{{ raise_exception('Conversation roles must alternate') }}{% endif %}{{ m.content }}"
    "{% endfor %}"
)
ROWS = [
    {"id": text, "m": [{"role": "user", "content": text}], "target": text[:1]}
    for text in ("abba", "cafe", "bead", "gaga")
]


def _conversing(project: Project, text: str, **keys: Any) -> None:
    """Let the project ask its models for answers to messages."""
    write_chat_models(project, text)
    project.rows("texts.jsonl", ROWS)
    project.evals.clear()
    project.evals["texts"] = {
        "task": "generation",
        "data": "texts.jsonl",
        "max_new_tokens": 3,
        "metrics": ["chrf"],
        "messages": "m",
        **keys,
    }
    project.save()
    write_gates(project, head=HEAD.replace('"reviews"', '"texts"'), it="assert_score(100)")


@pytest.mark.parametrize(
    ("template", "keys", "words"),
    [
        (
            ALTERNATE,
            {"system": "a"},
            "chat template of model 'student' fails on example 'abba': Conversation roles must alt",
        ),
        (
            PLAIN,
            {"tools": [{"name": "f"}]},
            "chat template of model 'student' leaves out the definitions of the tools of example '",
        ),
        (
            PLAIN,
            {"template": "rag"},
            "model 'student': its tokenizer has no chat template called 'rag'; it has 'default'",
        ),
        (
            "{{ messages[-1].content }}",
            {"system": "a"},
            "chat template of model 'student' leaves out message 1 (system) of example 'abba'",
        ),
    ],
    ids=["refused", "tools", "name", "system"],
)
def test_what_a_template_refuses_is_one_error(
    project: Project, run: Run, template: str, keys: dict[str, Any], words: str
) -> None:
    """The model and the example are told, and the gate has no verdict."""
    _conversing(project, template, **keys)
    result = run(*REPORTS)
    result.assert_outcomes(failed=1)
    assert words in " ".join(said(result).split())
    assert decision_of(result)[0] == "INCOMPLETE"
    refuse_package_frames(result)


def test_answers_to_conversations_are_stored(project: Project, run: Run) -> None:
    """The system's turn and what the template is told are a part of what was asked."""
    _conversing(project, PLAIN, system="a", template={"effort": "low"})
    seen = []
    for keys in ({}, {}, {"system": "b"}, {"system": "a"}, {"template": {"effort": "high"}}):
        project.evals["texts"].update(keys)
        project.save()
        told = " ".join(said(run(*REPORTS)).split())
        assert "model 'student': its chat template does not read 'effort'" in told
        seen.append("(predictions: 4 made in this run" in told)
        assert seen[-1] or "(predictions: 4 from the store)" in told
    assert seen == [True, False, True, False, True]
