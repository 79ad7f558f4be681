"""Checks of what the store relies on: what it finds an answer by, and runs that broke off."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from pytest_distill.engines import Engine
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evaluation.plain_predictions import plain_prediction
from pytest_distill.evaluation.store.keeping import Keeper, Predict
from pytest_distill.testing.answering import close
from pytest_distill.testing.answers import Answers, named, once_each, quoted, refuse_other, sound
from pytest_distill.testing.asked import Group
from pytest_distill.testing.identity import dated, identity
from pytest_distill.testing.results import NotKeptError, UncheckedError, calling


class _BrokeOffError(Exception):
    """Stands for what ends a run in the middle."""


class Interrupted:
    """Runs that break off in the middle and are resumed, through the store of a folder."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._whys: list[str] = []

    def close(self) -> None:
        """Remove the folder."""
        self._folder.cleanup()

    def break_off(self, engine: Engine, group: Group, *, by_error: bool) -> list[str]:
        """Run until half the answers are there; return the ids that were answered."""
        got: list[str] = []
        half = max(1, (len(group.requests) - 1) // 2)

        def predict(missing: Sequence[Request]) -> Iterator[Prediction]:
            answers = iter(engine.predict(list(missing)))
            for prediction in answers:
                got.append(prediction.id)
                yield plain_prediction(prediction, "a prediction")
                if len(got) == half:
                    break
            if not by_error:
                close(answers)
            raise _BrokeOffError

        with calling(named(group.requests)):
            try:
                self._evaluate(engine, group, predict)
            except _BrokeOffError:
                return got
        raise NotKeptError(named(group.requests), "no answer at all")

    def resume(
        self, engine: Engine, group: Group, got: Sequence[str], before: Answers, tolerance: float
    ) -> None:
        """Run again in another object, and compare with an uninterrupted run."""
        again: list[str] = []

        def predict(missing: Sequence[Request]) -> Iterator[Prediction]:
            again.extend(request.id for request in missing)
            came = []
            for prediction in engine.predict(list(missing)):
                came.append(plain_prediction(prediction, "a prediction"))
                yield came[-1]
            once_each(sound(came, missing), missing)

        asked = f"{named(group.requests)}, after a run that broke off"
        with calling(asked):
            found = self._evaluate(engine, group, predict)
        if not again:
            raise UncheckedError("too few requests to break off among them")
        if twice := [id for id in again if id in got]:
            raise NotKeptError(
                asked, f"{quoted(twice)} asked for once more, though the store has it"
            )
        once_each(found, group.requests)
        refuse_other(asked, {each.id: each for each in found}, before, tolerance)

    def _evaluate(self, engine: Engine, group: Group, predict: Predict) -> list[Prediction]:
        prompts = dated(engine, group.requests)
        identity_now: Mapping[str, Any] = identity(engine)
        folder = Path(self._folder.name)
        keeper = Keeper(folder, warn=self._whys.append, tell=lambda _: None)
        with closing(keeper):
            found = keeper.evaluate(group.name, identity_now, group.requests, predict, prompts)
        if self._whys:
            raise UncheckedError(f"the store cannot be used: {self._whys[0]}")
        return found.predictions
