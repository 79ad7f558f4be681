"""The JSON Schema of ``distill.yaml``, for editors: made of the types that validate the file.

What it refuses, a run refuses too. Some of what a run refuses it can't tell: names that hooks of
the project add, how numbers go together, what stands in other files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import fields
from importlib.resources import files
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from pytest_distill._util.docstrings import described_parameters
from pytest_distill.config.criteria import arguments_of
from pytest_distill.config.evals import EvalConfig, HarnessEval, eval_of
from pytest_distill.config.json_parts import (
    OPTIONS,
    TEXT,
    Json,
    add_checks,
    add_options,
    cases_of,
    inner_parts,
    model_part,
    of_other_engine,
    ref,
    replace,
)
from pytest_distill.config.schema import File, ModelConfig, OwnModel
from pytest_distill.engines import Role
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.lm_eval.harness import PREFIX
from pytest_distill.evals.tasks import TASKS, Task
from pytest_distill.evaluation.sources.formats.format import FORMATS
from pytest_distill.gates.all import GATES
from pytest_distill.gates.subjects import BudgetGate

TITLE = "distill.yaml"

DIALECT = "http://json-schema.org/draft-07/schema#"
"""What editors know; nothing of the later drafts is used."""

_NAME: Json = {"pattern": r"^(?!::)[^\s./\\]([^/\\]*[^\s/\\])?$"}
"""Files are named after models, evals and criteria."""
_SHAPES: Mapping[Any, str] = {Mapping: "object", tuple: "array", str: "string", type(None): "null"}


def shipped() -> str:
    """Return the schema as the package has it in a file."""
    return files("pytest_distill.config").joinpath("distill.schema.json").read_text("utf-8")


def schema() -> str:
    """Return the JSON Schema (draft 7), made anew."""
    parts = _parts()
    file: Json = parts.pop("file")
    first = {name: file["properties"][name] for name in ("models", "evals")}
    keys = file["properties"] = first | file["properties"]
    role_of_name = {role: ref("model") for role in get_args(Role)}
    with_role = {"allOf": [ref("model"), {"required": ["role"]}]}
    keys["models"] |= {**_entries(with_role), "properties": role_of_name}
    keys["evals"] |= _entries(ref("eval"))
    keys["criteria"] |= {"propertyNames": _NAME, "additionalProperties": ref("criterion")}
    for key in ("required_gates", "allow_reruns"):
        replace(keys[key], TEXT, ref("gate_or_test"))
    replace(keys["baseline"], TEXT, {**TEXT, "minLength": 1})
    replace(keys["allow_skipped"], TEXT, {**TEXT, "pattern": "^[^/]"})
    whole = {
        "$schema": DIALECT,
        "title": TITLE,
        **file,
        **_tasks_of_running_models(),
        "definitions": dict(sorted(parts.items())),
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


class _ForEditors(GenerateJsonSchema):
    """Without titles, which repeat the keys; a default is what the file would say."""

    def field_title_should_be_set(self, *_: Any, **__: Any) -> bool:
        return False

    def encode_default(self, dft: Any) -> Any:
        said = dft.model_dump(exclude_unset=True) if isinstance(dft, BaseModel) else dft
        return super().encode_default(said)


def _parts() -> Json:
    """Return the schema of every mapping of the file, by a name."""
    kinds: dict[str, type[BaseModel]] = {
        "file": File,
        "engine.other": ModelConfig,
        "engine.own": OwnModel,
        **{f"engine.{name}": kind for name, (kind, _) in OPTIONS.items()},
        **{f"options.{name}": options for name, (_, options) in OPTIONS.items()},
        "task.none": EvalConfig,
        "task.lm_eval": HarnessEval,
        **{f"task.{name}": eval_of(task, bounded=True) for name, task in TASKS.items()},
        **{f"gate.{name}": arguments_of(name) for name in GATES},
    }
    refs, described = models_json_schema(
        [(kind, "validation") for kind in dict.fromkeys(kinds.values())],
        schema_generator=_ForEditors,
        ref_template="#/definitions/{model}",
    )
    found: Json = described["$defs"]
    of_kind = {kind: ref["$ref"].rpartition("/")[2] for (kind, _), ref in refs.items()}
    parts = {name: deepcopy(found[of_kind[kind]]) for name, kind in kinds.items()}
    parts |= {name: part for name, part in found.items() if name not in of_kind.values()}
    for part in parts.values():
        _tidy(part)
    parts["Waiver"]["properties"]["gate"].update(ref("gate_or_test"), type="string")
    for name in OPTIONS:
        add_options(parts[f"engine.{name}"], parts.pop(f"options.{name}"))
    parts["engine.recorded"]["properties"]["format"]["enum"] = [*FORMATS, None]
    of_other_engine(parts["engine.other"], parts.pop("engine.own"))
    for name, task in TASKS.items():
        _of_task(parts[f"task.{name}"], name, task)
    for name in ("none", "lm_eval"):
        _drop_sampled(parts[f"task.{name}"]["properties"]["metrics"])
    for name in ("none", "lm_eval", *TASKS):
        add_checks(parts[f"task.{name}"])
    for name, gate in GATES.items():
        _describe(parts[f"gate.{name}"], gate)
    return {
        **parts,
        **inner_parts(parts),
        "model": model_part(parts["engine.other"]),
        "eval": _eval(parts["task.none"]),
        "criterion": _criterion(parts),
        "gate_or_test": _gate_or_test(),
    }


def _tidy(part: Json) -> None:
    """Take away what says nothing to a reader."""
    part.pop("title", None)
    for key in part.get("properties", {}).values():
        if key.get("default", ...) is None:
            del key["default"]
        if "description" in key:
            key["description"] = " ".join(key["description"].split())


def _eval(none: Json) -> Json:
    """Return what an entry under ``evals:`` is: its task says which keys it has."""
    of_harness = {**TEXT, "pattern": f"^{PREFIX}."}
    task = {"anyOf": [{"enum": [*TASKS]}, of_harness, {"type": "null"}]}
    task["description"] = none["properties"]["task"]["description"]
    said = {"type": "object", "required": ["task"]}
    cases: list[tuple[Json, Json]] = [
        ({**said, "properties": {"task": {"const": name}}}, ref(f"task.{name}")) for name in TASKS
    ]
    cases.append(({**said, "properties": {"task": of_harness}}, ref("task.lm_eval")))
    cases.append(({"properties": {"task": {"type": "null"}}}, ref("task.none")))
    none["type"] = ["object", "null"]
    return {"type": ["object", "null"], "properties": {"task": task}, **cases_of(cases, {})}


def _of_task(part: Json, name: str, task: type[Task]) -> None:
    """Say what only a task's own class says of its keys."""
    keys = part["properties"]
    _describe(part, task)
    hints = get_type_hints(task)
    for field in fields(task):
        if not keys[field.name].keys() - {"description", "default"}:  # of several forms
            keys[field.name]["type"] = [*_shapes(hints[field.name])]
    keys["task"]["const"] = name
    keys.get("shots", {}).pop("default", None)  # of the field, which holds what is read
    if "repeats" not in keys:
        _drop_sampled(keys["metrics"])
    suited = [metric.name for metric in task.metrics]
    others = [metric for metric in BUILT_IN if metric not in suited]
    replace(keys["metrics"], TEXT, {**TEXT, "examples": suited, "not": {"enum": others}})
    if task.guess != "choice":
        replace(keys["chance"]["anyOf"], {"const": "uniform", **TEXT}, None)


def _shapes(hint: Any) -> Iterator[str]:
    """Yield the kinds of JSON that a type stands for, whatever is in them."""
    union = get_origin(hint) in (Union, UnionType)
    kinds = get_args(hint) if union else (hint,)
    yield from dict.fromkeys(_SHAPES[get_origin(kind) or kind] for kind in kinds)


def _describe(part: Json, kind: type) -> None:
    """Take over what the docstring of a class says of the keys."""
    for name, text in described_parameters(kind).items():
        if name in part["properties"]:
            as_yaml = re.sub(r"\bNone\b", "`null`", text).replace("->", "→")
            part["properties"][name]["description"] = as_yaml


def _drop_sampled(metrics: Json) -> None:
    """Take away the metrics of several samples, where a task has one of each example."""
    for kind in ("PassAtMetric", "MajorityMetric"):
        replace(metrics, ref(kind), None)


def _criterion(parts: Json) -> Json:
    """Return what an entry under ``criteria:`` is: gates, each asked once or several times."""
    gates = {}
    for name, gate in GATES.items():
        once = ref(f"gate.{name}")
        forms = [once, {"type": "array", "items": once}]
        forms += [] if parts[f"gate.{name}"].get("required") else [{"type": "null"}]
        about = " ".join((gate.__doc__ or "").partition("\n")[0].replace("``", "`").split())
        gates[name] = {"description": about, "anyOf": forms}
    whole = {"type": "object", "minProperties": 1, "additionalProperties": False}
    return {**whole, "properties": gates}


def _gate_or_test() -> Json:
    """Return what names a gate, alone or within a budget, or a test by its node id."""
    budgets = [name for name, gate in GATES.items() if issubclass(gate, BudgetGate)]
    within = rf"^({'|'.join(budgets)}) at [1-9][0-9]{{0,9}}\b"
    return {"anyOf": [{"enum": [*GATES]}, *({**TEXT, "pattern": p} for p in (within, "::"))]}


def _tasks_of_running_models() -> Json:
    """Return the rule that an eval has a task, but where all models are reported."""
    answering = [name for name, (_, own) in OPTIONS.items() if getattr(own, "answers", True)]
    running = {"type": "object", "properties": {"engine": {"enum": answering}}}
    with_task = {"type": "object", "required": ["task"], "properties": {"task": TEXT}}
    some = {"not": {"additionalProperties": {"not": running}}}
    return {
        "if": {"properties": {"models": some}},
        "then": {"properties": {"evals": {"additionalProperties": with_task}}},
    }


def _entries(entry: Json) -> Json:
    return {"minProperties": 1, "propertyNames": _NAME, "additionalProperties": entry}
