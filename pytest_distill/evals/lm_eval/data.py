"""Files that take the place of a task's data set, and what is wrong where they do not fit it."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_distill._util import hub
from pytest_distill.errors import ConfigError, DistillError, GoldSetError, did_you_mean, some_of
from pytest_distill.evals import hub_data
from pytest_distill.evals.lm_eval import harness
from pytest_distill.evals.lm_eval.declared import DeclaredTask
from pytest_distill.evals.lm_eval.splits import asked, example, solved

_BUILDERS = {
    ".json": "json",
    ".jsonl": "json",
    ".json.gz": "json",
    ".jsonl.gz": "json",
    ".parquet": "parquet",
    ".csv": "csv",
    ".arrow": "arrow",
}

_COLUMN = re.compile(r"\w[\w -]*")
"""A text that can only be meant as the name of a column, where a target or a choice is asked."""


@contextmanager
def files_as_data(task: DeclaredTask, data: Mapping[str, Path]) -> Iterator[Any]:
    """Yield the files that take the place of a task's data set, by split; None without any.

    Nothing is written but in a folder that is gone afterwards.
    """
    if not data:
        yield None
        return
    datasets = hub_data.DATASETS.load("data")
    with tempfile.TemporaryDirectory() as folder, harness.quiet(), hub_data.quiet(datasets):
        read = {path: _read(datasets, path, folder) for path in dict.fromkeys(data.values())}
        found = {split: read[path] for split, path in data.items()}
        shots = solved(task)
        if shots is not None and not task.said.get("num_fewshot"):
            # It is opened whatever is asked; of no shots nothing is drawn.
            found.setdefault(shots, found[asked(task)].select(range(1)))
        yield datasets.DatasetDict(found)


def _read(datasets: Any, path: Path, cache: str) -> Any:
    """Return the rows of a file, or of a folder that `datasets` saved."""
    if not path.exists():
        beside = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        raise GoldSetError(f"data: {path}: no such file; {did_you_mean(path.name, beside)}")
    try:
        rows = _of_folder(datasets, path) if path.is_dir() else _of_file(datasets, path, cache)
    except GoldSetError:
        raise
    except Exception as error:  # noqa: BLE001 - arrow, json and csv each raise their own
        told = hub_data.why(error, str(path), None)
        raise GoldSetError(f"data: {path}: cannot be read: {told}") from None
    if not len(rows):
        raise GoldSetError(f"data: {path}: has no rows")
    return rows


def _of_folder(datasets: Any, path: Path) -> Any:
    if not (path / "state.json").is_file():
        splits = [each.name for each in path.iterdir() if (each / "state.json").is_file()]
        raise GoldSetError(
            f"data: {path}: is no data set that datasets saved"
            + (f", but holds some: name '{path.name}/{splits[0]}'" if splits else "")
        )
    return datasets.load_from_disk(str(path), keep_in_memory=True)


def _of_file(datasets: Any, path: Path, cache: str) -> Any:
    if not path.stat().st_size:
        raise GoldSetError(f"data: {path}: has no rows")
    name = path.name.lower()
    builder = next((kind for end, kind in _BUILDERS.items() if name.endswith(end)), None)
    if builder is None:
        raise GoldSetError(
            f"data: {path}: is none of {', '.join(_BUILDERS)}, nor a folder that datasets saved"
        )
    return datasets.load_dataset(
        builder, data_files=str(path), split="train", cache_dir=cache, keep_in_memory=True
    )


def check_columns(task: Any, data: Mapping[str, Path], split: str) -> None:
    """Raise GoldSetError where a task's column is not among those of the documents.

    lm-evaluation-harness takes the name of a column that is not there for a text, and every
    document has that one as its answer.
    """
    for key in ("doc_to_text", "doc_to_target", "doc_to_choice"):
        said = getattr(task.config, key)
        word = isinstance(said, str) and "{" not in said and _COLUMN.fullmatch(said)
        if word and said not in task.features and (key != "doc_to_text" or " " not in said):
            raise GoldSetError(_lacking(key, str(said), data[split], task.features))


def _lacking(key: str, column: str, path: Path, columns: list[str]) -> str:
    near = did_you_mean(column, columns)
    return (
        f"data: {path}: has no column '{column}', which the task reads ({key}); {near} "
        f"(say otherwise by 'override: {{{key}: ...}}')"
    )


def check_shots(task: Any, declared: DeclaredTask) -> None:
    """Raise ConfigError where there are fewer solved examples than the prompt is to have."""
    wanted = int(declared.said.get("num_fewshot") or 0)
    own = task.fewshot_cfg.split is not None and task.fewshot_cfg.split == task.config.test_split
    there = len(task.sampler.df) - own if hasattr(task, "sampler") else 0
    if wanted > there:
        of = f"the split '{solved(declared)}'" if solved(declared) else "the task's own list"
        raise ConfigError(
            f"num_fewshot: {wanted:,} is more than {of} of task '{declared.name}' gives: "
            f"{there:,}{' beside the document that is asked' if own else ''}"
        )


def cannot(
    task: DeclaredTask, data: Mapping[str, Path], columns: Sequence[str], error: Exception
) -> str:
    """Return what is wrong where a task could not be loaded, and what to do.

    Parameters
    ----------
    task : DeclaredTask
        The task.
    data : mapping
        The files that take the place of its data set.
    columns : sequence of str
        What these have.
    error : Exception
        What lm-evaluation-harness raised.
    """
    what = " ".join(f"{type(error).__name__}: {error}".split())
    if not data:
        return _not_had(task, error, what)
    path = data[asked(task)]
    missing = re.search(r"'([^']+)' is undefined", str(error))
    column = missing[1] if missing else error.args[0] if isinstance(error, KeyError) else None
    if isinstance(column, str) and _COLUMN.fullmatch(column):
        return (
            f"{path}: has no field '{column}', which the task reads, but {some_of(columns)}: name "
            "a file with the data set's own fields, or say by 'override: {doc_to_text: ..., "
            "doc_to_target: ...}' which are to be read"
        )
    return f"{path}: its rows do not fit the task: {what}"


def _not_had(task: DeclaredTask, error: BaseException, what: str) -> str:
    """Return why a data set is not to be had, and how to name files in its place."""
    name = str(task.said.get("dataset_path"))
    part = task.said.get("dataset_name")
    shown = f"'{name}'" if part is None else f"'{name}' ({part})"
    trouble: BaseException | None = error
    while trouble is not None and not hub.is_of_the_hub(trouble):
        trouble = trouble.__cause__ or trouble.__context__
    if isinstance(error, hub.HubError):
        why = str(error)
    else:
        why = what if trouble is None else str(hub.reason(trouble, name, None, "dataset"))
    return (
        f"its data set {shown} cannot be had: {why}. Where there is no hub, name files with its "
        f"rows: '{example(task)}'"
    )


@contextmanager
def of_the_hub(task: DeclaredTask) -> Iterator[None]:
    """Let the block take a task's data set from the hub, or from what is cached of it.

    The hub is asked first, and once: without one `datasets` would try for half a minute.

    Raises
    ------
    HubError
        Why the hub does not give it, where the cache has none of it either.
    """
    import datasets
    from huggingface_hub import constants

    name, given = str(task.said.get("dataset_path")), task.said.get("dataset_kwargs") or {}
    if Path(name).exists() or "data_files" in given or name in _BUILDERS.values():
        yield
        return
    offline = bool(datasets.config.HF_HUB_OFFLINE)
    try:
        revision = given.get("revision")
        trouble = hub.find(name, revision, "dataset", offline=offline).trouble
    except hub.HubError as error:
        trouble = hub.Trouble(str(error))
    if trouble is None:
        yield
        return
    before = datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE = True
    try:
        yield
    except DistillError:
        raise
    except Exception:  # noqa: BLE001 - datasets, its loader and its filesystem each have theirs
        raise hub.HubError(str(trouble)) from None
    finally:
        datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE = before
