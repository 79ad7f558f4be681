"""What a model answered a document of a task, in words that people read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_distill.evals.goldset import Example
from pytest_distill.evals.lm_eval.documents import Documents
from pytest_distill.evals.lm_eval.targets import choices_of, shown_choices, target_of
from pytest_distill.evals.metrics import Answer
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks.endings import with_ending
from pytest_distill.evals.tasks.predictions import likeliest


def answer_of(
    documents: Documents,
    example: Example,
    given: Sequence[Prediction],
    values: Mapping[str, Any],
    longest: int | None,
) -> Answer[Any]:
    """Return an answer with what the task's own filters and scores made of it.

    Parameters
    ----------
    documents : Documents
        The task.
    example : Example
        The document.
    given : sequence of Prediction
        What the model gave: all samples, the first of which stands for them.
    values : mapping
        The scores.
    longest : int, optional
        The greatest number of tokens of a text.
    """
    first = given[0] if longest is None else with_ending(given[0], longest)
    task, instances = documents.task, documents.instances[example.id]
    if task.OUTPUT_TYPE == "multiple_choice":
        return _chosen(documents, example, first, values)
    expected = target_of(task, example, instances[0].doc)
    if task.OUTPUT_TYPE == "generate_until":
        targets = expected if isinstance(expected, list | tuple) else (expected,)
        return Answer(example, first, first.text or "", tuple(map(str, targets)), values=values)
    if task.OUTPUT_TYPE == "loglikelihood":
        rated = str(instances[0].args[-1]).strip()
        written = rated if first.greedy and first.greedy[0] else ""
        return Answer(example, first, written, (rated,), values=values)
    return Answer(example, first, "", (str(instances[0].args[0]),), values=values)


def _chosen(
    documents: Documents, example: Example, prediction: Prediction, values: Mapping[str, Any]
) -> Answer[Any]:
    """Return the likeliest choice beside the right one; the first of equal ones."""
    task, instances = documents.task, documents.instances[example.id]
    doc = instances[0].doc
    if task.config.process_results is not None:
        texts = shown_choices(task, example, instances)
        best = likeliest((prediction.loglikelihoods or ())[: len(texts)])
        target = str(target_of(task, example, doc))
        return Answer(example, prediction, texts[best[0]], (target,), texts, values=values)
    texts, right = choices_of(task, example, doc)
    # Where a task asks for the likelihood of each choice alone too, those stand after the others.
    best = likeliest((prediction.loglikelihoods or ())[: len(texts)])
    return Answer(
        example,
        prediction,
        texts[best[0]],
        tuple(texts[index] for index in right),
        texts,
        right[0],
        correct=best[0] in right,
        tied=len(best) > 1,
        values=values,
    )
