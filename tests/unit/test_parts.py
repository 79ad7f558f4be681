"""What a test gets of a model beside its answers, whatever its engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_distill.engines import ModelInfo
from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evaluation.parts import part_of
from pytest_distill.evaluation.run_model import RunModel
from pytest_distill.evaluation.sources.reported import ReportedModel


class Bare:
    """An engine that runs nothing."""

    info = ModelInfo("teacher", "teacher")

    def predict(self, requests: Sequence[Request]) -> Iterator[Prediction]:
        """Answer without a word."""
        yield from (Prediction(request.id) for request in requests)

    def close(self) -> None:
        """Hold nothing."""


class Loading(Bare):
    """One that has a model, whose own code fails."""

    @property
    def model(self) -> Any:
        """Fail as a mistake in this property would."""
        return self.misspelt  # type: ignore[attr-defined]

    tokenizer = "words"


class Delegating(Bare):
    """One that asks another object for what it has not."""

    def __getattr__(self, name: str) -> str:
        if name == "model":
            return "weights"
        raise AttributeError(name)


class Asked(Bare):
    """One whose model runs elsewhere."""

    asked_at = "m at api.example.com"


def part(engine: Callable[[], Any], attribute: str) -> object:
    """Return what a model with an engine gives."""
    return part_of(RunModel("teacher", "teacher", engine), attribute)


def test_what_an_engine_has_is_handed_out() -> None:
    """An attribute of the class, or one that it finds when it is asked for."""
    assert part(Loading, "tokenizer") == "words"
    assert part(Delegating, "model") == "weights"


@pytest.mark.parametrize("engine", [Bare, Delegating])
def test_what_an_engine_has_not_is_said(engine: Callable[[], Any]) -> None:
    """The error names the model and what every model has."""
    with pytest.raises(ModelError) as caught:
        part(engine, "tokenizer")
    assert str(caught.value) == (
        "the engine of model 'teacher' hands none out: there is no .tokenizer here; use "
        ".evaluate() and .info, which every model has"
    )


def test_a_mistake_inside_of_an_engine_is_no_missing_attribute() -> None:
    """What its own code raises is told, an AttributeError too."""
    with pytest.raises(ModelError, match=r"raised AttributeError: .*'misspelt'"):
        part(Loading, "model")


def test_a_model_that_runs_elsewhere_has_none() -> None:
    """The error says where it is asked."""
    with pytest.raises(ModelError, match=r"asked as m at api\.example\.com: there is no \.model"):
        part(Asked, "model")


def test_a_model_that_nothing_runs_has_none() -> None:
    """Only its scores are known, and `.evaluate()` gives them."""
    model = ReportedModel.declared_as(ModelInfo("teacher", "teacher"), {}, Path())
    with pytest.raises(ModelError, match=r"does not run here.*there is no \.tokenizer"):
        part_of(model, "tokenizer")
