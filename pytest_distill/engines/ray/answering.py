"""What an actor of the cluster does: hold the model, and hand on each prediction as it is made."""

from __future__ import annotations

import pickle
import queue
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pytest_distill._util.user_code import is_ours, raised
from pytest_distill.engines import Identified, plain
from pytest_distill.engines.ray.collector import Failure, Order, Worker
from pytest_distill.engines.ray.library import ray
from pytest_distill.engines.unread import refuse_unread, watched
from pytest_distill.errors import EvaluationError, ModelError, one_line
from pytest_distill.evals.requests import Prediction, Request

_MOST_UNSENT = 256
"""Predictions that wait in an actor to be sent."""
REQUEST = "request"
"""The column that holds the requests, pickled."""


@dataclass(frozen=True, slots=True)
class Work:
    """What an actor is made with.

    Parameters
    ----------
    who : str
        The model, for messages.
    version : str
        Of pytest-distill where the run is.
    paths : tuple of str
        Where the run looks for modules: an engine may be the project's own.
    engine : bytes
        The class of the model's engine and its spec, pickled.
    identity : mapping, optional
        What makes the answers where the run is.
    """

    who: str
    version: str
    paths: tuple[str, ...]
    engine: bytes
    identity: Mapping[str, Any] | None
    shipped: Path | None
    """The folder that lies in the actors' working directories."""


class Answers:
    """Answers blocks of requests; Ray Data makes one in each actor.

    Whatever goes wrong is told to the collector and raised by the run: to Ray all is well, so that
    it neither tries again nor prints anything.
    """

    def __init__(self, work: Work, collector: Any) -> None:
        self._work = work
        self._me = _here()
        self._post = _Post(collector, self._me)
        self._engine: Any = None
        with self._told():
            if self._post.ask("arrive"):
                self._engine = self._made()
                self._post.engine = self._engine
                self._post.ask("loaded")

    def __call__(self, block: Any) -> Any:
        """Answer one block of requests: a table with a column of pickled ones."""
        if self._engine is not None:
            with self._told():
                self._answer([pickle.loads(row) for row in block[REQUEST].to_pylist()])  # noqa: S301
        return block.slice(0, 0)

    def _made(self) -> Any:
        """Return the engine; ModelError where its answers would be others than the run's own."""
        here = own_version()
        if here != self._work.version:
            raise self._other("pytest-distill", here, self._work.version)
        sys.path += [path for path in self._work.paths if path not in sys.path]
        kind, spec = pickle.loads(self._work.engine)  # noqa: S301
        shipped = self._work.shipped
        folder = Path(moved(str(spec.folder.resolve()), shipped))
        engine = kind(replace(spec, path=moved(spec.path, shipped), folder=folder))
        if self._work.identity is not None and isinstance(engine, Identified):
            for key, ours, theirs in differing(
                plain.json_able(engine.identity), self._work.identity
            ):
                raise self._other(key, ours, theirs)
        return engine

    def _other(self, key: str, here: object, there: object) -> ModelError:
        return ModelError(
            f"{self._work.who}: {key} is {plain.shown(here)} on node {self._me.name} and "
            f"{plain.shown(there)} where the run is, so that their answers are not of one model: "
            "put the same files and packages on every node"
        )

    def _answer(self, requests: Sequence[Request]) -> None:
        ids = [request.id for request in requests]
        order: Order = self._post.ask("begin", ids)
        left = [request for request in requests if request.id not in order.done]
        if order.alone:
            for request in left:
                if order.stop:
                    return
                order = self._post.ask("begin", [request.id])
                self._predict([request], order)
        else:
            self._predict(left, order)

    def _predict(self, requests: Sequence[Request], order: Order) -> None:
        if order.stop or not requests:
            return
        who = f"the engine of {self._work.who}"
        seen: set[str] = set()
        foreign = not is_ours(self._engine)
        asked = watched(requests) if foreign else requests
        for prediction in self._engine.predict(asked):
            if not isinstance(prediction, Prediction):
                raise EvaluationError(f"{who} gave {prediction!r}, not a Prediction")
            if prediction.id in seen:
                raise EvaluationError(f"{who} gave two predictions for example '{prediction.id}'")
            if foreign and not seen:
                refuse_unread(asked, who)
            seen.add(prediction.id)
            if not self._post.give(prediction):
                return
        self._post.sent()
        self._post.ask("end", [request.id for request in requests])

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Let the run raise what the block raises."""
        try:
            yield
        except BaseException as error:  # noqa: BLE001 (also what ends a process, as sys.exit)
            who = f"the engine of {self._work.who}, on node {self._me.name},"
            self._post.sent()
            self._post.ask("fail", Failure.of(error, who), signed=False)


class _Post:
    """Carries predictions to the collector in a thread of its own: the model goes on meanwhile."""

    def __init__(self, collector: Any, me: Worker) -> None:
        self.engine: Any = None
        self._collector = collector
        self._me = me
        self._unsent: queue.Queue[tuple[str, bytes]] = queue.Queue(_MOST_UNSENT)
        self._goes_on = True
        threading.Thread(target=self._carry, name="distill-predictions", daemon=True).start()

    def ask(self, what: str, *arguments: Any, signed: bool = True) -> Any:
        """Return what the collector says."""
        signature = [self._me] if signed else []
        return ray().get(getattr(self._collector, what).remote(*signature, *arguments))

    def give(self, prediction: Prediction) -> bool:
        """Hand on a prediction, and wait where too many are unsent; False where none is needed."""
        try:
            packed = pickle.dumps(prediction)
        except Exception as error:  # noqa: BLE001 (of a value of the user's)
            raise EvaluationError(
                f"the prediction for example {plain.quoted(prediction.id)} cannot be sent: to "
                f"pickle it {raised(error)}"
            ) from None
        self._unsent.put((prediction.id, packed))
        return self._goes_on

    def sent(self) -> None:
        """Wait until all is sent."""
        self._unsent.join()

    def _carry(self) -> None:
        while True:
            first = self._unsent.get()
            several = [first, *(self._unsent.get() for _ in range(self._unsent.qsize()))]
            try:
                notes = [str(note) for note in getattr(self.engine, "notes", ())]
                device = str(dict(getattr(self.engine, "placement", ())).get("device", ""))
                self._goes_on = self._goes_on and self.ask("give", several, notes, device)
            except BaseException:  # noqa: BLE001 (the run has ended, or will)
                self._goes_on = False
            finally:
                for _ in several:
                    self._unsent.task_done()


def own_version() -> str:
    """Return the version of pytest-distill; empty where it is not installed."""
    try:
        return version("pytest-distill")
    except PackageNotFoundError:
        return ""


def differing(here: Any, there: Any, at: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield where two JSON-able values differ, and what stands there; None where nothing does."""
    if isinstance(here, Mapping) and isinstance(there, Mapping):
        for key in dict.fromkeys([*here, *there]):
            inner = f"{at}.{key}" if at else str(key)
            yield from differing(here.get(key), there.get(key), inner)
    elif here != there:
        yield at, here, there


def _here() -> Worker:
    """Return which actor this is."""
    context = ray().get_runtime_context()
    return Worker(
        str(context.get_actor_id()),
        str(context.get_node_id()),
        one_line(str(ray("util").get_node_ip_address())),
    )


def moved(path: str, folder: Path | None) -> str:
    """Return where a path is in an actor: what lies in `folder` lies in its working directory."""
    if folder is None or not path:
        return path
    try:
        return str(Path.cwd() / Path(path).relative_to(folder))
    except ValueError:
        return path
