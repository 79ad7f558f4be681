"""The documents of lm-evaluation-harness's tasks, from files of all kinds, and their prompts."""

from __future__ import annotations

import datetime
import gzip
import hashlib
import json
import logging
import os
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import GoldSet
from pytest_distill.evals.lm_eval import harness
from pytest_distill.evals.lm_eval.task import LmEval

datasets = pytest.importorskip("datasets")
pytest.importorskip("lm_eval")

TASK = """
task: own
dataset_path: json
test_split: test
fewshot_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: answer
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""
ROWS = [{"question": f"What is {i} + {i}?", "answer": str(2 * i)} for i in range(12)]


@pytest.fixture
def own(tmp_path: Path) -> Callable[..., LmEval]:
    """Return a function that gives the task ``own`` with some documents."""
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "own.yaml").write_text(TASK)

    def task(rows: Sequence[Mapping[str, Any]] | Path, **said: Any) -> LmEval:
        path = rows if isinstance(rows, Path) else tmp_path / f"{len(rows)}.jsonl"
        if not isinstance(rows, Path):
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return LmEval(of="own", include_path=tmp_path / "own", data={"test": path}, **said)

    return task


def prompts(task: LmEval, gold: GoldSet | None = None) -> dict[str, str]:
    """Return what is asked about each document, by its id."""
    on = Eval("own", task, gold or task.gold, task.usual)
    return {request.id: str(getattr(request, "prompt")) for request in on.requests()}  # noqa: B009


def saved(folder: Path, rows: Sequence[Mapping[str, Any]], kind: str) -> Path:
    """Write rows as one kind of file; return where."""
    data = datasets.Dataset.from_list(list(rows))
    path = folder / f"rows{kind}"
    if kind == ".parquet":
        data.to_parquet(path)
    elif kind == ".csv":
        data.to_csv(path)
    elif kind == ".json":
        path.write_text(json.dumps(list(rows)))
    elif kind == ".jsonl.gz":
        path.write_bytes(gzip.compress("".join(json.dumps(r) + "\n" for r in rows).encode()))
    else:
        data.save_to_disk(path)
    return next(path.glob("*.arrow")) if kind == "/*.arrow" else path


@pytest.mark.parametrize("kind", [".json", ".jsonl.gz", ".parquet", ".csv", "", "/*.arrow"])
def test_files_of_every_kind_give_the_same_documents(
    own: Callable[..., LmEval], tmp_path: Path, kind: str
) -> None:
    """The ids, and what is asked, are the same whatever the rows are written as."""
    rows = [{"question": row["question"], "answer": f"n{row['answer']}"} for row in ROWS]
    expected = prompts(own(rows, num_fewshot=2))
    assert prompts(own(saved(tmp_path, rows, kind), num_fewshot=2)) == expected


def test_an_id_is_lm_evals_digest_of_the_document(own: Callable[..., LmEval]) -> None:
    """The first 16 digits of ``doc_hash``; an equal document's second one ends in ``#2``."""
    digest = hashlib.sha256(json.dumps(ROWS[0], indent=2).encode()).hexdigest()[:16]
    ids = [example.id for example in own([ROWS[0], ROWS[1], ROWS[0]]).gold]
    assert [ids[0], ids[2]] == [digest, f"{digest}#2"]


def test_a_document_that_stands_twice_is_asked_twice(own: Callable[..., LmEval]) -> None:
    """Its two prompts have other solved examples, as lm-evaluation-harness draws them."""
    asked = prompts(own([*ROWS, ROWS[0]], num_fewshot=3))
    first, second = (text for text in asked.values() if text.endswith(str(ROWS[0]["question"])))
    assert first != second
    assert first.count("What is") == second.count("What is") == 4


def test_a_prompt_does_not_hang_on_which_documents_are_asked(own: Callable[..., LmEval]) -> None:
    """A sample of the documents gets the prompts that all of them together get."""
    task = own(ROWS, num_fewshot=3)
    part = prompts(task, task.gold.sample(4))
    assert len(part) == 4
    assert part.items() <= prompts(own(ROWS, num_fewshot=3)).items()


def test_documents_at_the_end_leave_other_prompts_as_they_were(
    own: Callable[..., LmEval], tmp_path: Path
) -> None:
    """Of solved examples from another split: two more documents are two more prompts."""
    shots = tmp_path / "shots.jsonl"
    shots.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    said: dict[str, Any] = {
        "num_fewshot": 2,
        "override": {"fewshot_split": "train", "training_split": "train"},
    }

    def asked(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
        task = own(rows, **said)
        return prompts(replace(task, data={**task.data, "train": shots}))

    before = asked(ROWS[:5])
    assert before.items() <= asked(ROWS[:7]).items()
    in_front = asked([*ROWS[5:7], *ROWS[:5]])
    assert in_front.keys() >= before.keys()
    assert not in_front.items() >= before.items()


def test_columns_of_every_type_become_fields(own: Callable[..., LmEval], tmp_path: Path) -> None:
    """Structs, lists, nothing, bytes, dates and class labels: as lm-eval writes a document."""
    day = datetime.date(2024, 5, 1)
    data = datasets.Dataset.from_dict(
        {
            "question": ["a?", "b?"],
            "answer": [0, 1],
            "deep": [{"x": [1, None], "y": "z"}] * 2,
            "raw": [b"\x00\xff", b""],
            "day": [day, None],
        }
    ).cast_column("answer", datasets.ClassLabel(names=["no", "yes"]))
    data.save_to_disk(tmp_path / "typed")
    first = own(tmp_path / "typed").gold.examples[0]
    assert first.fields["answer"] == 0
    assert first.fields["deep"]["x"][1] is None
    assert str(day) in str(first.fields["day"])
    assert isinstance(first.fields["raw"], str)


def test_nothing_is_written_and_all_is_left_as_it_was(
    own: Callable[..., LmEval],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """No cache outside, no line on the terminal; random numbers, log and bars as before."""
    cache = tmp_path / "cache"
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", cache)
    random.seed(5)
    np.random.seed(5)
    random_state, numpy_state = random.getstate(), np.random.get_state()[1].copy()  # type: ignore[index]
    log, env = logging.getLogger("lm_eval"), dict(os.environ)
    before = log.level, log.disabled, datasets.utils.are_progress_bars_disabled()
    file = saved(tmp_path, ROWS, ".parquet")
    capfd.readouterr()
    assert len(own(file, num_fewshot=2).gold) == len(ROWS)
    assert capfd.readouterr() == ("", "")
    assert not cache.exists()
    assert random.getstate() == random_state
    assert (np.random.get_state()[1] == numpy_state).all()  # type: ignore[index]
    assert (log.level, log.disabled, datasets.utils.are_progress_bars_disabled()) == before
    assert dict(os.environ) == env


def test_a_template_is_compiled_once_and_left_as_it_was(own: Callable[..., LmEval]) -> None:
    """lm-eval compiles each for every document, which takes longer than all else."""
    utils = harness.module("utils")
    compiled = harness._compiled.cache_info().misses
    assert len(own(ROWS, num_fewshot=2).gold) == len(ROWS)
    assert harness._compiled.cache_info().misses - compiled <= 2
    assert "from_string" not in vars(utils.env)


def test_without_solved_examples_no_split_of_them_is_needed(
    own: Callable[..., LmEval],
) -> None:
    """lm-eval opens that split whatever is asked; without shots the documents stand in for it."""
    task = own(ROWS, override={"fewshot_split": "train", "training_split": "train"})
    assert list(prompts(task).values()) == [row["question"] for row in ROWS]
    assert "exact_match" in {metric.name for metric in task.usual}


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_document_among_its_own_solved_examples_is_told(
    own: Callable[..., LmEval], split: str
) -> None:
    """Where they are drawn from the validation split that is asked; of a test split none is."""
    said = {"test_split": "test" if split == "test" else None, "validation_split": "validation"}
    task = own(ROWS, num_fewshot=6, override={**said, "fewshot_split": split})
    task = replace(task, data={split: task.data["test"], "validation": task.data["test"]})
    told = sum(
        prompt.count(f"What is {i} + {i}? {2 * i}")
        for i, prompt in enumerate(prompts(task).values())
    )
    assert (told > 0) is (split == "validation")
    notes = [note.partition(" hold")[0] for note in task.notes(task.gold)]
    assert notes == ([f"{told} of 12 prompts"] if told else [])
