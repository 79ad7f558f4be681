"""A task's documents and what is asked about each, as lm-evaluation-harness builds them."""

from __future__ import annotations

import hashlib
import json
import random
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pytest_distill._util.packages import Package
from pytest_distill.errors import DistillError, GoldSetError
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.lm_eval import harness
from pytest_distill.evals.lm_eval.declared import DeclaredTask
from pytest_distill.evals.lm_eval.index import manager
from pytest_distill.evals.readonly import read_only

DIGITS = 16
"""Of a document's digest, which is its id."""

_BUILDERS = {".json": "json", ".jsonl": "json", ".gz": "json", ".parquet": "parquet", ".csv": "csv"}
_DATASETS = Package("datasets", "datasets", "datasets")


@dataclass(frozen=True)
class Documents:
    """A task with its documents.

    Parameters
    ----------
    task : object
        The task, as lm-evaluation-harness loaded it.
    gold : GoldSet
        Its documents.
    instances : mapping
        Id of a document -> what is asked about it, in the order of the task.
    """

    task: Any
    gold: GoldSet
    instances: Mapping[str, Sequence[Any]]


def read_documents(
    declared: DeclaredTask,
    *,
    num_fewshot: int | None,
    fewshot_seed: int,
    data: Mapping[str, Path],
    override: Mapping[str, Any],
) -> Documents:
    """Return a task with all of its documents.

    All requests are built, whichever are needed: the few-shot examples of a document depend on how
    many were drawn before.

    Raises
    ------
    ConfigError, GoldSetError
        Where the task cannot be loaded, or its data cannot be had.
    """
    source = f"{harness.PREFIX}{declared.name}"
    config = harness.module("tasks._yaml_loader").load_yaml(declared.path)
    for key in ("tag", "group", "task_list"):
        config.pop(key, None)
    config |= {**declared.by_group, **override}
    with _data_of(source, data) as dataset, harness.quiet(), seeded():
        if dataset is not None:
            config["custom_dataset"] = lambda **_: dataset
        try:
            task = manager(declared.name).load([config])["tasks"][declared.name]
            if num_fewshot is not None:
                task.set_config(key="num_fewshot", value=num_fewshot)
            elif task.get_config("num_fewshot") is None:
                task.set_config(key="num_fewshot", value=0)
            task.set_fewshot_seed(seed=fewshot_seed)
            task.build_all_requests()
        except DistillError:
            raise
        except Exception as error:
            raise GoldSetError(f"{source}: {_cannot(config, data, error)}") from error
    return _documents(source, task)


@contextmanager
def seeded() -> Iterator[None]:
    """Seed what documents are shuffled by as lm-evaluation-harness does, and give it back."""
    before, of_numpy = random.getstate(), np.random.get_state()
    random.seed(0)
    np.random.seed(1234)
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(of_numpy)


@contextmanager
def _data_of(source: str, data: Mapping[str, Path]) -> Iterator[Any]:
    """Yield the files that take the place of the task's data set, by split; None without any."""
    if not data:
        yield None
        return
    datasets = _DATASETS.load(f"{source}: data")
    with tempfile.TemporaryDirectory() as folder, harness.quiet():
        yield datasets.DatasetDict(
            {split: _read(datasets, path, folder) for split, path in data.items()}
        )


def _read(datasets: Any, path: Path, cache: str) -> Any:
    if path.is_dir():
        return datasets.load_from_disk(str(path))
    builder = _BUILDERS.get(path.suffix.lower())
    if builder is None or not path.is_file():
        raise GoldSetError(f"{path}: no file of rows ({', '.join(_BUILDERS)}) nor saved data set")
    return datasets.load_dataset(
        builder, data_files=str(path), split="train", cache_dir=cache, keep_in_memory=True
    )


def _cannot(config: Mapping[str, Any], data: Mapping[str, Path], error: Exception) -> str:
    """Return what is wrong where a task could not be loaded, and what to do."""
    keys = ("test_split", "validation_split", "training_split", "fewshot_split")
    splits = [split for key in keys if (split := config.get(key))]
    missing = [split for split in splits if split not in data]
    what = f"{type(error).__name__}: {error}".partition("\n")[0]
    if not data:
        return (
            f"its data set '{config.get('dataset_path')}' could not be had ({what}); where there "
            f"is no hub, name files: 'data: {{{', '.join(f'{s}: FILE' for s in splits)}}}'"
        )
    if missing:
        return f"{what}; 'data' has no {' and no '.join(missing)}, which the task may open"
    return what


def _documents(source: str, task: Any) -> Documents:
    by_number: dict[int, list[Any]] = {}
    for instance in task.instances:
        by_number.setdefault(instance.doc_id, []).append(instance)
    examples, instances = [], {}
    seen: Counter[str] = Counter()
    for number, own in by_number.items():
        digest = doc_digest(own[0].doc)
        seen[digest] += 1
        id = digest[:DIGITS] + (f"#{seen[digest]}" if seen[digest] > 1 else "")
        fields = json.loads(_encoded(own[0].doc))
        examples.append(Example(id, read_only(fields), f"{source}, document {number}"))
        instances[id] = sorted(own, key=lambda instance: instance.idx)
    return Documents(task, GoldSet(source, tuple(examples)), instances)


def doc_digest(doc: Any) -> str:
    """Return lm-evaluation-harness's ``doc_hash`` of a document."""
    return hashlib.sha256(_encoded(doc, indent=2).encode()).hexdigest()


def _encoded(doc: Any, indent: int | None = None) -> str:
    default = harness.module("utils").handle_non_serializable
    return json.dumps(doc, indent=indent, default=default, ensure_ascii=False)
