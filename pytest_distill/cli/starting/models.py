"""The models of a first project: what each path is, whose it is, and what it can be asked."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pytest_distill.engines import Role
from pytest_distill.errors import ConfigError, did_you_mean, one_line, refuse_unknown, some_of
from pytest_distill.evals.cells import structure
from pytest_distill.evals.requests import CAUSAL, SEQ2SEQ
from pytest_distill.evals.rows import KINDS, Row, open_rows
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evals.tasks.elsewhere import OTHER_TASKS
from pytest_distill.evaluation.sources.formats.all import written_by
from pytest_distill.evaluation.sources.pipelines import PREFIXES, TEXTS
from pytest_distill.evaluation.sources.rows import ANSWERS

ROLES: tuple[Role, ...] = get_args(Role)

_OF_HEADS: Mapping[str, tuple[str, ...]] = {
    ClassificationRequest.heads[0].suffix: ("classification",),
    CAUSAL.suffix: ("generation", "multiple_choice", "perplexity"),
    "LMHeadModel": ("generation", "multiple_choice", "perplexity"),
    SEQ2SEQ.suffix: ("generation",),
}
"""How a class of transformers ends -> the tasks that ask such a model, the usual one first."""

IDS = ("id", "idx", "uid", "uuid", "guid", "key", "example_id", "sample_id", "question_id")
TARGETS = (
    *("target", "label", "labels", "gold", "gold_label", "answer", "answers", "reference"),
    *("references", "expected", "expected_output", "output", "completion", "response", "summary"),
    *("translation", "class", "category", "sentiment", "intent", "y_true", "y"),
)
INPUTS = (
    *("input", "text", "sentence", "prompt", "question", "query", "instruction", "content"),
    *("document", "article", "review", "source", "utterance", "comment", "title", "body"),
)
"""What data sets call such fields, the likeliest name first."""

_STATED = ("classification", "generation", "multiple_choice")
"""The tasks that a bare ``prediction`` may answer."""


@dataclass(frozen=True)
class FirstModel:
    """One model.

    Parameters
    ----------
    role : str
        Its role, and its name.
    path : Path
        A folder with a checkpoint, or a file with predictions.
    tasks : tuple of str
        What it can be asked, or what its rows may answer, the usual task first.
    labels : tuple of str
        What a checkpoint that classifies calls its outputs.
    rows : tuple of mapping
        The predictions; empty of a checkpoint.
    """

    role: Role
    path: Path
    tasks: tuple[str, ...]
    labels: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()

    @property
    def recorded(self) -> bool:
        """Whether its predictions are in a file."""
        return bool(self.rows)

    @property
    def answers(self) -> Collection[str]:
        """The fields of its rows that are its answers, and so nothing of a gold set."""
        row = self.rows[0]
        found = {*ANSWERS, *TEXTS, "tokens", "score", "scores", "labels", "finish_reason"}
        if "prediction" in row or self.tasks != ("generation",):
            found -= {"text"}  # what it reads
        if "score" in row:
            found |= {"label"}
        return found | {name for name in row if name.startswith(PREFIXES)}


def models_of(texts: Sequence[str]) -> list[FirstModel]:
    """Return the models that ``[ROLE=]PATH`` name, the teacher first.

    Raises
    ------
    ConfigError
        Where a role is given twice, there is no student, or a path is no model.
    """
    paths = _by_role([_split(text) for text in texts])
    if "student" not in paths:
        raise ConfigError(
            f"{_shown(next(iter(paths.values())))}: is the {next(iter(paths))}'s, and a student is "
            "what gates judge: name its folder or file too, as student=PATH"
        )
    return [model_at(role, paths[role]) for role in ROLES if role in paths]


def _split(text: str) -> tuple[Role | None, Path]:
    """Return the role that stands before a path, and the path."""
    name, equals, rest = text.partition("=")
    if not equals or Path(text).exists():
        return None, Path(text)
    refuse_unknown(name, ROLES, f"{one_line(text)}: no role is called '{one_line(name)}'")
    return next(role for role in ROLES if role == name), Path(rest)


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
                f"{_shown(path)}: a second {role}; the first is {_shown(found[role])}. Say whose "
                f"each is, as in teacher={_shown(found[role])}"
            )
    free = [role for role in ROLES if role not in found]
    if len(left) > len(free):
        raise ConfigError(
            f"{_shown(left[len(free)])}: one model too many: a first project has a teacher, a "
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
        return _checkpoint(role, path)
    if not path.is_file():
        beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
        raise ConfigError(
            f"{_shown(path)}: no such file or folder; {did_you_mean(path.name, beside)} (a model "
            "of the hub is named in distill.yaml by hand: path: ORG/NAME)"
        )
    if (tool := written_by(path)) is not None:
        raise ConfigError(
            f"{_shown(path)}: {tool} wrote this: python -m pytest_distill import {tool} makes "
            "plain files of it, and the lines of distill.yaml"
        )
    if path.suffix.lower() not in KINDS:
        raise ConfigError(
            f"{_shown(path)}: is neither a folder with a model nor a file with predictions "
            f"({', '.join(KINDS)})"
        )
    rows = rows_of(path)
    return FirstModel(role, path, _answered_by(path, rows), rows=rows)


def rows_of(path: Path) -> tuple[Row, ...]:
    """Return the rows of a file; GoldSetError where they can't be read, or there are none."""
    rows = tuple(row for _, row in open_rows(path, None).rows)
    if not rows:
        raise ConfigError(f"{_shown(path)}: has no rows")
    return rows


def _checkpoint(role: Role, path: Path) -> FirstModel:
    config = path / "config.json"
    if not config.is_file():
        raise ConfigError(f"{_shown(path)}: {_no_checkpoint(path)}")
    try:
        said = json.loads(config.read_text(encoding="utf-8"))
        (architecture, *_) = said["architectures"]
        names = said.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
        labels = tuple(str(names[number]) for number in sorted(names, key=int))
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        raise ConfigError(
            f"{_shown(config)}: cannot be read, or names no architecture: save the model with "
            "save_pretrained"
        ) from None
    tasks = next((of for end, of in _OF_HEADS.items() if str(architecture).endswith(end)), None)
    if tasks is None:
        raise ConfigError(
            f"{_shown(path)}: is a {one_line(str(architecture))}, which no task asks "
            f"({OTHER_TASKS})"
        )
    return FirstModel(role, path, tasks, labels if tasks == ("classification",) else ())


def _no_checkpoint(path: Path) -> str:
    """Return what a folder is that has no config."""
    if (path / "adapter_config.json").is_file():
        return (
            "is an adapter, without its base model: write both into distill.yaml, path: BASE and "
            f"adapter: {_shown(path)}"
        )
    if any(path.glob("*.gguf")):
        return "has GGUF files alone: write them into distill.yaml, path: and gguf_file:"
    inside = sorted(p.parent.name for p in path.glob("*/config.json"))
    meant = f"; did you mean one of the folders in it ({some_of(inside)})?" if inside else ""
    return f"has no config.json, and so is no checkpoint of transformers{meant}"


def _answered_by(path: Path, rows: Sequence[Row]) -> tuple[str, ...]:
    """Return the tasks that rows may answer, by the fields that they have."""
    row = rows[0]
    if said := [*_told(row)]:
        return tuple(said)
    for value in row.values():  # what a pipeline gave, under whatever field
        inside = structure(value)
        first = inside[0] if isinstance(inside, list) and inside else None
        if isinstance(first, Mapping) and (said := [*_told(first)]):
            return tuple(said)
    models = [role for role in ROLES if role in row]
    if len(models) > 1:
        raise ConfigError(
            f"{_shown(path)}: has the answers of {' and '.join(models)} in columns: write a file "
            "for each model, with the columns id and prediction"
        )
    raise ConfigError(
        f"{_shown(path)}: no field of it is an answer of a model: a row has one of "
        f"{', '.join(ANSWERS)}; its fields are {some_of([*map(one_line, row)])}"
    )


def _told(row: Mapping[str, Any]) -> Iterator[str]:
    """Yield the tasks of which a row's fields tell."""
    prefixes = Counter(p for name in row for p in PREFIXES if name.startswith(p))
    pairs = ({"label", "score"}, {"labels", "scores"})
    if (
        "probabilities" in row
        or any(pair <= row.keys() for pair in pairs)
        or (prefixes and max(prefixes.values()) > 1)
    ):
        yield "classification"
    elif "loglikelihoods" in row and not row.keys() & {"text", *TEXTS}:
        values = structure(row["loglikelihoods"])
        several = isinstance(values, list) and len(values) > 1
        yield "multiple_choice" if several else "perplexity"
    elif "prediction" in row:
        yield from _STATED
    elif row.keys() & {"tool_calls", "custom_id", *TEXTS} or _generated(row):
        yield "generation"


def _generated(row: Mapping[str, Any]) -> bool:
    """Return whether a field ``text`` is the answer: beside a target it may be what models read."""
    prompts = {"input", "prompt", "question", "query", "instruction", "document", "article"}
    return "text" in row and (not row.keys() & {*TARGETS} or bool(row.keys() & prompts))


def _shown(path: Path) -> str:
    return one_line(str(path))
