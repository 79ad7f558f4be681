"""Prompts that hang on more than their request, of any engine: a part of what is stored by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_distill import ModelError, ModelInfo
from pytest_distill.evals.built_in import BUILT_IN
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.goldset import Example, GoldSet
from pytest_distill.evals.request_keys import request_key
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evals.tasks import Generation
from pytest_distill.evals.tasks.decoding import GenerationRequest
from pytest_distill.evaluation.described_model import dated
from pytest_distill.evaluation.run_model import RunModel
from pytest_distill.evaluation.store.keeping import Keeper


class Dating:
    """An engine that writes a day before each prompt, and remembers what it was asked."""

    def __init__(self, day: Any) -> None:
        self.day = day
        self.asked: list[str] = []
        self.notes: list[str] = []

    @property
    def info(self) -> ModelInfo:
        """Return what is known of it."""
        return ModelInfo("student", "student")

    @property
    def identity(self) -> dict[str, str]:
        """Return what it is, on any day."""
        return {"model": "m"}

    def dated_prompts(self, requests: Sequence[Request]) -> Any:
        """Return each prompt with the day in it; whatever it was given where that is no text."""
        if not isinstance(self.day, str):
            return self.day
        self.notes = [f"asked on a {self.day}"]
        chats = (request for request in requests if isinstance(request, GenerationRequest))
        return {request.id: f"{self.day}: {request.prompt}" for request in chats}

    def predict(self, requests: Sequence[Request]) -> Iterator[Prediction]:
        """Yield an answer for each."""
        for request in requests:
            self.asked.append(request.id)
            yield Prediction(request.id, text="yes")

    def close(self) -> None:
        """Hold nothing."""


ON = Eval(
    "e",
    Generation(),
    GoldSet("gold", tuple(Example(i, {"input": i, "target": "yes"}, f"gold:{i}") for i in "ab")),
    (BUILT_IN["exact_match"],),
)


def _evaluated(folder: Path, day: Any) -> tuple[RunModel, list[str]]:
    """Return a model that was evaluated, and the ids of what it was asked."""
    engine = Dating(day)
    keeper = Keeper(folder, warn=print, tell=print)
    model = RunModel("student", "student", lambda: engine, keeper=keeper)
    model.evaluate(ON)
    keeper.close()
    return model, engine.asked


def test_on_another_day_it_is_asked_again(tmp_path: Path) -> None:
    """And on the first one, later, the answers of then are found."""
    asked = [len(_evaluated(tmp_path, day)[1]) for day in ("Mon", "Mon", "Tue", "Mon")]
    assert asked == [2, 0, 2, 0]


def test_its_note_is_told_also_where_nothing_is_asked(tmp_path: Path) -> None:
    """It says which day the prompts hold."""
    for _ in range(2):
        assert _evaluated(tmp_path, "Mon")[0].notes == ["asked on a Mon"]


@pytest.mark.parametrize("given", [None, ["a"], {"a": 1}, {1: "a"}])
def test_what_is_no_mapping_of_texts_is_an_error(tmp_path: Path, given: Any) -> None:
    """It would be a part of what predictions are found by."""
    message = "model 'student': dated_prompts of its engine Dating: must map ids to texts"
    with pytest.raises(ModelError, match=message):
        _evaluated(tmp_path, given)


def test_a_figure_hangs_on_the_dates_of_all_its_models(tmp_path: Path) -> None:
    """And on none where no prompt has one."""
    (with_date, _), (without, _) = _evaluated(tmp_path, "Mon"), _evaluated(tmp_path, {})
    requests = ON.requests()
    assert dated([without], requests) == {}
    assert dated([without, with_date], requests) == {"dated": [{}, {"a": "Mon: a", "b": "Mon: b"}]}


def test_the_key_of_a_request_alone_is_what_it_was() -> None:
    """What was stored before is found."""
    request = GenerationRequest("1", "one", chat=True)
    assert request_key(request, None) == request_key(request)
    assert request_key(request, "one") != request_key(request)
    assert request_key(request, "one") != request_key(request, "two")
