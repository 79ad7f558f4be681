"""Tasks of lighteval's, as it reads them from a file: choices, samples, both, and a best document.

The environment variable ``LIGHTEVAL_RUNS_DATA`` names the folder with their documents.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from lighteval.metrics.metrics import Metrics
from lighteval.tasks.lighteval_task import LightevalTaskConfig
from lighteval.tasks.requests import Doc

DATA = os.environ["LIGHTEVAL_RUNS_DATA"]


def choice(line: Mapping[str, Any], task_name: str) -> Doc:
    """Return a document whose choices are asked for."""
    return Doc(
        task_name=task_name,
        query=line["question"],
        choices=[f" {option}" for option in line["options"]],
        gold_index=0,
        specific={"lang": line["lang"]},
    )


def written(line: Mapping[str, Any], task_name: str) -> Doc:
    """Return a document whose right choice is to be written."""
    return Doc(
        task_name=task_name, query=line["question"], choices=line["options"][:1], gold_index=0
    )


def _task(
    name: str, prompt: Callable[..., Doc], metrics: Sequence[Any], **of: Any
) -> LightevalTaskConfig:
    return LightevalTaskConfig(
        name=name,
        prompt_function=prompt,
        hf_repo=DATA,
        hf_subset="default",
        metrics=metrics,
        hf_avail_splits=["train"],
        evaluation_splits=["train"],
        **of,
    )


TASKS_TABLE = [
    _task("sums", choice, [Metrics.loglikelihood_acc]),
    _task(
        "sampled",
        written,
        [
            *(Metrics.pass_at_k(sample_params={"k": 1, "n": 4}),),
            *(Metrics.pass_at_k(sample_params={"k": 2, "n": 4}),),
        ],
        generation_size=8,
        stop_sequence=["\n"],
    ),
    _task(
        "both",
        choice,
        [Metrics.exact_match, Metrics.bleu, Metrics.loglikelihood_acc],
        generation_size=8,
    ),
    _task("best", written, [Metrics.copyright], generation_size=8),
]
