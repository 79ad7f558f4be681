"""A task's documents and what is asked about each, as lm-evaluation-harness builds them."""

from __future__ import annotations

import hashlib
import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pytest_distill._util.user_code import user_code
from pytest_distill.errors import ConfigError, DistillError, GoldSetError
from pytest_distill.evals.goldset import Example, GoldSet, read_only
from pytest_distill.evals.lm_eval import harness
from pytest_distill.evals.lm_eval.data import (
    cannot,
    check_columns,
    check_shots,
    files_as_data,
    of_the_hub,
)
from pytest_distill.evals.lm_eval.declared import DeclaredTask
from pytest_distill.evals.lm_eval.refusals import with_functions, without_hub_metrics
from pytest_distill.evals.lm_eval.splits import asked

DIGITS = 16
"""Of a document's digest, which is its id."""


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
    fewshot_seed: int,
    data: Mapping[str, Path],
    trusted: bool = False,
) -> Documents:
    """Return a task with all of its documents.

    All requests are built, whichever are needed: the few-shot examples of a document depend on how
    many were drawn before.

    Parameters
    ----------
    declared : DeclaredTask
        The task.
    fewshot_seed : int
        What its solved examples are drawn by.
    data : mapping
        Split -> the file that takes the place of the task's data set.
    trusted : bool
        Whether Python from a hub may run.

    Raises
    ------
    ConfigError, GoldSetError
        Where the task cannot be loaded, or its data cannot be had.
    """
    source = f"{harness.PREFIX}{declared.name}"
    config = _config(declared, trusted)
    with files_as_data(declared, data) as dataset, harness.quiet(), seeded():
        columns = dataset[asked(declared)].column_names if dataset is not None else ()
        if dataset is not None:
            config["custom_dataset"] = lambda **_: dataset
        try:
            with of_the_hub(declared) if dataset is None else nullcontext():
                task = _loaded(config)
            if dataset is not None:
                check_columns(task, data, asked(declared))
            check_shots(task, declared)
            task.set_fewshot_seed(seed=fewshot_seed)
            task.build_all_requests()
        except DistillError:
            raise
        except Exception as error:
            told = cannot(declared, data, columns, error)
            raise GoldSetError(f"{source}: {told}") from error
    return _documents(source, task)


def _loaded(config: dict[str, Any]) -> Any:
    """Return lm-evaluation-harness's task of what its file says; its data set is read."""
    manager = harness.module("tasks").TaskManager(include_defaults=False)
    return manager.load([config])["tasks"][config["task"]]


def _config(declared: DeclaredTask, trusted: bool) -> dict[str, Any]:
    """Return what a task says, its functions imported."""
    with harness.quiet(), user_code(f"{declared.path}: cannot be read:", ConfigError):
        said = harness.module("tasks._yaml_loader").load_yaml(declared.path)
    said |= with_functions(declared.otherwise)
    for key in ("tag", "group", "task_list"):
        said.pop(key, None)
    said["num_fewshot"] = said.get("num_fewshot") or 0
    if (process := said.get("process_docs")) is not None:
        said["process_docs"] = _once(process)
    return dict(said if trusted else without_hub_metrics(said))


def _once(process: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return what makes documents of rows, called once for the same rows.

    lm-evaluation-harness calls it whenever it looks at the documents, and `datasets` gives what it
    has cached: of rows in memory it caches nothing, and where choices are shuffled the prompts
    would be of other documents than the scores.
    """
    known: dict[str, Any] = {}

    def processed(rows: Any) -> Any:
        key = getattr(rows, "_fingerprint", None)
        if key is None:  # no data set of `datasets`
            return process(rows)
        if key not in known:
            known[key] = process(rows)
        return known[key]

    return processed


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


def own_shots(documents: Documents, gold: GoldSet) -> int:
    """Return how many documents stand, solved, among the examples of their own prompts.

    lm-evaluation-harness draws them so where they come from the split that is asked.
    """
    config, found = documents.task.config, 0
    if not config.num_fewshot:
        return 0
    for example in gold:
        instance = documents.instances[example.id][0]
        text = documents.task.doc_to_text(instance.doc)
        solved = f"{config.fewshot_delimiter}{text}{config.target_delimiter}"
        begun = f"{config.fewshot_delimiter}{instance.args[0]}".removesuffix(str(text))
        found += bool(text) and solved in begun
    return found


def doc_digest(doc: Any) -> str:
    """Return lm-evaluation-harness's ``doc_hash`` of a document."""
    return hashlib.sha256(_encoded(doc, indent=2).encode()).hexdigest()


def _encoded(doc: Any, indent: int | None = None) -> str:
    default = harness.module("utils").handle_non_serializable
    return json.dumps(doc, indent=indent, default=default, ensure_ascii=False)
