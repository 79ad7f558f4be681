"""The part of the JSON Schema that is about models: an entry's engine says which keys it has."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from pytest_distill.config.json_parts import TEXT, Json, cases_of, ref
from pytest_distill.config.schema import (
    CheckpointModel,
    DeclaredSize,
    ModelConfig,
    OuterModel,
    PlacedModel,
    ServedModel,
    SourceModel,
)
from pytest_distill.engines.inner import BESIDE, Inner, key_of_inner
from pytest_distill.engines.lookup import DEFAULT as DEFAULT_ENGINE
from pytest_distill.engines.openai.options import OpenAIOptions
from pytest_distill.engines.ray.options import RayOptions
from pytest_distill.engines.transformers.options import TransformersOptions
from pytest_distill.engines.vllm.options import VLLMOptions
from pytest_distill.evaluation.sources.recorded import RecordedOptions
from pytest_distill.evaluation.sources.reported import ReportedOptions

OPTIONS: Mapping[str, tuple[type[ModelConfig], type[BaseModel]]] = {
    "transformers": (CheckpointModel, TransformersOptions),
    "vllm": (CheckpointModel, VLLMOptions),
    "openai": (ServedModel, OpenAIOptions),
    "ray": (OuterModel, RayOptions),
    "recorded": (SourceModel, RecordedOptions),
    "reported": (SourceModel, ReportedOptions),
}
"""Engine -> what its models share with those of others, and the keys of its own."""


def add_options(part: Json, options: Json) -> None:
    """Put an engine's own keys beside those that its models share with others."""
    del part["properties"]["options"]
    part["properties"] |= options["properties"]
    # A name of a role says it too, and an entry without an engine has the default one.
    required = [*part.get("required", ()), *options.get("required", ())]
    part["required"] = [key for key in required if key not in ("role", "engine")]


def of_other_engine(part: Json, own: Json) -> None:
    """Allow what keys there may be; of those that only some engines share the type is theirs."""
    del part["properties"]["options"]
    for name, key in own["properties"].items():
        if name != "options" and name not in part["properties"]:
            part["properties"][name] = {"description": key["description"]}
    part |= {"required": ["engine"], "additionalProperties": True}


def model_part(other: Json) -> Json:
    """Return what an entry under ``models:`` is: its engine says which keys it has."""
    engine = {**TEXT, "minLength": 1, "description": other["properties"]["engine"]["description"]}
    engine |= {"default": DEFAULT_ENGINE, "examples": [*OPTIONS]}
    # Without a key its condition holds, so that an entry that names no engine has the default one.
    cases = [
        ({"properties": {"engine": {"const": name}}, **_if_named(name)}, ref(f"engine.{name}"))
        for name in OPTIONS
    ]
    whole = {"type": "object", "properties": {"engine": engine}}
    return {**whole, **cases_of(cases, ref("engine.other"))}


def _if_named(engine: str) -> Json:
    return {} if engine == DEFAULT_ENGINE else {"required": ["engine"]}


def inner_parts(parts: Json) -> Json:
    """Return what an entry under ``of:`` is: as one under ``models:``, of an engine that may be.

    Parameters
    ----------
    parts : mapping
        The other parts, of which those that hold such an entry are changed.
    """
    able = [name for name, (kind, _) in OPTIONS.items() if issubclass(kind, PlacedModel)]
    sized = {"properties": {"engine": {"enum": able}}}
    own = DeclaredSize.model_fields.keys() - ModelConfig.model_fields.keys()
    declared = [{"required": [key]} for key in sorted(own)]
    for name, (kind, options) in OPTIONS.items():
        if kind is OuterModel:
            of_checkpoint = {"properties": {key_of_inner(options): sized}}
            parts[f"engine.{name}"] |= {"if": of_checkpoint, "then": {"not": {"anyOf": declared}}}
    other = parts[Inner.__name__]
    del other["properties"]["options"]
    engine = {**TEXT, "minLength": 1, "not": {"enum": [n for n in OPTIONS if n not in able]}}
    said = {**other["properties"]["engine"], **engine, "examples": able}
    other["properties"]["engine"] = said
    other |= {"required": ["engine"], "additionalProperties": True}
    other["propertyNames"] = {"not": {"enum": [*BESIDE]}}
    cases = [
        ({"properties": {"engine": {"const": name}}, **_if_named(name)}, ref(f"inner.{name}"))
        for name in able
    ]
    whole = {"type": "object", "properties": {"engine": said}}
    return {
        **{f"inner.{name}": _without_beside(parts[f"engine.{name}"]) for name in able},
        "inner.other": other,
        Inner.__name__: {**whole, **cases_of(cases, ref("inner.other"))},
    }


def _without_beside(part: Json) -> Json:
    """Return what an engine's entry is without what is said of a model whatever runs it."""
    keys = part["properties"].items()
    return {**part, "properties": {key: said for key, said in keys if key not in BESIDE}}
