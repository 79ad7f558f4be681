from __future__ import annotations

import pytest

from pytest_distill.evals.tasks import TASKS
from pytest_distill.evals.tasks.elsewhere import HERE, OTHER_TASKS, unknown_task

PAGE = 'docs/other-tasks.md, "Your task is not here"'


@pytest.mark.parametrize(
    "name",
    [
        *("regression", "linear regression", "ner", "NER", "token_classification"),
        *("token-classification", "multi_label", "multi-label-classification", "multilabel"),
        *("embedding", "embeddings", "sentence_similarity", "sts", "retrieval", "reranking"),
        *("asr", "speech", "automatic-speech-recognition", "audio_classification"),
        *("image_classification", "image-to-text", "object-detection", "fill-mask"),
    ],
)
def test_a_task_that_is_not_here_is_no_slip_of_the_pen(name: str) -> None:
    """No task is suggested in its place: those that there are, and the page."""
    told = unknown_task(name, TASKS)
    assert told == f"unknown task '{name}'; known: {', '.join(TASKS)} ({OTHER_TASKS})"
    assert PAGE in told


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("clasification", "classification"),
        ("Text-Classification", "classification"),
        ("summarization", "generation"),
        ("translation", "generation"),
        ("text generation", "generation"),
        ("multiple-choice", "multiple_choice"),
        ("language_modeling", "perplexity"),
    ],
)
def test_a_task_that_is_here_by_another_name_is_named(name: str, meant: str) -> None:
    """What others call it, and a slip of the pen, get the name that it has here, and the page."""
    told = unknown_task(name, TASKS)
    assert told == f"unknown task '{name}'; did you mean '{meant}'? ({OTHER_TASKS})"


@pytest.mark.parametrize("name", ["", "1", "None", "[]", "привет", "_", "a" * 5_000])
def test_whatever_is_no_task_gets_the_tasks_and_the_page(name: str) -> None:
    """Odd names are no traceback."""
    told = unknown_task(name, TASKS)
    assert told.startswith(f"unknown task '{name}'; known: classification, ")
    assert told.endswith(f"({OTHER_TASKS})")


def test_the_other_names_stand_for_tasks_that_there_are() -> None:
    """A task that goes or is renamed takes its other names along."""
    assert set(HERE.values()) <= set(TASKS)
