"""What is asked of a model for each example: one module a task."""

from collections.abc import Mapping
from types import MappingProxyType

from pytest_distill.evals.tasks.base import Task
from pytest_distill.evals.tasks.classification import Classification
from pytest_distill.evals.tasks.generation import Generation
from pytest_distill.evals.tasks.multiple_choice import MultipleChoice
from pytest_distill.evals.tasks.perplexity import Perplexity

__all__ = ["TASKS", "Classification", "Generation", "MultipleChoice", "Perplexity", "Task"]

TASKS: Mapping[str, type[Task]] = MappingProxyType(
    {task.name: task for task in (Classification, MultipleChoice, Generation, Perplexity)}
)
"""The tasks by the name that ``task:`` gives in ``distill.yaml``."""
