"""What a task's documents expect: looked at before any model runs.

lm-evaluation-harness takes a right choice that does not exist for a wrong answer of every model,
with a warning at most: an accuracy of 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any, NamedTuple

from pytest_distill._util.user_code import user_code
from pytest_distill.errors import GoldSetError
from pytest_distill.evals.goldset import Example
from pytest_distill.evals.lm_eval import harness
from pytest_distill.evals.lm_eval.documents import Documents


class Choices(NamedTuple):
    """The texts of a document's choices, and which of them are right."""

    texts: tuple[str, ...]
    right: tuple[int, ...]


def check_targets(documents: Documents) -> None:
    """Raise GoldSetError where a document's target is none, or nothing is asked about."""
    for example in documents.gold:
        _check(documents.task, example, documents.instances[example.id])


def _check(task: Any, example: Example, instances: Sequence[Any]) -> None:
    doc = instances[0].doc
    if task.OUTPUT_TYPE in ("loglikelihood", "loglikelihood_rolling"):
        for instance in instances:
            if not instance.args[-1]:
                raise example.gold_error("the text whose likelihood is asked for is empty")
    if task.config.process_results is not None:
        return
    if task.OUTPUT_TYPE == "multiple_choice":
        choices_of(task, example, doc)
    elif task.OUTPUT_TYPE == "generate_until":
        target = target_of(task, example, doc)
        if target is None or target == []:
            raise example.gold_error(f"its target is {target!r}: {_remedy(task, example)}")
        if task.config.doc_to_choice is not None:
            _right(task, example, target, _texts(task, example, doc))


def choices_of(task: Any, example: Example, doc: Any) -> Choices:
    """Return a document's choices, of a task that goes by which of them is the likeliest.

    Raises
    ------
    GoldSetError
        Where the right one is none of them.
    """
    texts = _texts(task, example, doc)
    with harness.quiet(), _of(example):
        target = task.doc_to_text(doc) if task.multiple_input else task.doc_to_target(doc)
    several = isinstance(target, list | tuple)
    if several != bool(task.multiple_target):
        raise example.gold_error(
            f"its target is {target!r:.60}: of some documents it is a list of right choices and of "
            "others one, which the task cannot score"
        )
    right = list(target) if several else [target]
    if not right:
        raise example.gold_error(f"has no right choice: {_remedy(task, example)}")
    return Choices(texts, tuple(_right(task, example, each, texts) for each in right))


def shown_choices(task: Any, example: Example, instances: Sequence[Any]) -> tuple[str, ...]:
    """Return the texts of the choices of a document that the task's own code scores."""
    if task.config.doc_to_choice is not None:
        return _texts(task, example, instances[0].doc)
    return tuple(str(instance.args[-1]).strip() for instance in instances)


def target_of(task: Any, example: Example, doc: Any) -> Any:
    """Return what a task says that a document expects."""
    with harness.quiet(), _of(example):
        return task.doc_to_target(doc)


def _texts(task: Any, example: Example, doc: Any) -> tuple[str, ...]:
    with harness.quiet(), _of(example):
        return tuple(map(str, task.doc_to_choice(doc)))


def _of(example: Example) -> Any:
    return user_code(f"{example.place}: the task's own code", GoldSetError)


def _right(task: Any, example: Example, target: Any, choices: Sequence[str]) -> int:
    """Return the index of a right choice, given by its index or, where that is a text, by that."""
    if isinstance(target, str) and target in choices:
        return choices.index(target)
    index = float(target) if isinstance(target, Real) else -1.0
    if 0 <= index < len(choices) and index.is_integer():
        return int(index)
    shown = ", ".join(f"{choice!r:.20}" for choice in choices[:6])
    raise example.gold_error(
        f"the task's target is {target!r:.60}, which is none of the {len(choices)} choices "
        f"({shown}): no answer would be right. {_remedy(task, example)}"
    )


def _remedy(task: Any, example: Example) -> str:
    """Return what makes a target of a document."""
    told = task.config.doc_to_target
    by = f"doc_to_target: {told!r:.60}" if isinstance(told, str) else "the task's own code"
    fields = ", ".join(example.fields)
    return (
        f"It is made by {by} of the fields {fields:.200}; where the data call it otherwise, say "
        "so by 'override: {doc_to_target: ...}'"
    )
