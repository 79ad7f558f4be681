"""Tasks of lm-evaluation-harness asked through it and through this package, and what differs.

What both sides are given is the same: the
task's own file, the same documents as JSON lines, the same number of solved examples, the same
checkpoint. All else is each side's own: `lm_eval.simple_evaluate` with a model of its own, and the
task `LmEval` with the engine `transformers`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

from pytest_distill.engines import Engine
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import GoldSet
from pytest_distill.evals.lm_eval import harness
from pytest_distill.evals.lm_eval.answers import filtered
from pytest_distill.evals.lm_eval.declared import declared
from pytest_distill.evals.lm_eval.task import LmEval
from pytest_distill.evaluation.measured import MeasuredEvaluation
from tests.lm_eval_cases import Case

LOGLIKELIHOODS_WITHIN = 1e-4
"""Relative, or absolute below 1: both sides add up float32 values in an order of their own."""


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
    return asked(task, engine, first)


def asked(task: LmEval, engine: Engine, first: int | None = None) -> MeasuredEvaluation:
    """Return what an engine makes of a task, or of its first documents."""
    gold = GoldSet(task.gold.source, task.gold.examples[:first])
    on = Eval(task.of, task, gold, tuple(task.usual))
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
    from lm_eval.tasks import TaskManager

    given = {"num_fewshot": case.num_fewshot, "override": case.override, **said}
    config = their_config(case, data, given["override"])
    for key in ("tag", "group", "task_list"):
        config.pop(key, None)
    with (
        mock.patch.object(datasets.config, "HF_DATASETS_CACHE", data.parent / "cache"),
        mock.patch("lm_eval.evaluator.add_env_info"),  # a second of asking for versions
    ):
        found: dict[str, Any] = lm_eval.simple_evaluate(
            model=model,
            tasks=[config],
            num_fewshot=given["num_fewshot"],
            task_manager=TaskManager(include_defaults=False),
            limit=first,
            bootstrap_iters=0,
        )
    return found


def their_config(case: Case, data: Path, override: Mapping[str, Any]) -> dict[str, Any]:
    """Return a task as its file says it, with documents that lie here."""
    file = declared(case.task).path
    said = harness.module("tasks._yaml_loader").load_yaml(file, resolve_func=True)
    return {
        **said,
        "dataset_path": "json",
        "dataset_name": None,
        "dataset_kwargs": {"data_files": {case.split: str(data)}},
        **override,
    }


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


class Difference(NamedTuple):
    """One thing in which the two sides differ: which document, what of it, there and here."""

    id: str
    what: str
    there: Any
    here: Any


def differences(found: MeasuredEvaluation, report: Mapping[str, Any]) -> list[Difference]:
    """Return all in which the two sides differ; empty where nothing does.

    Documents and prompts, raw responses, filtered ones, every value of every document, and every
    aggregate.
    """
    by_document = samples_of(found, report)
    ids = [example.id for example in found.eval.gold]
    if list(by_document) != ids:
        return [Difference("", "documents", list(by_document), ids)]
    lines = list(_by_example(found, by_document))
    return lines + list(_aggregates(found, report["results"][found.eval.name]))


def samples_of(
    found: MeasuredEvaluation, report: Mapping[str, Any]
) -> dict[str, list[dict[str, Any]]]:
    """Return the samples of each document of a report, one a filter, by our ids."""
    by_document: dict[str, list[dict[str, Any]]] = {}
    seen: Counter[tuple[str, str]] = Counter()
    for sample in report["samples"][found.eval.name]:
        which = sample["doc_hash"], sample["filter"]
        seen[which] += 1
        again = f"#{seen[which]}" if seen[which] > 1 else ""
        by_document.setdefault(which[0][:16] + again, []).append(sample)
    return by_document


def _by_example(
    found: MeasuredEvaluation, by_document: Mapping[str, Sequence[Mapping[str, Any]]]
) -> Iterator[Difference]:
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
                    yield Difference(id, what, there[what], mine)
            for metric in sample["metrics"]:
                key = f"{metric},{sample['filter']}"
                if not alike(answer.values.get(key), sample[metric]):
                    yield Difference(id, key, sample[metric], answer.values.get(key))


def _aggregates(found: MeasuredEvaluation, results: Mapping[str, Any]) -> Iterator[Difference]:
    there, here = aggregates_of(found, results)
    if set(there) != set(here):
        yield Difference("", "metrics", sorted(there), sorted(here))
    for key, score in here.items():
        if not alike(score, there.get(key)):
            yield Difference("", key, there.get(key), score)


def aggregates_of(
    found: MeasuredEvaluation, results: Mapping[str, Any]
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the numbers of a task there and here, by the names that lm-evaluation-harness has."""
    there = {
        key: value
        for key, value in results.items()
        if "," in key and "_stderr" not in key and isinstance(value, int | float)
    }
    here = {
        metric.name if "," in metric.name else f"{metric.name},none": found.score(metric)
        for metric in found.eval.task.usual
    }
    return there, here


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
