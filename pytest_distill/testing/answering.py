"""Checks of what an engine answers to one kind of requests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pytest_distill.engines import Engine, plain
from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evals.tasks.decoding import GenerationRequest
from pytest_distill.testing import points
from pytest_distill.testing.answers import (
    Answers,
    answered,
    named,
    once_each,
    refusal,
    refuse_other,
    sound,
    taken,
)
from pytest_distill.testing.asked import Group, too_long
from pytest_distill.testing.held import ProcessResources, left_running
from pytest_distill.testing.results import Book, NotKeptError, UncheckedError, calling

UNSTEADY = "the same requests do not get the same answers twice"
_WARM = 3
"""How often something must be left running: a pool may still be growing before."""
SEEDS = (101, 102, 103, 104, 105, 106)


@dataclass
class GroupChecks:
    """Checks on one kind of requests.

    Parameters
    ----------
    engine : Engine
        What is asked.
    group : Group
        The requests.
    book : Book
        Takes down what comes of it.
    tolerance : float
        By how much log-likelihoods and probabilities may differ.
    """

    engine: Engine
    group: Group
    book: Book
    tolerance: float
    refused: str | None = field(default=None, init=False)
    """Why the engine does not do it, where it says so."""

    def first(self) -> Answers | None:
        """Return the answers to all requests; None where they are not sound, or not given."""
        asked, name = self.group.requests, self.group.name
        came = None
        with self.book.checking(points.TASKS, name), calling(named(asked)):
            try:
                came = taken(self.engine, asked)
            except ModelError as error:
                self.refused = str(error)
                raise UncheckedError(f"not offered: {error}") from None
        if came is None:
            return None
        predictions = None
        with self.book.checking(points.PREDICTIONS, name):
            predictions = sound(came, asked)
        if predictions is None:
            return None
        with self.book.checking(points.ONCE, name):
            once_each(predictions, asked)
        if self.book.is_broken(name, points.ONCE):
            return None
        return {prediction.id: prediction for prediction in predictions}

    def all(self, before: Answers) -> None:
        """Check all points that one engine can be asked for."""
        asked, name = self.group.requests, self.group.name
        with self.book.checking(points.ALIKE, name):
            alike = {asked[0].id: replace(before[asked[-1].id], id=asked[0].id)}
            refuse_other(
                f"{named(asked)}, of which the last is as the first", alike, before, self.tolerance
            )
        with self.book.checking(points.NOTHING, name):
            answered(self.engine, ())
        with self.book.checking(points.UNALTERED, name):
            self._unaltered()
        with self.book.checking(points.AGAIN, name):
            self._same(asked, before, "once more")
        if self.book.is_broken(name, points.AGAIN):
            for point in (points.BATCHES, points.CANCEL):
                with self.book.checking(point, name):
                    raise UncheckedError(UNSTEADY)
            return
        with self.book.checking(points.BATCHES, name):
            self._batches(before)
        with self.book.checking(points.CANCEL, name):
            self._cancel(before)
        if self.group.sampled:
            with self.book.checking(points.SEEDS, name):
                self._seeds()
        elif isinstance(asked[0], GenerationRequest):
            with self.book.checking(points.STOPS, name):
                self._stops(before)
            with self.book.checking(points.LIMIT, name):
                self._limit(before)

    def _same(self, requests: Sequence[Request], before: Answers, how: str) -> None:
        now = answered(self.engine, requests)
        refuse_other(f"{named(requests)}, {how}", now, before, self.tolerance)

    def _unaltered(self) -> None:
        """Hand in copies, and look at them again."""
        asked = list(self.group.requests[:2])
        given = deepcopy(asked)
        with calling(named(asked)):
            for _ in self.engine.predict(given):
                pass
        if [*map(asdict, given)] != [*map(asdict, asked)]:
            raise NotKeptError(named(asked), "other requests in the list that was handed in")

    def _batches(self, before: Answers) -> None:
        """Ask in reverse, in two mixes, and each alone."""
        asked = self.group.requests
        self._same(asked[::-1], before, "in reverse order")
        self._same(asked[1::2], before, "every second one")
        for request in asked[:-1]:
            self._same([request], before, "alone")

    def _cancel(self, before: Answers) -> None:
        """Stop after one answer, and before the first; then ask for another one."""
        asked = self.group.requests
        for _ in range(_WARM):
            running = ProcessResources.now()
            for take in (1, 0):
                with calling(f"{named(asked)}, and the iterator closed after {take} answers"):
                    answers = iter(self.engine.predict(list(asked)))
                    for _ in range(take):
                        next(answers)
                    close(answers)
                    del answers
            left = left_running(running)
            if not left:
                break
        else:
            raise NotKeptError(
                f"{named(asked)}, and the iterator closed early",
                f"still there: {', '.join(left)}",
            )
        self._same(asked[-1:], before, "after another iterator was closed early")

    def _stops(self, before: Answers) -> None:
        """Ask again with a stop string that stands inside one of the texts."""
        texts = {id: each.text for id, each in before.items() if each.text}
        stop = next(filter(None, map(_inside, texts.values())), None)
        if stop is None:
            raise UncheckedError("no text has a character inside it that could be a stop string")
        expected = {id: text.split(stop)[0] for id, text in texts.items() if text[0] != stop}
        now = answered(self.engine, self._decoded(stop=(stop,)))
        for id, text in expected.items():
            if now[id].text != text:
                raise NotKeptError(
                    f"{self.group.task} of '{id}' with stop: [{stop!r}]",
                    f"text {plain.shown(now[id].text)}, without the stop string "
                    f"{plain.shown(texts[id])}",
                )

    def _limit(self, before: Answers) -> None:
        """Ask again for at most one token."""
        now = answered(self.engine, self._decoded(max_new_tokens=1))
        for id, each in now.items():
            if each.tokens is not None and each.tokens > 1:
                raise NotKeptError(
                    f"{self.group.task} of '{id}' with max_new_tokens: 1",
                    f"{each.tokens} tokens: {plain.shown(each.text)}",
                )
        if all(each.text == before[id].text for id, each in now.items()):
            raise UncheckedError(
                "with max_new_tokens: 1 the texts are as long as before: they are short, or the "
                "engine does not read it"
            )

    def _decoded(self, **changes: Any) -> list[Request]:
        asked = [r for r in self.group.requests if isinstance(r, GenerationRequest)]
        return [replace(r, decoding=replace(r.decoding, **changes)) for r in asked]

    def _seeds(self) -> None:
        """Ask one thing by several seeds: an engine that reads none gives one text."""
        of = self.group.requests[0]
        assert isinstance(of, GenerationRequest)  # noqa: S101 (it is sampled)
        asked = [
            replace(of, id=f"seed {seed}", decoding=replace(of.decoding, seed=seed))
            for seed in SEEDS
        ]
        came = answered(self.engine, asked)
        if len({replace(each, id="") for each in came.values()}) == 1:
            raise UncheckedError(
                f"{len(SEEDS)} seeds gave one text: the model is sure of it, or the engine does "
                "not read the seed"
            )


def _inside(text: str) -> str | None:
    """Return a character that a text has, but not at its start."""
    kept = (c for c in text[1:] if c != text[0] and c.isascii() and c.isalnum())
    return next(kept, None)


def close(answers: Iterator[Prediction]) -> None:
    """Close an iterator early, where it can be closed."""
    closing = getattr(answers, "close", None)
    if closing is not None:
        closing()


def check_many(engine: Engine, group: Group, tolerance: float) -> None:
    """Ask for more than the other checks do at once, and then for some of them."""
    if not group.variants:
        raise UncheckedError(f"only {len(group.requests)} requests are given")
    many = answered(engine, group.variants)
    some = group.variants[:: len(group.variants) // 5]
    refuse_other(f"{named(some)}, before among many", answered(engine, some), many, tolerance)


def check_impossible(
    engine: Engine, group: Group, given: Request | None, before: Answers, tolerance: float
) -> None:
    """Ask for what cannot be answered, among what can: the error must name it."""
    request = given or too_long(group)
    if request is None:
        raise UncheckedError("no request is known that it cannot answer: give impossible=")
    asked = [group.requests[0], request]
    error = refusal(engine, asked)
    if error is None:
        if given is None:
            raise UncheckedError(
                "it answers a text of 600 words: give impossible=, a request that it cannot answer"
            )
        raise NotKeptError(named([request]), "an answer, and no error")
    if not isinstance(error, ModelError) or f"'{request.id}'" not in str(error):
        raise NotKeptError(named([request]), f"{type(error).__name__}: {error}")
    now = answered(engine, group.requests[:1])
    refuse_other(f"{named(group.requests[:1])}, after an error", now, before, tolerance)
