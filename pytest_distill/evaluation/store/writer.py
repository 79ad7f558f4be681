"""Predictions written as they are made, and the JSON that they are stored as."""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from pytest_distill.evals.requests import Prediction, ToolCall
from pytest_distill.evaluation.store.sqlite import FAILURES, checksum, connect, error_of

_ANSWER = tuple(field.name for field in fields(Prediction) if field.name != "id")


class Writer:
    """Writes predictions in a thread of its own, so that each is safe while the next is computed.

    One transaction holds what came in meanwhile: a crash loses what was finished within the last
    few milliseconds at most. When the disk is full the rows before stay, and `problem` says so.
    """

    def __init__(self, path: Path, run: str, session: int) -> None:
        self.problem: Exception | None = None
        self._path = path
        self._run = run
        self._session = session
        self._queue: queue.SimpleQueue[tuple[bytes, Prediction] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="distill-store", daemon=True)
        self._thread.start()

    def put(self, request: bytes, prediction: Prediction) -> None:
        """Keep one prediction."""
        self._queue.put((request, prediction))

    def close(self) -> None:
        """Wait until everything is written."""
        self._queue.put(None)
        self._thread.join()

    def _work(self) -> None:
        try:
            connection = connect(self._path)
        except FAILURES as error:
            self.problem = error_of(self._path, error)
            connection = None
        closing = False
        while not closing:
            batch = [self._queue.get()]
            while not self._queue.empty():
                batch.append(self._queue.get())
            closing = None in batch
            rows = [self._row(*given) for given in batch if given is not None]
            if connection is not None and rows and self.problem is None:
                try:
                    with connection:
                        connection.executemany(
                            "INSERT OR REPLACE INTO predictions VALUES (?, ?, ?, ?, ?, ?)", rows
                        )
                except FAILURES as error:
                    self.problem = error_of(self._path, error)
        if connection is not None:
            connection.close()

    def _row(self, request: bytes, prediction: Prediction) -> tuple[Any, ...]:
        answer = json.dumps(prediction_fields(prediction))
        values = (self._run, request, answer, time.time(), self._session)
        return *values, checksum(*values)


def prediction_fields(prediction: Prediction) -> dict[str, Any]:
    """Return the fields that are there, without the id."""
    # asdict would copy every value of very many predictions.
    found = {name: v for name in _ANSWER if (v := getattr(prediction, name)) is not None}
    if prediction.tool_calls is not None:
        found["tool_calls"] = [asdict(call) for call in prediction.tool_calls]
    return found


def prediction_from(answer: Mapping[str, Any]) -> Prediction:
    """Return the prediction of `prediction_fields`, its id left empty."""
    values: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in answer.items()}
    if "tool_calls" in values:
        values["tool_calls"] = tuple(ToolCall(**call) for call in values["tool_calls"])
    return Prediction(id="", **values)
