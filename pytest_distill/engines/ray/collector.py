"""The small actor that takes predictions from the actors of the model, and hands them to the run.

It stays on the run's own node and needs no CPU. What reached it is not lost with a node, and it
knows which examples were begun and never ended.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from pytest_distill import errors
from pytest_distill._util.user_code import said
from pytest_distill.errors import DistillError, ModelError

TRIES = 3
"""How often an example is begun before it is given up."""
MOST_WAITING = 1_024
"""Predictions that wait for the run; where there are more, the actors wait."""
MOST_AT_ONCE = 256
"""Predictions that the run takes at once."""


@dataclass(frozen=True, slots=True)
class Worker:
    """An actor of the model.

    Parameters
    ----------
    id : str
        Ray's own; the same after Ray started it anew.
    node, name : str
        Ray's name of its node, and the node's address.
    """

    id: str
    node: str
    name: str


@dataclass(frozen=True, slots=True)
class Order:
    """What an actor is to do with the requests that it was given.

    Parameters
    ----------
    stop : bool
        Nothing: the run needs no more.
    done : frozenset of str
        Ids that were answered before.
    alone : bool
        Ask the others one by one, each announced: one of them may have ended an actor.
    """

    stop: bool = False
    done: frozenset[str] = frozenset()
    alone: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong in an actor.

    Parameters
    ----------
    kind : str
        Name of the error's class, one of `errors`.
    text : str
        What it says.
    """

    kind: str
    text: str

    @classmethod
    def of(cls, error: BaseException, who: str) -> Failure:
        """Return what is told of an error; `who` raised it, where it is none of ours."""
        if isinstance(error, DistillError):
            kinds = (kind.__name__ for kind in type(error).__mro__)
            ours = next(name for name in kinds if hasattr(errors, name))
            return cls(ours, str(error))
        return cls(ModelError.__name__, f"{who} {said(error)}")

    def error(self) -> DistillError:
        """Return the error."""
        kind: type[DistillError] = getattr(errors, self.kind)
        return kind(self.text)


@dataclass(frozen=True, slots=True)
class News:
    """What the run is told.

    Parameters
    ----------
    answers : list of bytes
        Predictions, pickled.
    failure : Failure, optional
        Why there will be no more.
    loading, busy : frozenset of str
        Nodes that have an actor which loads its model, or answers, as far as was heard.
    ready : int
        How many actors answered something.
    homes : frozenset of str
        Nodes that had an actor.
    answering : int
        On how many nodes the actors were that answered something.
    begun_anew : int
        How often Ray started an actor anew.
    asked_again : int
        How many examples were begun more than once.
    notes : tuple of str
        What the engines of the actors say of their answers.
    devices : tuple of str
        What their models lie on.
    """

    answers: list[bytes]
    failure: Failure | None
    loading: frozenset[str]
    busy: frozenset[str]
    ready: int
    homes: frozenset[str]
    answering: int
    begun_anew: int
    asked_again: int
    notes: tuple[str, ...]
    devices: tuple[str, ...]


@dataclass(slots=True)
class _State:
    """What was heard of one actor."""

    worker: Worker
    loading: bool = True
    busy: bool = False
    answered: bool = False
    in_vain: int = 0
    """How often it ended in a row before its model could be asked."""


@dataclass(eq=False)
class Collector:
    """Takes predictions; each id once.

    Its methods are called by the actors, and by the run.

    Parameters
    ----------
    who : str
        The model, for messages.
    """

    who: str
    _waiting: deque[bytes] = field(default_factory=deque)
    _done: set[str] = field(default_factory=set)
    _begun: dict[str, int] = field(default_factory=dict)
    _states: dict[str, _State] = field(default_factory=dict)
    _notes: dict[str, None] = field(default_factory=dict)
    _devices: dict[str, None] = field(default_factory=dict)
    _homes: set[str] = field(default_factory=set)
    _answering: set[str] = field(default_factory=set)
    _begun_anew: int = 0
    _failure: Failure | None = None
    _stopped: bool = False
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def arrive(self, worker: Worker) -> bool:
        """Take note of an actor that begins to load its model; False where none is needed."""
        before = self._states.get(worker.id)
        self._states[worker.id] = state = _State(worker)
        self._homes.add(worker.node)
        if before is not None:
            self._begun_anew += 1
            state.answered = before.answered
            state.in_vain = before.in_vain + 1 if before.loading else 0
        if state.in_vain >= TRIES:
            died = f"its actor ended {TRIES} times while it was made on node {worker.name}"
            await self.fail(self._failed(f"{died}: does it need more memory than there is?"))
        return not self._stopped

    async def loaded(self, worker: Worker) -> None:
        """Take note of an actor that can be asked."""
        self._states[worker.id].loading = False

    async def begin(self, worker: Worker, ids: Sequence[str]) -> Order:
        """Return what of the requests with these ids is to be asked now, and how."""
        left = [id for id in ids if id not in self._done]
        alone = len(ids) > 1 and any(id in self._begun for id in left)
        self._states[worker.id].busy = bool(left)
        if not alone and not self._stopped:
            for id in left:
                self._begun[id] = self._begun.get(id, 0) + 1
                if self._begun[id] > TRIES:
                    await self.fail(self._given_up(id))
        return Order(self._stopped, frozenset(ids).difference(left), alone)

    async def give(
        self,
        worker: Worker,
        answers: Sequence[tuple[str, bytes]],
        notes: Sequence[str],
        device: str,
    ) -> bool:
        """Take predictions, by id; return once there is room for more. False: no more is needed."""
        state = self._states[worker.id]
        if answers:
            state.answered = True
            self._answering.add(worker.node)
        self._notes.update(dict.fromkeys(notes))
        self._devices.update(dict.fromkeys([device] if device else []))
        async with self._changed:
            for id, answer in answers:
                if id not in self._done:
                    self._done.add(id)
                    self._waiting.append(answer)
            self._changed.notify_all()
            await self._changed.wait_for(lambda: self._stopped or len(self._waiting) < MOST_WAITING)
        return not self._stopped

    async def end(self, worker: Worker, ids: Sequence[str]) -> None:
        """Take note of requests whose actor came to their end, answered or not."""
        self._states[worker.id].busy = False
        self._done.update(ids)

    async def fail(self, failure: Failure) -> None:
        """Take note of what went wrong first, and let the actors stop."""
        self._failure = self._failure or failure
        await self.stop()

    async def stop(self) -> None:
        """Let the actors stop: nothing more is needed."""
        async with self._changed:
            self._stopped = True
            self._changed.notify_all()

    async def news(self, seconds: float) -> News:
        """Return what there is to tell, after at most so many seconds."""
        async with self._changed:
            try:
                async with asyncio.timeout(seconds):
                    await self._changed.wait_for(
                        lambda: bool(self._waiting or self._failure or self._stopped)
                    )
            except TimeoutError:
                pass
            count = min(len(self._waiting), MOST_AT_ONCE)
            answers = [self._waiting.popleft() for _ in range(count)]
            self._changed.notify_all()
        states = self._states.values()
        return News(
            answers,
            self._failure,
            frozenset(state.worker.node for state in states if state.loading),
            frozenset(state.worker.node for state in states if state.busy),
            sum(state.answered for state in states),
            frozenset(self._homes),
            len(self._answering),
            self._begun_anew,
            sum(count > 1 for count in self._begun.values()),
            tuple(self._notes),
            tuple(self._devices),
        )

    def _given_up(self, id: str) -> Failure:
        died = f"its actor ended {TRIES} times while it answered example '{id}'"
        if any(state.answered for state in self._states.values()) or self._waiting:
            why = (
                "that example is given up: it may need more memory than an actor has, or end the "
                "process; leave it out of the gold set, or give actors more room"
            )
        else:
            why = (
                "no actor answered anything: the model could not be loaded, or ended its process "
                "at the first example (out of memory?)"
            )
        return self._failed(f"{died}, and {why}")

    def _failed(self, why: str) -> Failure:
        return Failure(ModelError.__name__, f"{self.who}: {why}")
