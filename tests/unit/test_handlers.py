"""What an engine cannot be asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from pytest_distill.engines import ModelSpec
from pytest_distill.engines.transformers import TransformersEngine
from pytest_distill.engines.transformers.options import TransformersOptions
from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import CAUSAL, Head, Request
from pytest_distill.evals.tasks import TASKS


@dataclass(frozen=True, slots=True)
class RiddleRequest(Request):
    """A kind of request that no engine knows."""

    task: ClassVar[str] = "riddles"
    heads: ClassVar[tuple[Head, ...]] = (CAUSAL,)


def test_a_kind_of_request_without_a_handler_is_refused_before_anything_is_loaded(
    tmp_path: Path,
) -> None:
    """The error names the task, and what the engine can do instead."""
    spec = ModelSpec("m", "student", path=str(tmp_path / "none"), options=TransformersOptions())
    problem = (
        r"^model 'm' runs with transformers, which has no way to do the task riddles "
        rf"\(RiddleRequest\); it does {', '.join(TASKS)}$"
    )
    with pytest.raises(ModelError, match=problem):
        list(TransformersEngine(spec).predict([RiddleRequest("a")]))
