"""What a model's answers come to, by the task's own filters and scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from pytest_distill._util.user_code import user_code
from pytest_distill.errors import EvaluationError
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.lm_eval import harness
from pytest_distill.evals.lm_eval.documents import Documents
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks.predictions import check_loglikelihoods, no_answer


def scored(
    documents: Documents,
    examples: Sequence[Example],
    samples: Sequence[Sequence[Prediction]],
) -> list[dict[str, Any]]:
    """Return the values of each document by the names that lm-evaluation-harness prints.

    As its evaluator does: the filters are applied to all answers, then each filter's answers to a
    document are scored (0.4.13, ``lm_eval/evaluator.py``).

    Parameters
    ----------
    documents : Documents
        The task.
    examples : sequence of Example
        Which of its documents.
    samples : sequence of sequence of Prediction
        The answers to each of them.

    Raises
    ------
    EvaluationError
        Where an answer lacks what the task scores.
    """
    answered = filtered(documents, examples, samples)
    return [
        _values(documents, example, own) for example, own in zip(examples, answered, strict=True)
    ]


def filtered(
    documents: Documents,
    examples: Sequence[Example],
    samples: Sequence[Sequence[Prediction]],
) -> list[list[Any]]:
    """Return the instances of each document with the answers, and what each filter makes of them.

    Parameters and errors are those of `scored`.
    """
    task = documents.task
    answered = [
        [
            replace(instance, resps=resps, filtered_resps={})
            for instance, resps in zip(
                documents.instances[example.id], _responses(task, example, given), strict=True
            )
        ]
        for example, given in zip(examples, samples, strict=True)
    ]
    every = [instance for own in answered for instance in own]
    with harness.quiet(), user_code(f"the filters of {documents.gold.source}", EvaluationError):
        for ensemble in task._filters:
            ensemble.apply(every)
    return answered


def _values(documents: Documents, example: Example, instances: Sequence[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with harness.quiet(), user_code(f"{example.place}: process_results", EvaluationError):
        for name in instances[0].filtered_resps:
            results = [instance.filtered_resps[name] for instance in instances]
            values: Mapping[str, Any] = documents.task.process_results(instances[0].doc, results)
            found |= {f"{metric},{name}": value for metric, value in values.items()}
    return found


def _responses(task: Any, example: Example, given: Sequence[Prediction]) -> list[list[Any]]:
    """Return what lm-evaluation-harness's own models give for each instance of a document."""
    if task.OUTPUT_TYPE == "generate_until":
        texts = [prediction.text for prediction in given]
        if None in texts:
            raise no_answer(example, "'text'")
        return [texts * (task.config.repeats if len(texts) == 1 else 1)]
    (prediction,) = given
    values = prediction.loglikelihoods
    if values is None:
        raise no_answer(example, "'loglikelihoods'")
    check_loglikelihoods(example, values)
    if task.OUTPUT_TYPE == "loglikelihood_rolling":
        return [[value] for value in values]
    greedy = prediction.greedy
    if greedy is None:
        if _scores_greedy(task):
            raise no_answer(example, "'greedy'")
        greedy = (False,) * len(values)
    return [[pair] for pair in zip(values, greedy, strict=True)]


def _scores_greedy(task: Any) -> bool:
    """Return whether a score may hang on what the model would have generated."""
    if task.config.process_results is not None or task.OUTPUT_TYPE == "loglikelihood":
        return True
    return "exact_match" in task.aggregation()
