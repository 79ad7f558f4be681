"""What a model's answers come to, by the task's own filters and scores, and what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

from pytest_distill._util.user_code import user_code
from pytest_distill.errors import EvaluationError
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.lm_eval import harness
from pytest_distill.evals.lm_eval.documents import Documents, seeded
from pytest_distill.evals.lm_eval.targets import choices_of, shown_choices, target_of
from pytest_distill.evals.metrics import Answer
from pytest_distill.evals.requests import Prediction
from pytest_distill.evals.tasks.predictions import (
    check_loglikelihoods,
    likeliest,
    no_answer,
    with_ending,
)


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
                documents.instances[example.id],
                _responses(documents, example, given),
                strict=True,
            )
        ]
        for example, given in zip(examples, samples, strict=True)
    ]
    every = [instance for own in answered for instance in own]
    what = f"the filters of {documents.gold.source}"
    with harness.quiet(), seeded(), user_code(what, EvaluationError):
        for ensemble in task._filters:
            ensemble.apply(every)
    return answered


def _values(documents: Documents, example: Example, instances: Sequence[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    what = f"{example.place}: process_results of the task"
    with harness.quiet(), seeded(), user_code(what, EvaluationError):
        for name in instances[0].filtered_resps:
            results = [instance.filtered_resps[name] for instance in instances]
            doc = deepcopy(instances[0].doc)  # the task's own code may write into it
            values: Mapping[str, Any] = documents.task.process_results(doc, results)
            found |= {f"{metric},{name}": value for metric, value in values.items()}
    return found


def _responses(
    documents: Documents, example: Example, given: Sequence[Prediction]
) -> list[list[Any]]:
    """Return what lm-evaluation-harness's own models give for each instance of a document."""
    task, instances = documents.task, documents.instances[example.id]
    if task.OUTPUT_TYPE == "generate_until":
        texts = [prediction.text for prediction in given]
        if None in texts:
            raise no_answer(example, "'text'")
        return [texts * (task.config.repeats if len(texts) == 1 else 1)]
    prediction = given[0]
    values = prediction.loglikelihoods
    if values is None:
        raise no_answer(example, "'loglikelihoods'")
    if len(values) != len(instances):
        raise example.answer_error(
            f"{len(values)} log-likelihoods, and {len(instances)} are asked for"
        )
    check_loglikelihoods(example, values)
    if task.OUTPUT_TYPE == "loglikelihood_rolling":
        return [[value] * task.config.repeats for value in values]
    greedy: Sequence[Any] | None = prediction.greedy
    if greedy is None:
        greedy = (False if _reads_no_greedy(task) else _NotKnown(example),) * len(values)
    elif len(greedy) != len(values):
        raise example.answer_error(f"{len(greedy)} 'greedy' for {len(values)} log-likelihoods")
    return [[pair] * task.config.repeats for pair in zip(values, greedy, strict=True)]


def _reads_no_greedy(task: Any) -> bool:
    """Return whether no score depends on what the model would have generated.

    lm-evaluation-harness looks at it for every choice all the same.
    """
    plain = task.OUTPUT_TYPE == "multiple_choice" and task.config.process_results is None
    return plain and "exact_match" not in task.aggregation()


class _NotKnown:
    """Whether the model would have generated a text, where a prediction does not say so."""

    def __init__(self, example: Example) -> None:
        self._example = example

    def __bool__(self) -> bool:
        raise no_answer(self._example, "'greedy': whether the model would generate each choice")

    def __int__(self) -> int:
        return int(bool(self))

    __index__ = __int__

    def __float__(self) -> float:
        return float(bool(self))

    def __eq__(self, other: object) -> bool:
        return bool(self) == other

    def __hash__(self) -> int:
        return hash(bool(self))


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
