"""Ask the store first and the engine for the rest, one process at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any

from pytest_distill._util.locks import locked
from pytest_distill.engines import FileDigests, ModelInfo
from pytest_distill.engines.file_digests import Remembered
from pytest_distill.evals.request_keys import canonical_sha256, request_key
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evaluation.store.stored import EvaluatedPredictions, StoredFigure
from pytest_distill.evaluation.store.usable import UsableStore

Predict = Callable[[Sequence[Request]], Iterator[Prediction]]
BIG_FILE = 10_000_000
"""Bytes from which on a file's digest is worth remembering."""


def run_key(identity: Mapping[str, Any]) -> str:
    """Return the digest of a model's bytes and of the settings that it runs under."""
    return canonical_sha256(dict(identity)).hexdigest()


@dataclass(eq=False)
class Keeper(UsableStore):
    """What one project keeps in its store.

    Parameters
    ----------
    folder, session, refresh, warn
        As for `UsableStore`.
    tell : callable
        Told for whom this process waits.
    """

    _: KW_ONLY
    tell: Callable[[str], None]
    _looks: dict[str, set[str]] = field(default_factory=dict, init=False)

    def evaluate(
        self,
        who: str,
        identity: Mapping[str, Any],
        requests: Sequence[Request],
        predict: Predict,
        whole: Mapping[str, str] | None = None,
        before: Callable[[], None] = lambda: None,
    ) -> EvaluatedPredictions:
        """Return a prediction for every request, evaluating what the store lacks.

        Parameters
        ----------
        who : str
            Model and eval, for other processes that must wait.
        identity : mapping
            The model's digest and the settings that it runs under.
        requests : sequence of Request
            Requests that ask the same are evaluated once.
        predict : callable
            Runs the engine.
        whole : mapping, optional
            Id -> the whole prompt, of requests that do not say all of it; see `request_key`.
        before : callable
            Called where the store lacks something, before the model is locked.
        """
        run, prompts = run_key(identity), whole or {}
        alike: dict[bytes, list[Request]] = {}
        for request in requests:
            key = request_key(request, prompts.get(request.id))
            alike.setdefault(key, []).append(request)
        found = self._read(run, list(alike))
        made: dict[bytes, Prediction] = {}
        odd: list[Prediction] = []
        if len(found) < len(alike):
            before()
            with self._alone(run, who):
                # Somebody else may have been at it meanwhile.
                found |= self._read(run, [key for key in alike if key not in found])
                missing = {key: same[0] for key, same in alike.items() if key not in found}
                made, odd = self._make(run, missing, predict)
        predictions = [
            replace(prediction, id=request.id)
            for key, prediction in (found | made).items()
            for request in alike[key]
        ]
        from_store = sum(len(alike[key]) for key in found)
        return EvaluatedPredictions([*predictions, *odd], from_store)

    def info(self, identity: Mapping[str, Any], describe: Callable[[], ModelInfo]) -> ModelInfo:
        """Return what is known of a model, from the store where it was evaluated before."""
        run = run_key(identity)
        known: ModelInfo | None = self._try(lambda store: store.info(run))
        if known is not None:
            return known
        info = replace(describe(), path=None)  # the same model may lie elsewhere next time
        self._try(lambda store: store.add_run(run, identity, info))
        return info

    def figure(self, about: Mapping[str, Any], measure: Callable[[], Any]) -> StoredFigure:
        """Return a figure; measured where it is not stored.

        Parameters
        ----------
        about : mapping
            What is measured, of which models, on which device and how: all that it depends on.
        measure : callable
            Gives the figure, JSON-able.
        """
        key = run_key(about)
        known: StoredFigure | None = self._try(lambda store: store.figure(key))
        if known is not None:
            return known
        new = StoredFigure(measure(), time.time())
        self._try(lambda store: store.add_figure(key, new.value, new.made))
        return new

    def looks(self, gold: str) -> frozenset[str]:
        """Return the digests of the students that are known to have been judged on a gold set.

        The store is read once; where it cannot be used, only what `add_looks` was told is known.

        Parameters
        ----------
        gold : str
            See `Eval.gold_digest`.
        """
        if gold not in self._looks:
            self._looks[gold] = set()
            self._looks[gold].update(self._at_once(lambda store: store.looks(gold)) or ())
        return frozenset(self._looks[gold])

    def add_looks(self, gold: str, students: Iterable[str], eval: str = "") -> None:
        """Remember students that were judged on a gold set, here or as another store knew.

        Each is on disk when this returns. What is known already is not written again.

        Parameters
        ----------
        gold : str
            See `Eval.gold_digest`.
        students : iterable of str
            See `looks.checkpoint_digest`.
        eval : str
            What the gold set is called.
        """
        new = sorted({*students} - self.looks(gold))
        if new:
            self._looks[gold].update(new)
            self._at_once(lambda store: store.add_looks(gold, new, eval))

    def take_back(self, identity: Mapping[str, Any]) -> None:
        """Forget what this run has made of a model."""
        self._try(lambda store: store.take_back(run_key(identity)))

    def file_digests(self, threads: int | None = None) -> FileDigests:
        """Return what takes the digests of a model's files; those of big files are remembered."""
        remembered = Remembered(
            lambda stamp: self._try(lambda store: store.file_digest(stamp)),
            lambda stamp, digest: self._try(lambda store: store.add_file_digest(stamp, digest)),
            least=BIG_FILE,
        )
        return FileDigests(remembered, threads)

    def _make(
        self, run: str, missing: Mapping[bytes, Request], predict: Predict
    ) -> tuple[dict[bytes, Prediction], list[Prediction]]:
        """Return new predictions by request, and those that answer nothing that was asked."""
        made: dict[bytes, Prediction] = {}
        odd: list[Prediction] = []
        unanswered = {request.id: key for key, request in missing.items()}
        store = self._opened()
        with store.writing(run) if store else nullcontext() as writer:
            for prediction in predict([*missing.values()]) if missing else ():
                key = unanswered.pop(prediction.id, None)
                if key is None:
                    odd.append(prediction)
                    continue
                made[key] = prediction
                if writer:
                    writer.put(key, prediction)
        if writer and writer.problem is not None:
            self._failed(writer.problem, "predictions could not be stored in it")
        return made, odd

    def _read(self, run: str, keys: Sequence[bytes]) -> dict[bytes, Prediction]:
        return self._try(lambda store: store.read(run, keys)) or {}

    @contextmanager
    def _alone(self, run: str, who: str) -> Iterator[None]:
        """Hold the lock of a model: others of this folder wait, and say for whom.

        Where others cannot be locked out SQLite's own locks may fail as well, and two processes
        would write at once: then the store is not used.
        """
        lock = None
        try:
            if self._opened() is not None:
                lock = locked(self.folder / "locks" / run[:32], who, self.tell)
        except (OSError, NotImplementedError) as error:
            self._give_up(f"the store in {self.folder}: a model cannot be locked: {error}")
        try:
            yield
        finally:
            if lock is not None:
                lock.release()
