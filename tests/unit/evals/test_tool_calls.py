"""The calls of tools in what models write."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from pytest_distill._util import strict_json
from pytest_distill.errors import GoldSetError
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.requests import ToolCall
from pytest_distill.evals.tasks.tool_calls import calls_of, expected_calls

PARIS = ToolCall("weather", '{"city": "Paris"}')
OSLO = ToolCall("weather", '{"city": "Oslo"}')
A = '{"name": "weather", "arguments": {"city": "Paris"}}'
B = '{"name": "weather", "arguments": {"city": "Oslo"}}'
TOOLS = ({"type": "function", "function": {"name": "weather"}},)
LLAMA = '{"name": "weather", "parameters": {"city": "Paris"}}'
LLAMA_B = '{"name": "weather", "parameters": {"city": "Oslo"}}'


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        (f"<tool_call>\n{A}\n</tool_call>", [PARIS]),
        (f"<tool_call>{A}</tool_call>\n<tool_call>{B}</tool_call>", [PARIS, OSLO]),
        (f"I will look.\n<tool_call>\n{A}\n</tool_call> Wait.", [PARIS]),
        (f"<tool_call>\n{A}", [PARIS]),  # the stop string was its end
        (f"<tool_call>\n{A}\n<tool_call>\n{B}\n</tool_call>", [PARIS, OSLO]),
        (f"<tool_call>[{A}, {B}]</tool_call>", [PARIS, OSLO]),  # SmolLM2
        ("<tool_call>[]</tool_call>", []),
        (f"[TOOL_CALLS] [{A}, {B}]", [PARIS, OSLO]),
        (f"[TOOL_CALLS][{A}]</s>", [PARIS]),
        (f" [{A}, {B}]", [PARIS, OSLO]),  # Mistral without its special token
        ('Sure.[TOOL_CALLS]weather[ARGS]{"city": "Paris"}', [PARIS]),
        (
            '[TOOL_CALLS]weather{"city": "Paris"}[TOOL_CALLS]weather{"city": "Oslo"}',
            [PARIS, OSLO],
        ),
        ('[TOOL_CALLS]weather[CALL_ID]9Qx[ARGS]{"city": "Paris"}', [PARIS]),
        (LLAMA, [PARIS]),
        (f"<|python_tag|>{LLAMA}<|eom_id|>", [PARIS]),
        (f"<|python_tag|>{LLAMA}; {LLAMA_B}", [PARIS, OSLO]),
        (f"{LLAMA}; {LLAMA_B}", [PARIS, OSLO]),
        (f"\n{A}\n", [PARIS]),
        ('{"type": "function", "name": "weather", "parameters": {"city": "Paris"}}', [PARIS]),
        ('{"function": {"name": "weather", "arguments": "{\\"city\\": \\"Paris\\"}"}}', [PARIS]),
        (f"```json\n{A}\n```", [PARIS]),
        (f"So I call it:\n```json\n[{A},\n {B}]\n```\nand wait.", [PARIS, OSLO]),
        (f"```json\n{A}\n```\n\n```json\n{B}\n```", [PARIS, OSLO]),
        (f"```json\n{A}", [PARIS]),
    ],
)
def test_the_ways_in_which_models_call_tools(text: str, calls: list[ToolCall]) -> None:
    """Hermes, Qwen, SmolLM2, Mistral, Llama and a fence of JSON are read, several calls too."""
    assert calls_of(text) == tuple(calls)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "It is warm in Paris.",
        "{}",
        "[]",
        "null",
        '{"answer": 5}',
        '{"name": "Bob"}',
        '{"name": 5, "arguments": {}}',
        '{"result": {"name": "weather", "arguments": {}}}',
        f"The call would be {A}",
        "```json\n{}\n```",
        "```python\nweather()\n```",
        '["name", "arguments"]',
        "{" * 100_000,
        '{"name": "weather", "arguments"' * 3,
    ],
)
def test_what_is_no_call(text: str) -> None:
    """Text and JSON that name no tool with arguments call none, and text around needs a marker."""
    assert calls_of(text) == ()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('<tool_call>{"name": "weather", "arguments": {"city": </tool_call>', "weather"),
        ('<tool_call>\n{"name": "weather"}\n</tool_call>', "weather"),
        ('<tool_call>{"name": "weather", "arguments": {}} and more</tool_call>', "weather"),
        ('<tool_call>{"name": "weather", "arguments": "Paris"}</tool_call>', "weather"),
        ('<tool_call>{"name": "weather", "arguments": {"t": NaN}}</tool_call>', "weather"),
        ('<tool_call>{"name": "wetter\\u00e9", "arguments": {</tool_call>', "wetteré"),
        ("<tool_call>{'name': 'weather', 'arguments': {}}</tool_call>", ""),
        ("<tool_call></tool_call>", ""),
        ("<tool_call>7</tool_call>", ""),
        ('<tool_call>{"name": "weather", "arguments": ' + '{"a": ' * 100_000, "weather"),
        ('[TOOL_CALLS] [{"name": "weather", "arguments": {"city": "Par', "weather"),
        ('[TOOL_CALLS]weather[ARGS]{"city": "Par', "weather"),
        ('<|python_tag|>weather.call(city="Paris")', ""),
        ('{"name": "weather", "parameters": {"city": "Paris"', "weather"),
        ('```json\n{"name": "weather", "arguments": {"city": "Paris"\n```', "weather"),
    ],
)
def test_a_call_that_cannot_be_read(text: str, name: str) -> None:
    """It is a call whose arguments are no JSON, with its name where that can be told."""
    (call,) = calls_of(text)
    assert call.name == name
    with pytest.raises(ValueError, match=r"."):
        strict_json.loads(call.arguments)


def test_markers_inside_arguments_are_text() -> None:
    """A marker in a text of the JSON neither begins nor ends a call."""
    said = {"q": "</tool_call> <tool_call> [TOOL_CALLS] <|python_tag|> ```"}
    call = json.dumps({"name": "search", "arguments": said})
    for text in (call, f"<tool_call>{call}</tool_call>", f"[TOOL_CALLS] [{call}]"):
        (found,) = calls_of(text)
        assert found.name == "search"
        assert json.loads(found.arguments) == said


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("<tool_call>" * 100_000, 100_000),
        ("[TOOL_CALLS]" * 10_000, 10_000),
        ('<tool_call>{"' * 10_000, 10_000),
        ("x" + "</s>" * 100_000, 0),
        ("x" + " " * 1_000_000 + "y", 0),
        ("```json\n" * 100_000, 0),
        ('{"name":' * 100_000, 0),
        ("<tool_call>" + '"name"' + " " * 300_000 + "\\" * 300_000, 1),
    ],
)
def test_hostile_texts_take_no_time(text: str, calls: int) -> None:
    """The time to read a text grows with its length, whatever is in it."""
    begun = time.process_time()
    assert len(calls_of(text)) == calls
    assert time.process_time() - begun < 5


def gold(value: Any) -> Example:
    """Return an example whose target is a value."""
    return Example("q1", {"id": "q1", "target": value}, "gold.jsonl:1")


@pytest.mark.parametrize(
    ("target", "calls"),
    [
        ({"name": "weather", "arguments": {"city": "Paris"}}, [PARIS]),
        ({"name": "weather", "arguments": '{"city": "Paris"}'}, [PARIS]),
        ({"function": {"name": "weather", "arguments": '{"city": "Paris"}'}}, [PARIS]),
        ([json.loads(A), json.loads(B)], [PARIS, OSLO]),
        (f"[{A}, {B}]", [PARIS, OSLO]),  # a column of a CSV file
        ([], []),
        ("[]", []),
        (None, []),
        ("null", []),
    ],
)
def test_what_the_gold_set_expects(target: Any, calls: list[ToolCall]) -> None:
    """The target is a call, a list of them, or nothing where none should be made."""
    assert expected_calls(gold(target), "target", TOOLS) == tuple(calls)


@pytest.mark.parametrize(
    "target",
    [
        {},
        "{}",
        {"name": "wether", "arguments": {}},
        {"name": "weather"},
        {"name": "", "arguments": {}},
        {"name": None, "arguments": {}},
        {"name": "weather", "arguments": "Paris"},
        {"name": "weather", "arguments": [1]},
        {"name": "weather", "arguments": None},
        {"name": "weather", "arguments": {"t": float("nan")}},
        {"name": "weather", "arguments": {"t": {1, 2}}},
        [{"name": "weather", "arguments": {}}, "Paris"],
    ],
)
def test_a_target_that_is_no_call(target: Any) -> None:
    """One that is no call of a tool is an error with the example's place, id and field."""
    with pytest.raises(GoldSetError, match=r"^gold.jsonl:1 \(id 'q1'\): 'target'"):
        expected_calls(gold(target), "target", TOOLS)


@pytest.mark.parametrize("target", ["Paris", "", 5, True, ["a", "b"], "[1]", '{"a"', "5"])
def test_a_target_that_is_text(target: Any) -> None:
    """After a tool's result a text may be expected: then no calls are."""
    assert expected_calls(gold(target), "target", TOOLS) is None


def test_a_target_without_its_field() -> None:
    """An example that lacks the field is not one that expects no call."""
    with pytest.raises(GoldSetError, match="no field 'calls'"):
        expected_calls(gold([]), "calls", TOOLS)
