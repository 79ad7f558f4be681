"""Generation asked by messages: what a request holds, and what is refused before any model runs."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pytest_distill.errors import ConfigError, GoldSetError
from pytest_distill.evals import json_schemas
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example, GoldSet, read_gold_set
from pytest_distill.evals.request_keys import request_key
from pytest_distill.evals.tasks import Generation
from pytest_distill.evals.tasks.conversing import TAKEN
from pytest_distill.evals.tasks.decoding import Conversation, GenerationRequest
from pytest_distill.evals.tasks.messages import spoken

MakeExample = Callable[..., Example]

USER = {"role": "user", "content": "How warm is it in Rome?"}
CALL = {"name": "weather", "arguments": {"city": "Rome"}}
OPENAI = {"id": "c1", "type": "function", "function": CALL}
CALLING = {"role": "assistant", "content": None, "tool_calls": [OPENAI]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "21"}
WEATHER = {
    "name": "weather",
    "description": "How warm it is.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


def asked(task: Generation, example: Example) -> Conversation:
    """Return what a model is asked, which is a conversation."""
    request = task.request(example)
    assert request.conversation is not None
    assert (request.prompt, request.chat, request.is_chat) == ("", True, True)
    return request.conversation


def test_messages_of_a_field_are_asked(example: MakeExample) -> None:
    """All turns as they stand, what else a turn says included."""
    turns = [
        {"role": "system", "content": "Be brief."},
        {"role": "developer", "content": "In French."},
        {"role": "user", "content": "Hé", "name": "Zoë"},
        {"role": "assistant", "content": "Oui?", "reasoning_content": "hm"},
        USER,
    ]
    task = Generation(messages="messages")
    assert asked(task, example(messages=turns, target="x")) == Conversation(turns)


def test_calls_and_results_are_asked_in_the_form_of_templates(example: MakeExample) -> None:
    """Arguments are an object, also where a gold set has their text, and null is left out."""
    forms: list[dict[str, Any]] = [
        OPENAI,
        {**OPENAI, "function": {"name": "weather", "arguments": '{"city": "Rome"}'}},
        {**CALL, "id": "c1"},
        {"id": "c1", "function": {**CALL, "description": None}, "type": None},
    ]
    for call in forms:
        turns = [USER, {**CALLING, "tool_calls": [call], "name": None}, RESULT]
        found = asked(Generation(messages="m"), example(m=turns, target="x"))
        assert [dict(turn) for turn in found.messages] == [
            USER,
            {"role": "assistant", "content": "", "tool_calls": [OPENAI]},
            RESULT,
        ]


def test_parts_of_text_are_joined(example: MakeExample) -> None:
    """A template gets one text, whatever form the gold set has."""
    parts = [{"type": "text", "text": "How warm "}, {"type": "text", "text": "is it?", "x": None}]
    turns = [{"role": "user", "content": parts, "tool_calls": []}]
    found = asked(Generation(messages="m"), example(m=turns, target="x"))
    assert found.messages == ({"role": "user", "content": "How warm is it?"},)


def test_a_table_holds_messages_and_tools_as_json(tmp_path: Path) -> None:
    """A .csv file has no other place for a list."""
    (tmp_path / "gold.csv").write_text(
        'id,m,t,target\na,"[{""role"": ""user"", ""content"": ""Hi""}]","[{""name"": ""f""}]",x\n'
    )
    (row,) = read_gold_set(tmp_path / "gold.csv")
    assert asked(Generation(messages="m", tools="t"), row) == Conversation(
        [{"role": "user", "content": "Hi"}], [{"type": "function", "function": {"name": "f"}}]
    )


def test_what_a_table_lacks_is_left_out(tmp_path: Path) -> None:
    """In a .parquet file all messages have the keys of all, and null where one has none."""
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    turns = [USER, {**CALLING, "tool_calls": [CALL]}, {**RESULT, "name": "weather"}]
    row = {"id": "a", "m": turns, "t": [{"name": "f", "description": None}], "target": "21"}
    parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "gold.parquet")
    (read,) = read_gold_set(tmp_path / "gold.parquet")
    assert read.fields["m"][0]["tool_calls"] is None
    found = asked(Generation(messages="m", tools="t"), read)
    call = {"type": "function", "function": CALL}
    assert list(found.messages) == [
        USER,
        {"role": "assistant", "content": "", "tool_calls": [call]},
        turns[2],
    ]
    assert list(found.tools) == [{"type": "function", "function": {"name": "f"}}]


def test_what_is_said_in_messages() -> None:
    """Neither roles nor instructions; of what is no list of messages nothing."""
    system = {"role": "system", "content": "Be brief."}
    parts = [{"type": "text", "text": "one\ntwo"}, {"type": "image"}]
    turns = [system, USER, CALLING, {"role": "user", "content": parts}]
    said = "How warm is it in Rome?\none\ntwo"
    assert spoken(turns) == said
    assert spoken(tuple(turns)) == said
    assert spoken(json.dumps(turns)) == said
    for other in (None, 3, "text", "[{", "[{}]", [], ["text"], [{"from": "user"}], {"role": "x"}):
        assert spoken(other) is None


def test_a_system_template_stands_before_the_prompt(example: MakeExample) -> None:
    """The prompt, solved examples included, is the user's turn."""
    shots = (example(q="1+1", lang="en", target="2"),)
    task = Generation(system="Speak {{ lang }}.", prompt="{{ q }} =", shots=shots)
    assert asked(task, example(q="2+2", lang="fr", target="4")).messages == (
        {"role": "system", "content": "Speak fr."},
        {"role": "user", "content": "1+1 = 2\n\n2+2 ="},
    )
    assert asked(Generation(system=""), example(input="q", target="4")).messages == (
        {"role": "system", "content": ""},
        {"role": "user", "content": "q"},
    )


def test_a_system_template_stands_before_messages(example: MakeExample) -> None:
    """It is filled in with the example's fields."""
    task = Generation(system="Speak {{ lang }}.", messages="m")
    assert asked(task, example(m=[USER], lang="fr", target="4")).messages == (
        {"role": "system", "content": "Speak fr."},
        USER,
    )


@pytest.mark.parametrize("form", [WEATHER, {"type": "function", "function": WEATHER}])
@pytest.mark.parametrize("of_the_file", [True, False])
def test_tools_are_asked_in_one_form(
    example: MakeExample, form: dict[str, Any], of_the_file: bool
) -> None:
    """Whether a field or ``distill.yaml`` defines them."""
    tools: Any = (form,) if of_the_file else "tools"
    task = Generation(input="q", tools=tools)
    found = asked(task, example(q="Hi", tools=[form], target="x"))
    assert found.tools == ({"type": "function", "function": WEATHER},)
    assert asked(Generation(input="q", tools="t"), example(q="Hi", t=[], target="x")).tools == ()


def test_a_template_has_a_name_and_arguments(example: MakeExample) -> None:
    """One key says both."""
    row = example(input="q", target="x")
    named = asked(Generation(template="rag"), row)
    assert (named.template, named.arguments) == ("rag", {})
    told = asked(Generation(template={"name": "rag", "enable_thinking": False}), row)
    assert (told.template, told.arguments) == ("rag", {"enable_thinking": False})
    only = asked(Generation(template={"enable_thinking": None}), row)
    assert (only.template, only.arguments) == (None, {"enable_thinking": None})


def test_a_chat_alone_is_no_conversation(example: MakeExample) -> None:
    """Its request is the one that earlier versions made."""
    row = example(input="q", target="x")
    assert Generation(chat=True).request(row) == GenerationRequest("r3", "q", True)
    assert not Generation().request(row).is_chat


TURNS: list[tuple[Any, str]] = [
    ("hello", "'m' must be a list of messages, not the text 'hello'"),
    (None, "'m' must be a list of messages, not null"),
    ({"role": "user"}, "'m' must be a list of messages, not the object {'role': 'user'}"),
    ([], "'m' has no message, so that nothing is asked"),
    (["hi"], "message 1 of 'm': must be an object with 'role' and 'content', not the text 'hi'"),
    ([USER, None], "message 2 of 'm': must be an object with 'role' and 'content', not null"),
    ([{"content": "x"}], "message 1 of 'm': no 'role'; it is one of system, developer, user, a"),
    ([{"role": 3, "content": "x"}], "message 1 of 'm': 'role' must be text, not the number 3"),
    ([{"role": ["user"]}], "message 1 of 'm': 'role' must be text, not the list ['user']"),
    (
        [USER, {"role": "assitant", "content": "x"}],
        "message 2 of 'm': unknown role 'assitant'; did you mean 'assistant'? (known: system, d",
    ),
    ([{"role": "Bürger", "content": ""}], "message 1 of 'm': unknown role 'Bürger'; "),
    ([{"role": "qq", "content": ""}], "message 1 of 'm': unknown role 'qq'; known: assistant, d"),
    ([{"role": "user"}], "message 1 of 'm': no 'content', which only a turn of the assistant"),
    ([{"role": "user", "content": None}], "message 1 of 'm': 'content' is null, which only a tu"),
    (
        [{"role": "assistant", "content": None}, USER],
        "message 1 of 'm': 'content' is null, which only a turn of the assistant with tool_calls",
    ),
    (
        [{"role": "user", "content": 3}],
        "message 1 of 'm': 'content' must be text or a list of text",
    ),
    ([{"role": "user", "content": True}], "message 1 of 'm': 'content' must be text or a list of"),
    (
        [{"role": "user", "content": {}}],
        "message 1 of 'm': 'content' must be text or a list of text",
    ),
    (
        [{"role": "user", "content": []}],
        "message 1 of 'm': 'content' must be text or a list of text",
    ),
    (
        [{"role": "user", "content": ["hi"]}],
        "message 1 of 'm': part 1 of its content must be {'type': 'text', 'text': ...}, not the",
    ),
    (
        [{"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image_url"}]}],
        "message 1 of 'm': part 2 of its content is of type 'image_url': images, audio and files "
        "cannot be asked yet",
    ),
    (
        [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}],
        "message 1 of 'm': part 1 of its content is of type 'input_audio': images, audio and ",
    ),
    ([{"role": "user", "content": [{"text": "x"}]}], "message 1 of 'm': part 1 of its content is "),
    (
        [{"role": "user", "content": [{"type": "text", "text": 1}]}],
        "message 1 of 'm': 'text' in part 1 of its content must be text, not the number 1",
    ),
    (
        [USER, {"role": "assistant", "content": "21"}],
        "'m' ends with a turn of the assistant, so that nothing is asked",
    ),
    ([USER, CALLING], "'m' ends with a turn of the assistant, so that nothing is asked"),
    ([USER, RESULT], "message 2 of 'm': the result of a tool, but none was called before it"),
    (
        [USER, CALLING, {**RESULT, "tool_call_id": "c2"}],
        "message 3 of 'm': its tool_call_id 'c2' is of no call; known: c1",
    ),
    (
        [USER, CALLING, {**RESULT, "tool_call_id": 1}],
        "message 3 of 'm': 'tool_call_id' must be text, not the number 1",
    ),
    (
        [{**USER, "tool_calls": [CALL]}],
        "message 1 of 'm': tool_calls in a turn of the user: only the assistant calls tools",
    ),
    (
        [USER, {**CALLING, "tool_calls": CALL}, RESULT],
        "message 2 of 'm': 'tool_calls' must be a list of calls, not the object {'name'",
    ),
    (
        [USER, {**CALLING, "tool_calls": [{"function": "weather"}]}, RESULT],
        "message 2 of 'm': call 1 of a tool must be {'type': 'function', 'function': {'name': .",
    ),
    (
        [USER, {**CALLING, "tool_calls": [CALL, "weather"]}, RESULT],
        "message 2 of 'm': call 2 of a tool must be {'type': 'function', 'function': {'name': .",
    ),
    (
        [USER, {**CALLING, "tool_calls": [{"name": "f", "arguments": "{x"}]}, RESULT],
        "message 2 of 'm': the arguments of its call of 'f' are no JSON: ",
    ),
    (
        [USER, {**CALLING, "tool_calls": [{"name": "f", "arguments": [1]}]}, RESULT],
        "message 2 of 'm': the arguments of its call of 'f' must be an object, not the list [1]",
    ),
    ([{**USER, "x": {1, 2}}], "message 1 of 'm': cannot be written as JSON: "),
    (
        r'[{"role": "user", "content": "\ud800"}]',
        "message 1 of 'm': cannot be written as JSON: 'utf-8' codec can't encode",
    ),
]


@pytest.mark.parametrize(("turns", "message"), TURNS, ids=[str(n) for n in range(len(TURNS))])
def test_messages_that_cannot_be_asked(example: MakeExample, turns: Any, message: str) -> None:
    """The place in the file, the id, which message, and what is wrong with it."""
    with pytest.raises(GoldSetError) as raised:
        Generation(messages="m").request(example(m=turns, target="x"))
    assert str(raised.value).startswith(f"gold/reviews.jsonl:3 (id 'r3'): {message}")


def test_a_second_system_turn_is_refused(example: MakeExample) -> None:
    """Which of the two was meant cannot be told."""
    for role in ("system", "developer"):
        row = example(m=[USER, {"role": role, "content": "Be brief."}, USER], target="x")
        with pytest.raises(GoldSetError, match=r"id 'r3'.: message 2 of 'm' is of the " + role):
            Generation(messages="m", system="Be kind.").request(row)


TOOLS: list[tuple[Any, str]] = [
    ("search", " must be a list of definitions of tools, not the text 'search'"),
    (WEATHER, " must be a list of definitions of tools, not the object {'name': 'weather'"),
    (["search"], ": tool 1 must be {'type': 'function', 'function': {'name': ..., 'description'"),
    ([{}], ": tool 1 must be {'type': 'function'"),
    ([{"type": "code_interpreter"}], ": tool 1 must be {'type': 'function'"),
    ([{"type": "function", "function": "f"}], ": tool 1 must be {'type': 'function'"),
    ([WEATHER, {"description": "x"}], ": tool 2 must be {'type': 'function', 'function': {'na"),
    ([{"name": 3}], ": tool 1 must be {'type': 'function', 'function': {'name': ..., 'descri"),
    ([{"name": " "}], ": tool 1 must be {'type': 'function', 'function': {'name': ..., 'descr"),
    ([{"name": "f", "description": 3}], ": tool 1 ('f'): 'description' must be text, not the num"),
    ([WEATHER, {"name": "f"}, WEATHER], ": tool 3 is called 'weather', as tool 1 is"),
    (
        [{"name": "f", "parameters": {"type": "objekt"}}],
        ": tool 1 ('f'): its parameters are no JSON Schema: $.type: 'objekt' is not valid",
    ),
    (
        [{"name": "f", "parameters": {"properties": {"a": None}}}],
        ": tool 1 ('f'): its parameters are no JSON Schema: $.properties.a: None is not of type",
    ),
    (
        [{"name": "f", "parameters": {"properties": {"a": {"pattern": "("}}}}],
        ": tool 1 ('f'): its parameters are no JSON Schema: $.properties.a.pattern: '(' is",
    ),
    ([{"name": "f", "parameters": []}], ": tool 1 ('f'): its parameters are no JSON Schema: it "),
    ([{"name": "f", "parameters": "{}"}], ": tool 1 ('f'): its parameters are no JSON Schema: "),
    (
        [{"name": "f", "parameters": {"$schema": ["x"]}}],
        ": tool 1 ('f'): its parameters are no JSON Schema: its '$schema' is no text",
    ),
]


@pytest.mark.parametrize(("tools", "message"), TOOLS, ids=[str(n) for n in range(len(TOOLS))])
def test_tools_that_are_none(example: MakeExample, tools: Any, message: str) -> None:
    """The place in the file, the id, which tool, and what is wrong with it."""
    with pytest.raises(GoldSetError) as raised:
        Generation(tools="t").request(example(input="q", t=tools, target="x"))
    assert str(raised.value).startswith(f"gold/reviews.jsonl:3 (id 'r3'): 't'{message}")


def test_tools_of_other_values_than_those_of_json(example: MakeExample) -> None:
    """A table may hold dates."""
    row = example(input="q", t=[{"name": "f", "since": date(2026, 1, 1)}], target="x")
    with pytest.raises(GoldSetError, match=r"id 'r3'.: 't': cannot be written as JSON: Object of"):
        Generation(tools="t").request(row)


@pytest.mark.parametrize(("tools", "message"), TOOLS[2:])
def test_tools_of_the_file_that_are_none(tools: Any, message: str) -> None:
    """They are the same for all examples, and refused when the file is read."""
    with pytest.raises(ConfigError) as raised:
        Generation(tools=tuple(tools))
    assert str(raised.value).startswith(f"tools{message}")


def test_a_reference_is_not_fetched(example: MakeExample, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither what a schema names elsewhere nor a metaschema that is not known."""
    import socket

    def connect(*_: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)
    schema = {"$schema": "https://example.com/s", "$ref": "https://example.com/x.json"}
    tools = [{"name": "f", "parameters": schema}]
    found = asked(Generation(tools="t"), example(input="q", t=tools, target="x"))
    assert found.tools[0]["function"] == tools[0]


def test_a_missing_jsonschema_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what to install."""
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    json_schemas._problem.cache_clear()
    with pytest.raises(
        ConfigError,
        match=r"reading a JSON Schema needs the package jsonschema: pip install 'pytest-d",
    ):
        Generation(tools=({"name": "f", "parameters": {"type": "object", "title": "mine"}},))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"messages": "m", "prompt": "{{ q }}"}, "messages: are all that is asked: put what 'prom"),
        ({"messages": "m", "input": "q"}, "messages: are all that is asked: put what 'input' says"),
        ({"messages": "m", "chat": False}, "chat: is false, but 'messages' goes through the chat"),
        ({"system": "", "chat": False}, "chat: is false, but 'system' goes through the chat temp"),
        ({"tools": "t", "chat": False}, "chat: is false, but 'tools' goes through the chat temp"),
        ({"template": "t", "chat": False}, "chat: is false, but 'template' goes through the chat"),
        ({"system": "{% if %}"}, "system: Expected an expression"),
        ({"tools": ()}, "tools: must be the name of a field, or a list of definitions"),
        ({"tools": {"name": "f"}}, "tools: must be the name of a field, or a list of definitions"),
        ({"tools": 3}, "tools: must be the name of a field, or a list of definitions"),
        ({"template": ""}, "template: must be the name of a chat template, or a mapping"),
        ({"template": {}}, "template: must be the name of a chat template, or a mapping"),
        ({"template": True}, "template: must be the name of a chat template, or a mapping"),
        ({"template": ("a",)}, "template: must be the name of a chat template, or a mapping"),
        ({"template": {"name": 3}}, "template: name must be the name of a chat template, not 3"),
        ({"template": {1: "x"}}, "template: what a template is told has a text as its name, not 1"),
        ({"template": {"d": date(2026, 1, 1)}}, "template: d is something that JSON does not know"),
        ({"template": {"x": float("nan")}}, "template: x is something that JSON does not know: w"),
        ({"template": {"x": {1: 2, "a": 3}}}, "template: x is something that JSON does not know"),
        (
            {"tools": ({"name": "f", "since": date(2026, 1, 1)},)},
            "tools: cannot be written as JSON",
        ),
        ({"tools": ({"name": "f", "x": {1: 2, "a": 3}},)}, "tools: hold something that JSON does "),
        *(
            ({"template": {key: 1}}, f"template: '{key}' is not for a template to be told")
            for key in sorted(TAKEN)
        ),
    ],
)
def test_keys_that_cannot_be(options: dict[str, Any], message: str) -> None:
    """They are refused, beginning with the key, when the eval is read."""
    with pytest.raises(ConfigError) as raised:
        Generation(**options)
    assert str(raised.value).startswith(message)


def test_messages_have_no_solved_examples(example: MakeExample) -> None:
    """These would be turns of the conversation."""
    with pytest.raises(ConfigError, match="messages: are all that is asked: put what 'shots' says"):
        Generation(messages="m", shots=(example(m=[USER], target="x"),))


def test_what_is_read_and_told(example: MakeExample) -> None:
    """The fields of messages, tools and both templates; a system's turn may tell the answer."""
    assert Generation(messages="m", tools="t").reads == ("m", "t", "target")
    assert Generation(messages="m").inputs == ("m",)
    both = Generation(system="{{ a }} {{ target }} {{ q }}", prompt="{{ q }}")
    assert both.reads == ("q", "a", "target")
    row = example(a="", q="", target="x")
    (note,) = Eval("e", both, GoldSet("g", (row,)), (both.metrics[0],)).notes
    assert note == "the system's turn reads the target field 'target': it tells the answer"


def test_a_field_that_a_system_template_lacks(example: MakeExample) -> None:
    """The key, the id and the field are told."""
    with pytest.raises(GoldSetError, match=r"id 'r3'.: system: no field 'langs'; did you mean 'l"):
        Generation(system="{{ langs }}").request(example(input="q", lang="de", target="x"))


def test_the_answer_follows_a_conversation_at_once(example: MakeExample) -> None:
    """There is no blank between the two, as in a chat."""
    row = example(input="q", m=[USER], target="21")
    assert Generation(messages="m").gold_text(row).target == "21"
    assert Generation(system="s").gold_text(row).target == "21"
    assert Generation().gold_text(row).target == " 21"


def rows(tmp_path: Path) -> GoldSet:
    """Return a gold set from a file: its rows are read-only."""
    first = {"id": "a", "m": [USER, CALLING, RESULT], "t": [WEATHER], "target": "21"}
    again = {"id": "b", "m": [USER, CALLING, RESULT], "t": [WEATHER], "target": "22"}
    other = {"id": "c", "m": [USER], "t": [WEATHER], "target": "21"}
    lines = "".join(json.dumps(row) + "\n" for row in (first, again, other))
    (tmp_path / "gold.jsonl").write_text(lines)
    return read_gold_set(tmp_path / "gold.jsonl")


def test_requests_of_read_only_rows_are_hashed_and_pickled(tmp_path: Path) -> None:
    """Also in another process they are the same; the same conversations are one cluster."""
    task = Generation(messages="m", tools="t", template={"enable_thinking": False})
    on = Eval("e", task, rows(tmp_path), (task.metrics[0],))
    requests = on.requests()
    for request in requests:
        there = pickle.loads(pickle.dumps(request))  # noqa: S301 (our own)
        assert (there, hash(there), request_key(there)) == (
            request,
            hash(request),
            request_key(request),
        )
    assert on.repeated == [[0, 1]]
    assert len({request_key(request) for request in requests}) == 2
    assert json.loads(json.dumps(task.settings()))["template"] == {"enable_thinking": False}


def test_everything_that_a_template_may_write_is_in_the_key(example: MakeExample) -> None:
    """Messages, tools and the order of their keys, the template's name and what it is told."""
    turned = {"name": "weather", "parameters": {"b": 1, "a": 2}}
    straight = {"name": "weather", "parameters": {"a": 2, "b": 1}}
    row = example(input="q", m=[USER], target="x")
    tasks = [
        Generation(messages="m"),
        Generation(system="q"),
        Generation(template="default"),
        Generation(template={"enable_thinking": True}),
        Generation(template={"enable_thinking": 1}),
        Generation(template={"enable_thinking": False}),
        Generation(tools=(turned,)),
        Generation(tools=(straight,)),
        Generation(messages="m", tools=(straight,)),
        Generation(messages="m", tools=(straight,), max_new_tokens=3),
        Generation(chat=True),
        Generation(),
    ]
    assert len({request_key(task.request(row)) for task in tasks}) == len(tasks)
    renamed = replace(row, id="other")
    for task in tasks:
        assert request_key(task.request(renamed)) == request_key(task.request(row))
