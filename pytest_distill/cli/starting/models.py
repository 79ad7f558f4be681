"""The models of a first project: what each path is, whose it is, and what it can be asked."""

from __future__ import annotations

import os
import re
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pytest_distill.cli.starting.checkpoints import GGUF, checkpoint, packed, shown
from pytest_distill.cli.starting.first_model import TARGETS, FirstModel
from pytest_distill.engines import Role
from pytest_distill.errors import ConfigError, did_you_mean, one_line, refuse_unknown, some_of
from pytest_distill.evals.cells import structure
from pytest_distill.evals.rows import KINDS, Row, open_rows
from pytest_distill.evaluation.sources.formats.format import written_by
from pytest_distill.evaluation.sources.pipelines import PREFIXES, TEXTS
from pytest_distill.evaluation.sources.rows import ANSWERS

ROLES: tuple[Role, ...] = get_args(Role)

_CLASSIFIED = "classification"
_STATED = (_CLASSIFIED, "generation", "multiple_choice")
"""The tasks that a bare ``prediction`` may answer."""


_WHOSE: Mapping[Role, str] = {"teacher": "teacher's", "sft": "SFT student's"}
_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth", ".ckpt")


def models_of(texts: Sequence[str]) -> list[FirstModel]:
    """Return the models that ``[ROLE=]PATH`` name, the teacher first.

    Raises
    ------
    ConfigError
        Where a role is given twice, there is no student, or a path is no model.
    """
    paths = _by_role([_split(text) for text in texts])
    if "student" not in paths:
        role, path = next(iter(paths.items()))
        raise ConfigError(
            f"{shown(path)}: is the {_WHOSE[role]}, and a student is what gates judge: name its "
            "folder or file too, as student=PATH"
        )
    _refuse_one_path(paths)
    return [model_at(role, paths[role]) for role in ROLES if role in paths]


def _refuse_one_path(paths: Mapping[Role, Path]) -> None:
    """Raise ConfigError where two roles have the same folder or file."""
    known: dict[str, Role] = {}
    for role, path in paths.items():
        other = known.setdefault(os.path.realpath(path), role)
        if other != role:
            raise ConfigError(
                f"{shown(path)}: is {other} and {role} at once: a comparison of a model with "
                "itself says nothing"
            )


def _split(text: str) -> tuple[Role | None, Path]:
    """Return the role that stands before a path, and the path."""
    name, equals, rest = text.partition("=")
    if not equals or Path(text).exists():
        return None, _at_home(text)
    refuse_unknown(name, ROLES, f"{one_line(text)}: no role is called '{one_line(name)}'")
    return next(role for role in ROLES if role == name), _at_home(rest)


def _at_home(text: str) -> Path:
    """Return a path: behind a role no shell says what ``~`` is."""
    path = Path(text)
    return path.expanduser() if text.startswith("~/") and not path.exists() else path


def _by_role(given: Sequence[tuple[Role | None, Path]]) -> dict[Role, Path]:
    """Return the paths by role: as it is said, else as files are called, else in their order."""
    found: dict[Role, Path] = {}
    left: list[Path] = []
    for said, path in given:
        role = said or _called(path)
        if role is None:
            left.append(path)
        elif found.setdefault(role, path) is not path:
            raise ConfigError(
                f"{shown(path)}: a second {role}; the first is {shown(found[role])}. Say whose "
                f"each is, as in teacher={shown(found[role])}"
            )
    free = [role for role in ROLES if role not in found]
    if len(left) > len(free):
        raise ConfigError(
            f"{shown(left[len(free)])}: one model too many: a first project has a teacher, a "
            "student and an SFT student; add further ones to distill.yaml"
        )
    if len(given) == 1 and left:
        free = ["student"]
    return found | dict(zip(free, left, strict=False))


def _called(path: Path) -> Role | None:
    """Return the role in the name of a file or folder, or else of the folder around it."""
    for name in (path.name, path.parent.name):
        words = re.split(r"[^a-z0-9]+", name.lower())
        found = [role for role in ROLES if role in words]
        if found:
            return found[0] if len(found) == 1 else None
    return None


def model_at(role: Role, path: Path) -> FirstModel:
    """Return the model at a path; ConfigError where there is none."""
    if path.is_dir():
        found = (written_by(file) for file in (*path.glob("*.*"), *path.glob("*/*.*")))
        tool = next(filter(None, found), None)
        if tool is not None and not any(path.glob("*config.json")):
            raise _of_tool(path, tool)
        return checkpoint(role, path)
    if not path.is_file():
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        meant = did_you_mean(path.name, beside, listed=False)
        hub = "a model of the hub is named in distill.yaml by hand, as path: ORG/NAME"
        raise ConfigError(f"{shown(path)}: no such file or folder; {meant or hub}")
    if path.suffix.lower() == GGUF:
        return packed(role, path)
    if (tool := written_by(path)) is not None:
        raise _of_tool(path, tool)
    if path.suffix.lower() in _WEIGHTS:
        raise ConfigError(f"{shown(path)}: is a file of weights: name its folder")
    if path.suffix.lower() not in KINDS:
        raise ConfigError(
            f"{shown(path)}: is neither a folder with a model nor a file with predictions "
            f"({', '.join(KINDS)})"
        )
    rows = rows_of(path)
    return FirstModel(role, path, _answered_by(path, rows), rows=rows)


def _of_tool(path: Path, tool: str) -> ConfigError:
    return ConfigError(
        f"{shown(path)}: {tool} wrote this: python -m pytest_distill import {tool} "
        f"{one_line(shlex.quote(str(path)))} makes plain files of it, and the lines of distill.yaml"
    )


def rows_of(path: Path) -> tuple[Row, ...]:
    """Return the rows of a file; GoldSetError where they can't be read, or there are none."""
    splits = sorted(file.parent.name for file in path.glob("*/state.json"))
    if len(splits) > 1:
        raise ConfigError(
            f"{shown(path)}: has several splits ({some_of([*map(one_line, splits)])}): name the "
            f"folder of one, as {shown(path / splits[-1])}"
        )
    rows = tuple(row for _, row in open_rows(path, None).rows)
    if not rows:
        raise ConfigError(f"{shown(path)}: has no rows")
    return rows


def _answered_by(path: Path, rows: Sequence[Row]) -> tuple[str, ...]:
    """Return the tasks that rows may answer, by the fields that they have."""
    row = rows[0]
    if said := [*_told(row)]:
        return tuple(said)
    for value in row.values():  # what a pipeline gave, under whatever field
        inside = structure(value)
        while isinstance(inside, list) and inside:
            inside = inside[0]
        if isinstance(inside, Mapping) and (said := [*_piped(inside)]):
            return tuple(said)
    models = [role for role in ROLES if role in row]
    if len(models) > 1:
        raise ConfigError(
            f"{shown(path)}: has the answers of {' and '.join(models)} in columns: write a file "
            "for each model, with the columns id and prediction"
        )
    if "scores" in row:
        raise ConfigError(
            f"{shown(path)}: has scores that were given elsewhere, and no answers: what they are "
            'is for you to say in distill.yaml (docs/engines.md, "Ready scores")'
        )
    answers = ", ".join(name for name in ANSWERS if name != "scores")
    its = f"its fields are {some_of([*map(one_line, row)])}" if row else "its first row is empty"
    raise ConfigError(
        f"{shown(path)}: no field of it is an answer of a model: a row has one of {answers}; {its}"
    )


def _told(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield the tasks of which a row's fields tell."""
    prefixes = Counter(p for name in row for p in PREFIXES if name.startswith(p))
    piped = [*_piped(row)]
    if "probabilities" in row or _CLASSIFIED in piped or max(prefixes.values(), default=0) > 1:
        yield _CLASSIFIED
    elif "loglikelihoods" in row and not row.keys() & {"text", *TEXTS}:
        values = structure(row["loglikelihoods"])
        several = isinstance(values, list) and len(values) > 1
        yield "multiple_choice" if several else "perplexity"
    elif "prediction" in row:
        yield from _STATED
    elif piped or row.keys() & {"tool_calls", "custom_id"} or _generated(row):
        yield "generation"


def _piped(said: Mapping[str, Any]) -> Iterator[str]:
    """Yield the task of which a pipeline's answer tells."""
    if {"label", "score"} <= said.keys() or {"labels", "scores"} <= said.keys():
        yield _CLASSIFIED
    elif said.keys() & {*TEXTS}:
        yield "generation"


def _generated(row: Mapping[str, Any]) -> bool:
    """Return whether a field ``text`` is the answer: beside a target it may be what models read."""
    prompts = {"input", "prompt", "question", "query", "instruction", "document", "article"}
    return "text" in row and (not row.keys() & {*TARGETS} or bool(row.keys() & prompts))
