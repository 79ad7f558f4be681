"""Gold sets and files whose conversations cannot be asked, in a real run, and answers to others."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from .project import HEAD, Project, Run, decision_of, gates_of, refuse_package_frames, said
from .project import write_gates as write

USER = {"role": "user", "content": "one"}
ROWS: list[dict[str, Any]] = [
    {"id": f"q{n}", "messages": [USER], "tools": [{"name": "f"}], "target": "a", "lang": "de"}
    for n in range(6)
]
REPORTS = ("--distill-report", "--distill-json", "out.json")
ENGINE = '''
from pytest_distill import ModelInfo, Prediction

class Asked:
    """Right where its option says so; writes down what it is asked."""

    def __init__(self, spec):
        self.spec = spec
        self.info = ModelInfo(name=spec.name, role=spec.role)

    def predict(self, requests):
        with open(f"asked.{self.spec.name}.txt", "a") as file:
            for number, request in enumerate(requests):
                file.write(f"{request.prompt!r} {request.conversation.key}\\n")
                right = number < self.spec.options["right"]
                yield Prediction(request.id, text="a" if right else "b")

    def close(self):
        pass
'''


@pytest.fixture
def conversing(project: Project) -> Callable[..., Project]:
    """Return a function that makes a project of a conversation's keys and rows."""

    def make(changed: dict[str, Any] | None = None, **keys: Any) -> Project:
        rows = [dict(row) for row in ROWS]
        rows[3] |= changed or {}
        project.rows("gold.jsonl", rows)
        project.file("own.py", ENGINE)
        project.models.clear()
        for name, right in (("teacher", 6), ("student", 5)):
            project.models[name] = {"engine": "own:Asked", "right": right}
        entry = {"task": "generation", "data": "gold.jsonl", "metrics": "exact_match"}
        project.evals["reviews"] = {**entry, **keys}
        project.save()
        write(project, head=HEAD, it="assert_quality_retained(0.5)")
        return project

    return make


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "role": (
        {"messages": [{"role": "usr", "content": "x"}]},
        "message 1 of 'messages': unknown role 'usr'; did you mean 'user'?",
    ),
    "no mapping": ({"messages": ["x"]}, "message 1 of 'messages': must be an object"),
    "no content": ({"messages": [{"role": "user"}]}, "message 1 of 'messages': no 'content'"),
    "content": (
        {"messages": [{"role": "user", "content": 3}]},
        "message 1 of 'messages': 'content' must be text or a list of text parts, not the number 3",
    ),
    "image": (
        {"messages": [{"role": "user", "content": [{"type": "image", "url": "x"}]}]},
        "message 1 of 'messages': part 1 of its content is of type 'image': images, audio and",
    ),
    "empty": ({"messages": []}, "'messages' has no message"),
    "end": (
        {"messages": [USER, {"role": "assistant", "content": "x"}]},
        "'messages' ends with a turn of the assistant, so that nothing is asked",
    ),
    "result": (
        {"messages": [USER, {"role": "tool", "content": "x"}]},
        "message 2 of 'messages': the result of a tool, but none was called before it",
    ),
    "escapes": (
        {"messages": [{"role": "\u001b[31m::error::\n", "content": "x"}]},
        "message 1 of 'messages': unknown role '\\x1b[31m::error::\\n'",
    ),
    "tools": ({"tools": "f"}, "'tools' must be a list of definitions of tools, not the text 'f'"),
    "unnamed": ({"tools": [{"description": "x"}]}, "'tools': tool 1 must be {'type': 'function'"),
    "twice": ({"tools": [{"name": "f"}] * 2}, "'tools': tool 2 is called 'f', as tool 1 is"),
    "schema": (
        {"tools": [{"name": "f", "parameters": {"type": "objekt"}}]},
        "'tools': tool 1 ('f'): its parameters are no JSON Schema: $.type: 'objekt' is not valid",
    ),
    "no field": ({"tools": None}, "'tools' must be a list of definitions of tools, not null"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_conversation_that_cannot_be_asked(
    conversing: Callable[..., Project], run: Run, name: str
) -> None:
    """One error with file, line and id; no model is asked."""
    changed, words = BROKEN[name]
    project = conversing(changed, messages="messages", tools="tools")
    result = run(*REPORTS)
    result.assert_outcomes(failed=1)
    assert f"gold.jsonl:4 (id 'q3'): {words}" in " ".join(said(result).split())
    assert decision_of(result)[0] == "INCOMPLETE"
    refuse_package_frames(result)
    assert not list(project.path.glob("asked.*"))


KEYS: dict[str, tuple[dict[str, Any], str]] = {
    "prompt": (
        {"messages": "messages", "prompt": "{{ lang }}"},
        "messages: are all that is asked: put what 'prompt' says into them",
    ),
    "shots": (
        {"messages": "messages", "shots": {"data": "gold.jsonl", "n": 2}},
        "messages: are all that is asked: put what 'shots' says into them",
    ),
    "chat": ({"system": "x", "chat": False}, "chat: is false, but 'system' goes through the chat"),
    "field": ({"messages": ["messages"]}, "messages: should be a valid string"),
    "system": ({"system": "{{ x"}, "system: unexpected end of template"),
    "taken": ({"template": {"tokenize": True}}, "template: 'tokenize' is not for a template to be"),
    "template": ({"template": 3}, "template: must be the name of a chat template, or a mapping"),
    "switch": ({"template": {"x": "<off>"}}, "template.x: write 'off' in quotes: YAML reads it as"),
    "tools": ({"tools": [{"name": "f"}, "g"]}, "tools: tool 2 must be {'type': 'function'"),
    "schema": (
        {"tools": [{"name": "f", "parameters": {"required": "x"}}]},
        "tools: tool 1 ('f'): its parameters are no JSON Schema: $.required: 'x' is not of type",
    ),
    "of another task": ({"task": "perplexity", "system": "x"}, "system: unknown key"),
}


@pytest.mark.parametrize("name", KEYS)
def test_keys_that_cannot_be(conversing: Callable[..., Project], run: Run, name: str) -> None:
    """File, line and key are told when the gates are collected."""
    keys, words = KEYS[name]
    project = conversing(**keys)
    file = project.path / "distill.yaml"
    file.write_text(file.read_text().replace("<off>", "off").replace("'off'", "off"))
    result = run(*REPORTS)
    result.assert_outcomes(errors=1)
    flat = " ".join(said(result).split())
    assert "distill.yaml:" in flat
    assert f"evals.reviews.{words}" in flat
    refuse_package_frames(result)


def test_a_second_system_turn_is_told_with_its_example(
    conversing: Callable[..., Project], run: Run
) -> None:
    """The eval and the gold set both have one."""
    system = {"role": "system", "content": "x"}
    conversing({"messages": [system, USER]}, messages="messages", system="Be brief.")
    result = run(*REPORTS)
    words = "(id 'q3'): message 1 of 'messages' is of the system, and 'system' puts such a turn"
    assert words in " ".join(said(result).split())
    refuse_package_frames(result)


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["here", "workers"])
def test_conversations_are_asked_and_judged(
    conversing: Callable[..., Project], run: Run, workers: tuple[str, ...]
) -> None:
    """An engine of one's own gets messages and tools, and no prompt."""
    tools = [{"name": "f", "parameters": {"type": "object"}}]
    project = conversing(messages="messages", system="Speak {{ lang }}.", tools=tools)
    run(*REPORTS, *workers).assert_outcomes(passed=1)
    gate = gates_of(project)["it"]
    assert gate["outcome"] == "PASSED"
    assert any("6 of 6 gold examples ask only 1 thing" in note for note in gate["notes"])
    line, *others = (project.path / "asked.student.txt").read_text().splitlines()
    assert others == [line] * 5
    prompt, _, key = line.partition(" ")
    assert prompt == "''"
    assert json.loads(key) == [
        [{"role": "system", "content": "Speak de."}, USER],
        [{"type": "function", "function": tools[0]}],
        None,
        {},
    ]
