from __future__ import annotations

import subprocess
import sys

import pytest

from pytest_distill.errors import ConfigError
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.tasks import TASKS
from pytest_distill.evaluation.evaluation import choose_metric


def test_metrics_are_found_by_name() -> None:
    """Each built-in metric bears the name under which it is found."""
    assert {name: metric.name for name, metric in BUILT_IN.items()} == {
        name: name for name in BUILT_IN
    }


def test_unknown_metric() -> None:
    """An unknown name is met with the nearest one."""
    problem = r"^eval 'reviews' has no metric 'acuracy'; did you mean 'accuracy'\?$"
    with pytest.raises(ConfigError, match=problem):
        choose_metric("reviews", "acuracy", (), tuple(BUILT_IN.values()))


def test_tasks_are_found_by_name() -> None:
    """Each task bears the name under which it is found."""
    assert {name: task.name for name, task in TASKS.items()} == {name: name for name in TASKS}


def test_importing_evals_is_light() -> None:
    """Importing evals loads neither torch nor pytest, nor a library that only some evals need."""
    code = (
        "import sys, pytest_distill.evals.eval\n"
        "heavy = {'torch', 'pytest', 'jinja2', 'pyarrow', 'datasets', 'sacrebleu', 'rouge_score'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert output.stdout == "[]\n"
