"""Ask the store first and the engine for the rest, one process at a time."""

from __future__ import annotations

import os
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from pytest_distill.engines import ModelInfo, sha256_of
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evaluation.digest import request_key, run_key
from pytest_distill.evaluation.store import FILE_NAME, DamagedStoreError, Store
from pytest_distill.files import make_folder

Predict = Callable[[Sequence[Request]], Iterator[Prediction]]
BIG_FILE = 10_000_000
"""Bytes from which on a file's digest is worth remembering."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The predictions of one evaluation.

    Parameters
    ----------
    predictions : list of Prediction
        In any order.
    from_store : int
        How many examples were not evaluated anew.
    """

    predictions: list[Prediction]
    from_store: int


class Figure(NamedTuple):
    """What was measured, when (seconds since 1970), and whether that was before this run."""

    value: Any
    made: float
    earlier: bool = False


class Keeper:
    """The store of one project, for as long as it can be used.

    Parameters
    ----------
    folder : Path
        Where the store is; made when it is first needed.
    since : float
        Evaluate anew what was stored before, in seconds since 1970.
    started : float, optional
        When the run started, of which this process may be one of several; now by default.
    warn : callable
        Told, once each, why the store was set aside or is not used.
    tell : callable
        Told for whom this process waits.
    """

    def __init__(
        self,
        folder: Path,
        *,
        since: float = 0.0,
        started: float | None = None,
        warn: Callable[[str], None],
        tell: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._since = since
        self._warn = warn
        self._tell = tell
        self._store: Store | None = None
        self._usable = True
        self._started = time.time() if started is None else started

    def evaluate(
        self, who: str, identity: Mapping[str, Any], requests: Sequence[Request], predict: Predict
    ) -> Kept:
        """Return a prediction for every request, evaluating what the store lacks.

        Parameters
        ----------
        who : str
            Model and eval, for whoever must wait.
        identity : mapping
            The model's digest and the settings that it runs under.
        requests : sequence of Request
            Requests that ask the same are evaluated once.
        predict : callable
            Runs the engine.
        """
        run = run_key(identity)
        keys = {request.id: request_key(request) for request in requests}
        found = self._read(run, list(dict.fromkeys(keys.values())))
        missing = _first_of_each(requests, keys, found)
        if not missing:
            return _kept(requests, keys, found, {}, [])
        with self._alone(run, who):
            # Somebody else may have been at it meanwhile.
            found |= self._read(run, [keys[request.id] for request in missing])
            missing = _first_of_each(requests, keys, found)
            made, odd = self._make(run, missing, keys, predict)
        return _kept(requests, keys, found, made, odd)

    def info(self, identity: Mapping[str, Any], describe: Callable[[], ModelInfo]) -> ModelInfo:
        """Return what is known of a model, from the store where it was evaluated before."""
        run = run_key(identity)
        known: ModelInfo | None = self._try(lambda store: store.info(run))
        if known is not None:
            return known
        info = replace(describe(), path=None)  # the same model may lie elsewhere next time
        self._try(lambda store: store.add_run(run, identity, info))
        return info

    def figure(self, about: Mapping[str, Any], measure: Callable[[], Any]) -> Figure:
        """Return a figure; measured where it is not stored.

        Parameters
        ----------
        about : mapping
            What is measured, of which models, on which device and how: all that it hangs on.
        measure : callable
            Gives the figure, JSON-able.
        """
        key = run_key(about)
        known: tuple[Any, float] | None = self._try(lambda store: store.figure(key, self._since))
        if known is not None:
            value, made = known
            return Figure(value, made, made < self._started)
        new = Figure(measure(), time.time())
        self._try(lambda store: store.add_figure(key, new.value, new.made))
        return new

    def hash_file(self, path: Path) -> str:
        """Return a file's SHA-256, remembered by device, inode, size and time for big files."""
        stat = path.stat()
        identity = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)
        if stat.st_size < BIG_FILE:
            return sha256_of(path)
        known: str | None = self._try(lambda store: store.file_digest(identity))
        if known is not None:
            return known
        digest = sha256_of(path)
        self._try(lambda store: store.add_file_digest(identity, digest))
        return digest

    def close(self) -> None:
        """Close the store."""
        if self._store is not None:
            self._store.close()
            self._store = None

    def _make(
        self, run: str, missing: Sequence[Request], keys: Mapping[str, bytes], predict: Predict
    ) -> tuple[dict[bytes, Prediction], list[Prediction]]:
        """Return new predictions by request, and those that answer nothing that was asked."""
        made: dict[bytes, Prediction] = {}
        odd: list[Prediction] = []
        asked = {request.id for request in missing}
        store = self._opened()
        with store.writing(run) if store else nullcontext() as writer:
            for prediction in predict(missing) if missing else ():
                key = keys.get(prediction.id)
                if key is None or prediction.id not in asked or key in made:
                    odd.append(prediction)
                    continue
                made[key] = prediction
                if writer:
                    writer.put(key, prediction)
        if writer and writer.problem is not None:
            self._give_up(f"predictions could not be stored in {self._folder}: {writer.problem}")
        return made, odd

    def _read(self, run: str, keys: Sequence[bytes]) -> dict[bytes, Prediction]:
        return self._try(lambda store: store.read(run, keys, self._since)) or {}

    def _try(self, act: Callable[[Store], Any]) -> Any:
        """Use the store where it can be used; a damaged one is set aside and begun anew."""
        store = self._opened()
        if store is None:
            return None
        try:
            return act(store)
        except DamagedStoreError as error:
            self._set_aside(error)
        except (sqlite3.Error, OSError) as error:
            self._give_up(f"the store in {self._folder} cannot be used: {error}")
        return None

    def _opened(self) -> Store | None:
        if self._store is None and self._usable:
            try:
                make_folder(self._folder)
                self._store = Store(self._folder)
            except DamagedStoreError as error:
                self._set_aside(error)
                return self._opened()
            except (sqlite3.Error, OSError) as error:
                self._give_up(f"the store in {self._folder} cannot be used: {error}")
        return self._store

    def _set_aside(self, error: DamagedStoreError) -> None:
        self.close()
        path = self._folder / FILE_NAME
        number = 1
        while (aside := self._folder / f"damaged-{number}.sqlite3").exists():
            number += 1
        for suffix in ("", "-wal", "-shm"):
            file = path.with_name(path.name + suffix)
            if file.exists():
                file.rename(aside.with_name(aside.name + suffix))
        self._warn(f"{error}; it was moved to {aside.name}, and predictions are made anew")

    def _give_up(self, why: str) -> None:
        self.close()
        self._usable = False
        self._warn(f"{why}; the run goes on without it")

    @contextmanager
    def _alone(self, run: str, who: str) -> Iterator[None]:
        """Hold the lock of a model: others of this folder wait, and say for whom."""
        if self._opened() is None:
            yield
            return
        from filelock import FileLock, Timeout

        locks = self._folder / "locks"
        locks.mkdir(exist_ok=True)
        lock = FileLock(locks / f"{run[:32]}.lock")
        holder = locks / f"{run[:32]}.txt"
        try:
            lock.acquire(timeout=0)
        except Timeout:
            self._tell(f"{who}: waiting for {_holder(holder)}")
            lock.acquire(poll_interval=0.2)
        try:
            holder.write_text(f"process {os.getpid()} on {socket.gethostname()} ({who})")
            yield
        finally:
            lock.release()


def _first_of_each(
    requests: Sequence[Request], keys: Mapping[str, bytes], found: Mapping[bytes, Prediction]
) -> list[Request]:
    """Return one request for every thing to ask that has no prediction yet."""
    first: dict[bytes, Request] = {}
    for request in requests:
        if keys[request.id] not in found:
            first.setdefault(keys[request.id], request)
    return list(first.values())


def _kept(
    requests: Sequence[Request],
    keys: Mapping[str, bytes],
    found: Mapping[bytes, Prediction],
    made: Mapping[bytes, Prediction],
    odd: list[Prediction],
) -> Kept:
    everything = {**found, **made}
    predictions = [
        replace(everything[keys[request.id]], id=request.id)
        for request in requests
        if keys[request.id] in everything
    ]
    from_store = sum(1 for request in requests if keys[request.id] in found)
    return Kept([*predictions, *odd], from_store)


def _holder(path: Path) -> str:
    try:
        return path.read_text() or "another process"
    except OSError:
        return "another process"
