"""The tools that a model may call, as a gold set or ``distill.yaml`` defines them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from pytest_distill.evals.json_schemas import schema_problem
from pytest_distill.evals.tasks import fields
from pytest_distill.evals.tasks.messages import Refuse, without_null

Tool = Mapping[str, Any]

_FORM = "{'type': 'function', 'function': {'name': ..., 'description': ..., 'parameters': ...}}"


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
