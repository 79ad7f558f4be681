"""Metrics of JSON and of calls of tools."""

from __future__ import annotations

import json
import socket
import sys
from typing import Any

import pytest

from pytest_distill._util.apart import Apart
from pytest_distill.errors import ConfigError, EvaluationError, GoldSetError
from pytest_distill.evals import json_schemas
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.metrics import MeanMetric
from pytest_distill.evals.metrics.samples import PassAt
from pytest_distill.evals.requests import Prediction, ToolCall
from pytest_distill.evals.tasks import Generation

WEATHER = {
    "name": "weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
CLOCK = {"type": "function", "function": {"name": "clock"}}
TOOLS = (WEATHER, CLOCK)
PERSON = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


def score(metric: str, task: Generation, prediction: str | Prediction, **fields: Any) -> float:
    """Return the score of one answer, a text or a prediction, to an example with these fields."""
    example = Example("q1", {"input": "?", "target": "x", **fields}, "gold.jsonl:1")
    task.request(example)
    given = prediction if isinstance(prediction, Prediction) else Prediction("q1", text=prediction)
    return float(BUILT_IN[metric].scores([task.answer(example, given)])[0])


def hermes(*calls: dict[str, Any]) -> str:
    """Return a text with calls."""
    return "\n".join(f"<tool_call>\n{json.dumps(call)}\n</tool_call>" for call in calls)


def called(name: str, **arguments: Any) -> dict[str, Any]:
    """Return a call."""
    return {"name": name, "arguments": arguments}


@pytest.mark.parametrize(
    "text",
    [
        *("{}", " [1, 2.5e3, null]\n", '"a"', "7", "true", '{"a": {"b": ["\\u00e9"]}}', "1e999"),
        "[" * 100 + "7" + "]" * 100,
    ],
)
def test_valid_json(text: str) -> None:
    """One JSON value with blanks around it, whatever it is."""
    assert score("valid_json", Generation(), text) == 1


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "Hello", "{'a': 1}", '{"a": 1,}', "[1 2]", "NaN", '{"a": NaN}', "[Infinity]"),
        *("-Infinity", "{} {}", "{}x", "01", "1.", '"\n"', "\ufeff{}", "True", "None", '{"a": 1'),
        *("```json\n{}\n```", "[" * 100_000, "[" * 100_000 + "]" * 100_000, '{"a":' * 50_000),
        *("\u00a0{}", "[" * 101 + "]" * 101),
    ],
)
def test_invalid_json(text: str) -> None:
    """What the standard does not have is wrong, and so is what nests beyond all bounds."""
    assert score("valid_json", Generation(), text) == 0


def test_json_after_extract() -> None:
    """The answer that `extract` cuts out is looked at."""
    task = Generation(extract=r"```json\n(.*)\n```")
    assert score("valid_json", task, 'Here:\n```json\n{"a": 1}\n```') == 1


def test_numbers_of_many_digits_are_json() -> None:
    """More digits than Python turns into a number are no error."""
    assert score("valid_json", Generation(), "9" * 10_000) == 1
    assert score("matches_schema", Generation(schema={"type": "integer"}), "9" * 10_000) == 0
    assert score("matches_schema", Generation(schema={"multipleOf": 0.01}), "9" * 4000) == 0


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ('{"name": "Ann"}', 1),
        ('{"name": 5}', 0),
        ("{}", 0),
        ('["name"]', 0),
        ('{"name": "Ann"', 0),
        ("", 0),
    ],
)
def test_matches_the_schema_of_the_eval(text: str, right: int) -> None:
    """JSON that fits is right; what does not fit, or is no JSON, is wrong."""
    assert score("matches_schema", Generation(schema=PERSON), text) == right


@pytest.mark.parametrize("as_text", [False, True])
def test_matches_the_schema_of_the_example(as_text: bool) -> None:
    """Each example may have a schema in a field, in a table as text."""
    task = Generation(schema="form")
    for form, right in (({"type": "integer"}, 1), ({"type": "string"}, 0)):
        given = json.dumps(form) if as_text else form
        assert score("matches_schema", task, "5", form=given) == right
    assert task.reads == ("input", "form", "target")


def test_drafts() -> None:
    """Draft 2020-12 unless `$schema` names another: tuples are written in two ways."""
    pair = [{"type": "integer"}, {"type": "string"}]
    old = {"$schema": "http://json-schema.org/draft-07/schema#", "items": pair}
    assert score("matches_schema", Generation(schema={"prefixItems": pair}), "[1, 2]") == 0
    assert score("matches_schema", Generation(schema=old), "[1, 2]") == 0
    assert score("matches_schema", Generation(schema=old | {"prefixItems": []}), '[1, "a"]') == 1
    with pytest.raises(ConfigError, match="schema: is no JSON Schema"):
        Generation(schema={"items": pair})


def test_references_inside_a_schema() -> None:
    """References within it, to an id of its own and to the standard's metaschema are followed."""
    tree = {
        "$id": "https://example.com/tree",
        "type": "object",
        "properties": {"sub": {"type": "array", "items": {"$ref": "tree"}}},
        "additionalProperties": False,
    }
    task = Generation(schema=tree)
    assert score("matches_schema", task, '{"sub": [{"sub": []}, {}]}') == 1
    assert score("matches_schema", task, '{"sub": [{"sub": [{"x": 1}]}]}') == 0
    deep = '{"sub": [' * 5_000 + "{}" + "]}" * 5_000
    assert score("matches_schema", task, deep) == 0
    task = Generation(schema={"$ref": "https://json-schema.org/draft/2020-12/schema"})
    assert score("matches_schema", task, '{"type": "string"}') == 1
    assert score("matches_schema", task, '{"type": 5}') == 0


BAD_SCHEMAS = [
    ({"type": "strin"}, "'strin' is not valid"),
    ({"pattern": "["}, "'\\[' is not a 'regex'"),
    ({"$ref": "https://example.com/x.json"}, "'https://example.com/x.json' leads nowhere here"),
    ({"properties": {"a": {"$ref": "#/$defs/b"}}}, r"'#/\$defs/b' leads nowhere here"),
    ({"$ref": "#"}, "leads in a circle"),
    ({"$schema": 5}, "is no text"),
    ({"type": "object", "required": "a"}, "'a' is not of type 'array'"),
]


@pytest.mark.parametrize(("schema", "message"), BAD_SCHEMAS)
def test_a_schema_that_is_none(
    schema: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an error with the key, or with the example's id; nothing is fetched."""

    def connect(*_: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", connect)
    with pytest.raises(ConfigError, match=rf"^schema: is no JSON Schema.*{message}"):
        Generation(schema=schema)
    with pytest.raises(GoldSetError, match=rf"^gold.jsonl:1 \(id 'q1'\): 'form' .*{message}"):
        score("matches_schema", Generation(schema="form"), "5", form=schema)
    tools = ({"name": "f", "parameters": schema},)
    with pytest.raises((ConfigError, GoldSetError), match=rf"'f'.*{message}"):
        score("matches_schema", Generation(tools=tools), hermes(called("f")), target=[])


@pytest.mark.parametrize("form", [5, None, [], True, "no JSON", "[1]"])
def test_a_field_that_holds_no_schema(form: Any) -> None:
    """It is an error with the example's id before a model is asked."""
    example = Example("q1", {"input": "?", "target": "x", "form": form}, "gold.jsonl:1")
    with pytest.raises(GoldSetError, match=r"\(id 'q1'\): 'form' must be a JSON Schema"):
        Generation(schema="form").request(example)
    with pytest.raises(GoldSetError, match=r"\(id 'q1'\): no field 'from'; did you mean 'form'"):
        Generation(schema="from").request(example)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"schema": 5}, "schema: must be a JSON Schema, or the name of the field .* not the num"),
        ({"schema": ""}, "schema: must be a JSON Schema"),
        ({"schema": PERSON, "tools": TOOLS}, "schema: is for an answer in JSON; with 'tools'"),
    ],
)
def test_keys_that_cannot_be(keys: dict[str, Any], message: str) -> None:
    """What `schema` cannot say is an error that begins with the key."""
    with pytest.raises(ConfigError, match=f"^{message}"):
        Generation(**keys)


PARIS = called("weather", city="Paris")
OSLO = called("weather", city="Oslo")
CLOCK_PARIS = called("clock", city="Paris")
ALL = ("tool_name", "tool_arguments", "valid_json", "matches_schema")


@pytest.mark.parametrize(
    ("expected", "text", "scores"),
    [
        (PARIS, hermes(PARIS), (1, 1, 1, 1)),
        (PARIS, hermes(OSLO), (1, 0, 1, 1)),
        (PARIS, hermes(called("clock", city="Paris")), (0, 1, 1, 1)),
        (PARIS, hermes(called("wether", city="Paris")), (0, 1, 1, 0)),
        (PARIS, hermes(called("weather", city=5)), (1, 0, 1, 0)),
        (PARIS, hermes(called("weather", town="Paris")), (1, 0, 1, 0)),
        (PARIS, hermes(PARIS, PARIS), (0, 0, 1, 1)),
        (PARIS, '<tool_call>{"name": "weather", "arguments": {"city": "Par', (1, 0, 0, 0)),
        (PARIS, '<tool_call>{"name": "weather", "arguments": ["Paris"]}</tool_call>', (1, 0, 0, 0)),
        (PARIS, "It is warm.", (0, 0, 0, 0)),
        (PARIS, "", (0, 0, 0, 0)),
        ([PARIS, OSLO], hermes(OSLO, PARIS), (1, 1, 1, 1)),
        ([PARIS, OSLO], hermes(OSLO, OSLO), (1, 0, 1, 1)),
        ([PARIS, OSLO], hermes(OSLO), (0, 0, 1, 1)),
        ([PARIS, called("clock")], hermes(called("clock"), PARIS), (1, 1, 1, 1)),
        ([PARIS, called("clock")], hermes(called("weather"), CLOCK_PARIS), (1, 0, 1, 0)),
        ([PARIS, called("clock")], hermes(PARIS, called("wether")), (0, 1, 1, 0)),
        ([], "It is warm.", (1, 1, 1, 1)),
        ([], hermes(PARIS), (0, 0, 1, 1)),
        (None, "", (1, 1, 1, 1)),
        (json.dumps(PARIS), hermes(PARIS), (1, 1, 1, 1)),
    ],
)
def test_calls_of_tools(expected: Any, text: str, scores: tuple[int, ...]) -> None:
    """Each metric tells one thing that may break: the name, the arguments, JSON, the schema."""
    task = Generation(tools=TOOLS)
    assert tuple(score(name, task, text, target=expected) for name in ALL) == scores


@pytest.mark.parametrize(
    ("expected", "given", "same"),
    [
        ({"n": 1}, {"n": 1.0}, 1),
        ({"n": 1}, {"n": True}, 0),
        ({"n": True}, {"n": 1}, 0),
        ({"n": False}, {"n": 0}, 0),
        ({"n": None}, {}, 0),
        ({"n": "1"}, {"n": 1}, 0),
        ({"a": 1, "b": [1, 2]}, {"b": [1, 2], "a": 1}, 1),
        ({"b": [1, 2]}, {"b": [2, 1]}, 0),
        ({"n": 2**53 + 1}, {"n": float(2**53)}, 0),
        ({"n": "caf\u00e9"}, {"n": "cafe\u0301"}, 1),
        ({"caf\u00e9": 1}, {"cafe\u0301": 1}, 1),
        ({"n": {"m": [{"k": 1}]}}, {"n": {"m": [{"k": 1.0}]}}, 1),
        ({}, {}, 1),
    ],
)
def test_arguments_are_compared_as_json(expected: Any, given: Any, same: int) -> None:
    """1 is 1.0, true is not 1, the order of keys is nothing, and text is compared in NFC."""
    target = {"name": "clock", "arguments": expected}
    text = hermes({"name": "clock", "arguments": given})
    assert score("tool_arguments", Generation(tools=TOOLS), text, target=target) == same


def test_a_predictions_own_calls_go_first() -> None:
    """Servers tell calls apart from the text; arguments are JSON as text."""
    task = Generation(tools=TOOLS)
    own = (ToolCall("weather", '{"city": "Paris"}'),)
    for prediction in (
        Prediction("q1", text=hermes(OSLO), tool_calls=own),
        Prediction("q1", text="", tool_calls=own),
        Prediction("q1", tool_calls=own),
    ):
        assert score("tool_arguments", task, prediction, target=PARIS) == 1
        assert score("exact_match", task, prediction, target=PARIS) == (not prediction.text)
    none = Prediction("q1", text=hermes(PARIS), tool_calls=())
    assert score("tool_name", task, none, target=PARIS) == 0


def test_calls_without_a_text_are_shown_as_json() -> None:
    """What a reader sees of an answer of calls alone is what was called, bad arguments too."""
    example = Example("q1", {"input": "?", "target": []}, "gold.jsonl:1")
    calls = (ToolCall("weather", '{"city": "Köln"}'), ToolCall("clock", "{oh"))
    answer = Generation(tools=TOOLS).answer(example, Prediction("q1", tool_calls=calls))
    assert json.loads(answer.predicted) == [
        {"name": "weather", "arguments": {"city": "Köln"}},
        {"name": "clock", "arguments": "{oh"},
    ]
    assert answer.calls == calls


def test_calls_stand_after_the_thinking() -> None:
    """A call that the model only thinks of is none; `extract` is about text."""
    task = Generation(
        tools=TOOLS, thinking={"start": "<think>", "end": "</think>"}, extract="no match"
    )
    text = f"<think>I could {hermes(OSLO)}</think>\n{hermes(PARIS)}"
    assert score("tool_arguments", task, text, target=PARIS) == 1
    assert score("tool_name", task, f"<think>{hermes(PARIS)}", target=PARIS) == 0


def test_tools_of_each_example() -> None:
    """The definitions may stand in a field; a call of another example's tool is of none."""
    task = Generation(tools="given")
    for given, right in (([WEATHER], 1), ([CLOCK], 0), ([], 0)):
        fields = {"given": given, "target": []}
        assert score("matches_schema", task, hermes(PARIS), **fields) == right


def test_names_in_any_form_of_an_accent() -> None:
    """A name is the same in whatever form it came."""
    task = Generation(tools=({"name": "m\u00e9t\u00e9o", "parameters": {"type": "object"}},))
    text, target = hermes(called("me\u0301te\u0301o")), called("m\u00e9t\u00e9o")
    assert score("tool_name", task, text, target=target) == 1
    assert score("matches_schema", task, text, target=target) == 1


def test_text_may_be_expected_beside_tools() -> None:
    """After a tool's result the answer is a text, which no calls are held against."""
    task = Generation(tools=TOOLS)
    assert score("exact_match", task, "It is warm.", target="It is warm.") == 1
    with pytest.raises(GoldSetError, match=r"\(id 'q1'\): the target is a text; calls of tools"):
        score("tool_name", task, "It is warm.", target="It is warm.")


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"name": "weather"}, "'target' must be a call of a tool as"),
        ([{"function": 5}], "'target' must be a call of a tool as"),
        ({"name": "wether", "arguments": {}}, "no tool of the example; did you mean 'weather'"),
        ({"name": "weather", "arguments": [5]}, "must be an object, not \\[5\\]"),
    ],
)
def test_bad_targets(target: Any, message: str) -> None:
    """They are errors with the example's id before a model is asked."""
    example = Example("q1", {"input": "?", "target": target}, "gold.jsonl:1")
    with pytest.raises(GoldSetError, match=rf"^gold.jsonl:1 \(id 'q1'\): .*{message}"):
        Generation(tools=TOOLS).request(example)


def test_calls_that_nobody_asked_for() -> None:
    """A prediction with calls of tools where the eval gives none is an error with its id."""
    prediction = Prediction("q1", text="hm", tool_calls=(ToolCall("weather", "{}"),))
    with pytest.raises(EvaluationError) as caught:
        score("exact_match", Generation(), prediction)
    assert str(caught.value) == (
        "gold.jsonl:1 (id 'q1'): the prediction calls tools (weather), and the eval gives the "
        "model none: say 'tools' in the eval, or leave 'tool_calls' out of the predictions"
    )


def test_a_pattern_that_goes_back_and_forth(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pattern that would be looked for without end makes the answer wrong, and is told."""
    limited = Apart(json_schemas._APART.function, seconds=1, memory=json_schemas._APART.memory)
    monkeypatch.setattr(json_schemas, "_APART", limited)
    hostile, metric = "^(a+)+$", BUILT_IN["matches_schema"]
    text = Generation(schema={"type": "string", "pattern": hostile})
    assert score("matches_schema", text, '"aaaa"') == 1
    assert score("matches_schema", text, '"b"') == 0
    tool = {
        "name": "f",
        "parameters": {"type": "object", "patternProperties": {hostile: {"type": "integer"}}},
    }
    calls = Generation(tools=(tool,))
    endless = "a" * 40 + "!"
    for task, written, target in (
        (text, json.dumps(endless), "x"),
        (calls, hermes(called("f", **{endless: 1})), called("f")),
    ):
        assert score("matches_schema", task, written, target=target) == 0
        example = Example("q1", {"input": "?", "target": target}, "gold.jsonl:1")
        answer = task.answer(example, Prediction("q1", text=written))
        (doubt,) = metric.doubts("student", [answer])
        assert doubt.startswith("suspicious: in 1 answer of student a pattern of the schema")
    limited.close()


@pytest.mark.parametrize("name", ["tool_name", "tool_arguments", "matches_schema"])
def test_metrics_without_what_they_look_at(name: str) -> None:
    """An eval without tools, or a schema, is told what to say; so is a metric asked regardless."""
    metric = BUILT_IN[name]
    for asked in (metric, PassAt("pass@1", k=1, of=metric)):
        assert "say 'tools'" in str(Generation().misfit(asked)).replace("or 'tools'", "say 'tools'")
    assert Generation(tools=TOOLS).misfit(metric) is None
    assert (Generation(schema=PERSON).misfit(metric) is None) == (name == "matches_schema")
    with pytest.raises(EvaluationError, match=r"\(id 'q1'\): .*'tools' in the eval"):
        score(name, Generation(), "{}")


def test_the_headline_of_an_eval_with_tools() -> None:
    """It goes by the tools that are called where it names no metric."""
    assert Generation().headline.name == "exact_match"
    assert Generation(tools=TOOLS).headline.name == "tool_name"


def test_they_say_right_or_wrong() -> None:
    """So that pass@k and a vote can be taken of them."""
    metrics = [BUILT_IN[name] for name in ALL]
    assert all(isinstance(metric, MeanMetric) and metric.binary for metric in metrics)


def test_a_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without jsonschema matches_schema says in one line what to install; the others do not."""
    task = Generation(tools=(CLOCK,))
    monkeypatch.setitem(sys.modules, "jsonschema", None)
    with pytest.raises(ConfigError) as caught:
        score("matches_schema", task, "{}", target=[])
    assert str(caught.value) == (
        "metric 'matches_schema' needs the package jsonschema: pip install 'pytest-distill[tools]'"
    )
    for name in ("valid_json", "tool_name", "tool_arguments"):
        assert score(name, task, hermes(called("clock")), target=called("clock")) == 1


def test_a_hostile_schema_text_is_no_crash() -> None:
    """A schema that nests beyond all bounds is an error with the id."""
    example = Example(
        "q1", {"input": "?", "target": "x", "s": '{"not":' * 900 + "{}" + "}" * 900}, "g:1"
    )
    with pytest.raises(GoldSetError, match=r"\(id 'q1'\): 's' must be a JSON Schema"):
        Generation(schema="s").request(example)
    nested: dict[str, Any] = {}
    for _ in range(3_000):
        nested = {"not": nested}
    with pytest.raises(ConfigError, match="schema: is no JSON Schema"):
        Generation(schema=nested)
