"""Answers that a model gave and that turn out not to be believed: none of them is kept."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from pytest_distill import ModelError, ModelInfo
from pytest_distill.errors import UnsoundAnswersError
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evals.tasks import Generation
from pytest_distill.evaluation.run_model import RunModel
from pytest_distill.evaluation.store.keeping import Keeper


class Failing:
    """An engine that answers all that it is asked, and then raises what it was given."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.asked: list[str] = []

    @property
    def info(self) -> ModelInfo:
        """Return what is known of it."""
        return ModelInfo("student", "student")

    @property
    def identity(self) -> dict[str, str]:
        """Return what it is."""
        return {"model": "m"}

    def predict(self, requests: Sequence[Request]) -> Iterator[Prediction]:
        """Yield an answer for each, and raise at the end."""
        for request in requests:
            self.asked.append(request.id)
            yield Prediction(request.id, text="yes")
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        """Hold nothing."""


ON = Eval(
    "e",
    Generation(),
    GoldSet("gold", tuple(Example(i, {"input": i, "target": "yes"}, f"gold:{i}") for i in "ab")),
    (BUILT_IN["exact_match"],),
)


def _asked(folder: Path, error: Exception | None, session: int) -> list[str]:
    """Return what an engine is asked in one run."""
    engine = Failing(error)
    with closing(Keeper(folder, session=session, warn=print, tell=print)) as keeper:
        model = RunModel("student", "student", lambda: engine, keeper=keeper)
        if error is None:
            model.evaluate(ON)
        else:
            with pytest.raises(type(error)):
                model.evaluate(ON)
    return engine.asked


def test_what_cannot_be_believed_is_asked_again(tmp_path: Path) -> None:
    """After any other error what was finished is found in the store; after this one nothing is."""
    assert _asked(tmp_path / "a", ModelError("broke"), 1) == ["a", "b"]
    assert _asked(tmp_path / "a", None, 2) == []
    assert _asked(tmp_path / "b", UnsoundAnswersError("changed"), 1) == ["a", "b"]
    assert _asked(tmp_path / "b", None, 2) == ["a", "b"]
