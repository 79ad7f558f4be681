"""The splits of a task's data set: which it has, and which files take their place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from pytest_distill.errors import ConfigError, did_you_mean
from pytest_distill.evals.lm_eval.declared import DeclaredTask

_KEYS = ("test_split", "validation_split", "training_split", "fewshot_split")

Data = Mapping[str, str | Mapping[str, str]]
"""Split -> file; or task -> split -> file."""


def named(task: DeclaredTask) -> list[str]:
    """Return the splits that a task's file names."""
    said = [task.said.get(key) for key in _KEYS]
    shots = task.said.get("fewshot_config")
    said.append(shots.get("split") if isinstance(shots, Mapping) else None)
    return list(dict.fromkeys(split for split in said if isinstance(split, str)))


def asked(task: DeclaredTask) -> str:
    """Return the split whose documents are asked about; ConfigError where there is none."""
    split = task.said.get("test_split") or task.said.get("validation_split")
    if not split:
        raise ConfigError(
            f"task: '{task.name}' has neither test_split nor validation_split: name one, "
            "'override: {test_split: SPLIT}'"
        )
    return str(split)


def solved(task: DeclaredTask) -> str | None:
    """Return the split that solved examples are drawn of; None where the task itself lists them."""
    shots = task.said.get("fewshot_config")
    shots = shots if isinstance(shots, Mapping) else {}
    if split := shots.get("split", task.said.get("fewshot_split")):
        return str(split)
    if shots.get("samples") is not None:
        return None
    return str(task.said.get("training_split") or task.said.get("validation_split") or asked(task))


def files_of(task: DeclaredTask, data: Data, folder: Path) -> dict[str, Path]:
    """Return the file that takes the place of each split.

    Parameters
    ----------
    task : DeclaredTask
        The task.
    data : mapping
        As ``data:`` says it.
    folder : Path
        Where relative paths start.

    Raises
    ------
    ConfigError
        Where it names a split that the task has not, or none for one that is read.
    """
    own = data.get(task.name)
    said = {
        **{split: file for split, file in data.items() if isinstance(file, str)},
        **(own if isinstance(own, Mapping) else {}),
    }
    known = named(task)
    for split in said:
        if split not in known:
            raise ConfigError(
                f"data: task '{task.name}' has no split '{split}'; {did_you_mean(split, known)}"
            )
    if not said:
        if data:
            raise ConfigError(
                f"data: names no file for task '{task.name}': add '{task.name}: "
                f"{{{asked(task)}: FILE}}', or one name for all tasks, "
                f"'{asked(task)}: \"{{task}}/{asked(task)}.parquet\"'"
            )
        return {}
    lacking = [split for split in _read_splits(task) if split not in said]
    if lacking:
        raise ConfigError(
            f"data: names no file for the split '{lacking[0]}' of task '{task.name}', "
            f"{'of which documents are asked' if lacking[0] == asked(task) else _SHOTS}: "
            f"add '{lacking[0]}: FILE'"
        )
    return {split: folder / _filled(file, task) for split, file in said.items()}


_SHOTS = "of which its solved examples are drawn"


def _read_splits(task: DeclaredTask) -> Iterator[str]:
    yield asked(task)
    if task.said.get("num_fewshot") and (split := solved(task)) is not None:
        yield split


def _filled(file: str, task: DeclaredTask) -> str:
    """Return a file's name with what it has in braces put in: the task, its part of a data set."""
    names = {"task": task.name, "dataset_name": str(task.said.get("dataset_name") or "")}
    for place, name in names.items():
        file = file.replace(f"{{{place}}}", name)
    return file


def example(task: DeclaredTask) -> str:
    """Return how ``data:`` names files for all splits that a task reads."""
    return "data: {" + ", ".join(f"{s}: FILE" for s in dict.fromkeys(_read_splits(task))) + "}"
