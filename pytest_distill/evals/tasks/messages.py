"""The messages of a conversation and the tools that it gives, in the forms of chat templates."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from typing import Any

from pytest_distill._util import strict_json
from pytest_distill.errors import DistillError, did_you_mean
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.json_schemas import schema_problem
from pytest_distill.evals.tasks import fields

Message = dict[str, Any]
Tool = Mapping[str, Any]
Refuse = Callable[[str], DistillError]
"""Makes of a problem the error that says where it is."""

INSTRUCTIONS = ("system", "developer")
ROLES = (*INSTRUCTIONS, "user", "assistant", "tool")

_FORM = "{'type': 'function', 'function': {'name': ..., 'description': ..., 'parameters': ...}}"
_TEXT_ALONE = (
    "images, audio and files cannot be asked yet: only text, as {'type': 'text', 'text': ...}"
)


def read_messages(example: Example, name: str) -> tuple[Message, ...]:
    """Return the messages in a field, in the one form that all chat templates take.

    What is null is left out, as it stands for what a row of a table lacks. Parts of text are joined
    as they stand; content is text everywhere, empty where there are calls of tools alone; a call is
    ``{"type": "function", "function": {"name": ..., "arguments": {...}}}``, its arguments an object
    and not the text of one.

    Raises
    ------
    GoldSetError
        Where a message is not of a form that can be asked, or nothing is asked.
    """
    given = fields.entries(example, name, "messages")
    if not given:
        raise example.gold_error(f"'{name}' has no message, so that nothing is asked")
    refusing = [
        _refusing(example, f"message {number} of '{name}'") for number in range(1, len(given) + 1)
    ]
    messages = [_message(one, refuse) for one, refuse in zip(given, refusing, strict=True)]
    _check_results(messages, refusing)
    if messages[-1]["role"] == "assistant":
        raise example.gold_error(
            f"'{name}' ends with a turn of the assistant, so that nothing is asked: end with one "
            "of the user, or with the result of a tool"
        )
    return tuple(messages)


def spoken(value: Any) -> str | None:
    """Return what is said in a list of messages; None where a value is none.

    Roles and instructions are left out: they are the same in many conversations. A table holds the
    JSON of messages.
    """
    if isinstance(value, str) and value.lstrip().startswith("[{"):
        with suppress(ValueError):
            value = strict_json.loads(value)
    if not isinstance(value, list | tuple) or not value:
        return None
    texts = []
    for message in value:
        if not isinstance(message, Mapping) or "role" not in message:
            return None
        if message["role"] not in INSTRUCTIONS:
            content = message.get("content")
            parts = content if isinstance(content, list | tuple) else [{"text": content}]
            texts += [part.get("text") for part in parts if isinstance(part, Mapping)]
    return "\n".join(text for text in texts if isinstance(text, str))


def _refusing(example: Example, place: str) -> Refuse:
    return lambda problem: example.gold_error(f"{place}: {problem}")


def _message(given: Any, refuse: Refuse) -> Message:
    try:  # plain from here on, whatever the row is made of
        given = json.loads(json.dumps(given, ensure_ascii=False).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise refuse(f"cannot be written as JSON: {error}") from None
    if not isinstance(given, Mapping):
        raise refuse(f"must be an object with 'role' and 'content', not {fields.shown(given)}")
    message = without_null(given)
    role = _role(given, refuse)
    calls = _calls(message.pop("tool_calls", ()), refuse)
    if calls and role != "assistant":
        raise refuse(f"tool_calls in a turn of the {role}: only the assistant calls tools")
    message["content"] = _content(given, may_lack=bool(calls), refuse=refuse)
    for key in ("tool_call_id", "name"):
        if not isinstance(message.get(key, ""), str):
            raise refuse(f"'{key}' must be text, not {fields.shown(message[key])}")
    if calls:
        message["tool_calls"] = calls
    return message


def _role(given: Mapping[str, Any], refuse: Refuse) -> str:
    if "role" not in given:
        raise refuse(f"no 'role'; it is one of {', '.join(ROLES)}")
    role = given["role"]
    if not isinstance(role, str):
        raise refuse(f"'role' must be text, not {fields.shown(role)}")
    if role not in ROLES:
        meant = did_you_mean(role, ROLES)
        known = "" if meant.startswith("known") else f" (known: {', '.join(ROLES)})"
        raise refuse(f"unknown role {role!r:.60}; {meant}{known}")
    return role


def _content(given: Mapping[str, Any], *, may_lack: bool, refuse: Refuse) -> str:
    content = given.get("content")
    if content is None:
        if may_lack:
            return ""
        lacking = "'content' is null" if "content" in given else "no 'content'"
        raise refuse(f"{lacking}, which only a turn of the assistant with tool_calls may lack")
    if isinstance(content, str):
        return content
    if not isinstance(content, list | tuple) or not content:
        raise refuse(f"'content' must be text or a list of text parts, not {fields.shown(content)}")
    return "".join(_part(part, number, refuse) for number, part in enumerate(content, 1))


def _part(part: Any, number: int, refuse: Refuse) -> str:
    if not isinstance(part, Mapping):
        raise refuse(
            f"part {number} of its content must be {{'type': 'text', 'text': ...}}, not "
            f"{fields.shown(part)}"
        )
    if part.get("type") != "text":
        kind = part.get("type")
        raise refuse(f"part {number} of its content is of type {kind!r:.60}: {_TEXT_ALONE}")
    text = part.get("text")
    if not isinstance(text, str):
        raise refuse(
            f"'text' in part {number} of its content must be text, not {fields.shown(text)}"
        )
    return text


def _calls(given: Any, refuse: Refuse) -> list[dict[str, Any]]:
    if not isinstance(given, list | tuple):
        raise refuse(f"'tool_calls' must be a list of calls, not {fields.shown(given)}")
    return [_call(call, number, refuse) for number, call in enumerate(given, 1)]


def _call(given: Any, number: int, refuse: Refuse) -> dict[str, Any]:
    """Return a call in OpenAI's form, but its arguments as an object, as chat templates take it."""
    call = without_null(given)
    function = without_null(call.pop("function", given))
    name = function.get("name")
    if not isinstance(name, str) or not name or call.get("type", "function") != "function":
        raise refuse(
            f"call {number} of a tool must be {{'type': 'function', 'function': {{'name': ..., "
            f"'arguments': ...}}}}, not {fields.shown(given)}"
        )
    arguments = function.get("arguments", {})
    if isinstance(arguments, str):
        try:
            arguments = strict_json.loads(arguments or "{}")
        except ValueError as error:
            raise refuse(
                f"the arguments of its call of {name!r:.60} are no JSON: {error}"
            ) from None
    if not isinstance(arguments, Mapping):
        raise refuse(
            f"the arguments of its call of {name!r:.60} must be an object, not "
            f"{fields.shown(arguments)}"
        )
    id = {"id": call["id"]} if "id" in call else {}
    return {"type": "function", **id, "function": {"name": name, "arguments": arguments}}


def without_null(value: Any) -> dict[str, Any]:
    """Return a mapping without what is null, which a row of a table lacks; else an empty one."""
    given = value if isinstance(value, Mapping) else {}
    return {key: one for key, one in given.items() if one is not None}


def _check_results(messages: Sequence[Message], refuse: Sequence[Refuse]) -> None:
    """Raise GoldSetError where the result of a tool stands before any call, or is of no call."""
    called = False
    ids: list[str] = []
    for message, refused in zip(messages, refuse, strict=True):
        if message["role"] == "tool":
            if not called:
                raise refused("the result of a tool, but none was called before it")
            id = message.get("tool_call_id")
            if id is not None and ids and id not in ids:
                raise refused(f"its tool_call_id {id!r:.60} is of no call; {did_you_mean(id, ids)}")
        for call in message.get("tool_calls", ()):
            called = True
            ids += [call["id"]] if isinstance(call.get("id"), str) else []


def read_tools(given: Sequence[Any], refuse: Refuse) -> tuple[Tool, ...]:
    """Return definitions of tools in the form of OpenAI's API, in which chat templates take them.

    Parameters
    ----------
    given : sequence
        Each in that form, or its ``function`` alone.
    refuse : callable
        Makes of a problem the error that says where it is.

    Raises
    ------
    DistillError
        Made by `refuse`: a definition without a name, two of one name, parameters that are no JSON
        Schema; or that jsonschema is not installed.
    """
    try:
        return _read(json.dumps(given, ensure_ascii=False).encode())
    except (TypeError, UnicodeError, RecursionError) as error:
        raise refuse(f"cannot be written as JSON: {error}") from None
    except ValueError as problem:
        raise refuse(str(problem)) from None


@lru_cache(maxsize=1024)
def _read(text: bytes) -> tuple[Tool, ...]:
    """Return the definitions in a JSON text: many examples have the same, and share them."""
    tools = tuple(_tool(tool, number) for number, tool in enumerate(json.loads(text), 1))
    names: list[str] = []
    for number, tool in enumerate(tools, 1):
        name = tool["function"]["name"]
        if name in names:
            raise ValueError(
                f"tool {number} is called {name!r:.60}, as tool {names.index(name) + 1} is"
            )
        names.append(name)
    return tools


def _tool(given: Any, number: int) -> Tool:
    tool = without_null(given)
    kind = tool.pop("type", "function")
    function = without_null(tool.pop("function", tool))
    if not function or kind != "function":
        raise ValueError(f"tool {number} must be {_FORM}, not {fields.shown(given)}")
    name = function.get("name")
    if not isinstance(name, str) or not name.strip():
        lacking = "it has no name" if name is None else f"its name is {fields.shown(name)}"
        raise ValueError(f"tool {number} must be {_FORM}: {lacking}")
    who = f"tool {number} ({name!r:.60})"
    if not isinstance(function.get("description", ""), str):
        description = fields.shown(function["description"])
        raise ValueError(f"{who}: 'description' must be text, not {description}")
    if "parameters" in function and (problem := schema_problem(function["parameters"])):
        raise ValueError(f"{who}: its parameters are no JSON Schema: {problem}")
    return {"type": "function", "function": function}
