"""What the files of a checkpoint tell of it, without loading it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_distill.cli.starting.first_model import FirstModel
from pytest_distill.engines import Role
from pytest_distill.errors import ConfigError, one_line, some_of
from pytest_distill.evals.requests import CAUSAL, SEQ2SEQ
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evals.tasks.elsewhere import OTHER_TASKS

GGUF = ".gguf"
"""How such a file's name ends."""

_CLASSIFIES = ("classification",)
_CAUSAL = ("generation", "multiple_choice", "perplexity")
_CLASSIFIER = ClassificationRequest.heads[0]

_OF_CLASSES: Mapping[str, tuple[str, ...]] = {
    _CLASSIFIER.suffix: _CLASSIFIES,
    CAUSAL.suffix: _CAUSAL,
    "LMHeadModel": _CAUSAL,
    SEQ2SEQ.suffix: ("generation",),
    "EncoderDecoderModel": ("generation",),
}
"""How a class of transformers ends -> the tasks that ask such a model, the usual one first."""

_OF_ADAPTERS: Mapping[str, tuple[str, ...]] = {
    head.adapter: _OF_CLASSES[head.suffix] for head in (_CLASSIFIER, CAUSAL, SEQ2SEQ)
}
"""What peft calls the task of an adapter -> the tasks that ask it."""


def checkpoint(role: Role, path: Path) -> FirstModel:
    """Return the model in a folder; ConfigError where there is none that a task asks."""
    if not (path / "config.json").is_file():
        return _without_config(role, path)
    said = _read(path / "config.json")
    listed = said.get("architectures")
    if not isinstance(listed, list) or not listed:
        raise ConfigError(
            f"{shown(path / 'config.json')}: names no architecture: save the model with "
            "save_pretrained"
        )
    architecture, labels = str(listed[0]), _labels(path / "config.json", said)
    tasks = next((of for end, of in _OF_CLASSES.items() if architecture.endswith(end)), None)
    if architecture.endswith(SEQ2SEQ.suffix) and not said.get("is_encoder_decoder"):
        tasks = _CAUSAL  # a decoder that reads pictures too
    many = said.get("problem_type") == "multi_label_classification"
    if tasks is None or (tasks == _CLASSIFIES and (many or len(labels) < 2)):
        kind = "" if tasks is None else " of several labels at once" if many else " of one output"
        raise ConfigError(
            f"{shown(path)}: is a {one_line(architecture)}{kind}, which no task asks "
            f"({OTHER_TASKS})"
        )
    return FirstModel(role, path, tasks, labels if tasks == _CLASSIFIES else ())


def _labels(config: Path, said: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a checkpoint calls its outputs."""
    names = said.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
    try:
        return tuple(str(names[number]) for number in sorted(names, key=int))
    except (ValueError, LookupError, TypeError):
        raise ConfigError(
            f"{shown(config)}: id2label must give each output, by its number, a name: save the "
            "model with save_pretrained"
        ) from None


def _without_config(role: Role, path: Path) -> FirstModel:
    """Return an adapter, or a GGUF file in a folder; ConfigError where it is neither."""
    if (path / "adapter_config.json").is_file():
        said = _read(path / "adapter_config.json")
        base = said.get("base_model_name_or_path")
        tasks = _OF_ADAPTERS.get(str(said.get("task_type")))
        if tasks is None and said.get("task_type"):
            raise ConfigError(
                f"{shown(path)}: is an adapter for {one_line(str(said['task_type']))}, which no "
                f"task asks ({OTHER_TASKS})"
            )
        if tasks is None or not isinstance(base, str) or not base:
            raise ConfigError(
                f"{shown(path)}: is an adapter, and its adapter_config.json does not say of what "
                "base model and for which task: write both into distill.yaml, path: BASE and "
                f"adapter: {shown(path)}"
            )
        return FirstModel(role, path, tasks, base=base)
    files = sorted(file for file in path.glob("*") if file.suffix.lower() == GGUF)
    if len(files) == 1:
        return packed(role, files[0])
    inside = sorted(p.parent.name for p in path.glob("*/config.json"))
    several = f"has several GGUF files: name one of them ({some_of([f.name for f in files])})"
    meant = f"; did you mean one of the folders in it ({some_of(inside)})?" if inside else ""
    plain = f"has no config.json, and so is no checkpoint of transformers{meant}"
    raise ConfigError(f"{shown(path)}: {several if files else plain}")


def packed(role: Role, file: Path) -> FirstModel:
    """Return the model in a GGUF file."""
    return FirstModel(role, file.parent, _CAUSAL, gguf_file=file.name)


def _read(path: Path) -> dict[str, Any]:
    """Return what a file of JSON says; ConfigError where it is no mapping."""
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"{shown(path)}: cannot be read: {one_line(str(error))}") from None
    if not isinstance(said, dict):
        raise ConfigError(f"{shown(path)}: cannot be read: it is no mapping")
    return said


def shown(path: Path) -> str:
    """Return a path as messages tell it."""
    return one_line(str(path))
