"""The checks of an engine, in their order."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pytest_distill.engines import Engine
from pytest_distill.evals.request_keys import request_key
from pytest_distill.evals.requests import Request
from pytest_distill.testing import points
from pytest_distill.testing.answering import UNSTEADY, GroupChecks, check_impossible, check_many
from pytest_distill.testing.answers import Answers, answered, named, refuse_other
from pytest_distill.testing.asked import Group
from pytest_distill.testing.held import LEAST, SEES_ALL, ProcessResources, bytes_held, left_running
from pytest_distill.testing.identity import (
    NO_IDENTITY,
    check_bytes,
    check_dated,
    check_elsewhere,
    check_info,
    check_notes,
    check_options,
    check_other,
    check_unloaded,
    dated,
    identity,
    info,
    refuse_other_identity,
)
from pytest_distill.testing.reading import check_read, check_watched
from pytest_distill.testing.results import Book, NotKeptError, UncheckedError, calling
from pytest_distill.testing.storing import Interrupted
from pytest_distill.testing.subject import Subject


@dataclass
class ContractChecks:
    """The checks in their order: the engine's objects are made one after another.

    Parameters
    ----------
    subject : Subject
        The engine and its entry.
    tolerance : float
        By how much numbers may differ.
    """

    subject: Subject
    tolerance: float
    book: Book = field(default_factory=Book)
    began: datetime = field(default_factory=datetime.now)
    answers: dict[str, Answers] = field(default_factory=dict)
    offered: list[Group] = field(default_factory=list)
    refused: list[tuple[Group, str]] = field(default_factory=list)
    dated: dict[str, dict[str, str]] = field(default_factory=dict)
    identity: dict[str, Any] | None = None
    held: int | None = None
    loaded: int = 0

    def ask(self, groups: Sequence[Group], tasks: Collection[str], given: Request | None) -> None:
        """Ask a first object for everything, and close it.

        Parameters
        ----------
        tasks : collection of str
            The tasks that the user says it does.
        given : Request, optional
            A request that it cannot answer.
        """
        engine = self._start()
        with self.book.checking(points.IDENTITY):
            self.identity = identity(engine)
        if self.identity is not None:
            self.held = bytes_held(engine)
        before = None
        with self.book.checking(points.INFO):
            before = info(engine)
        for group in groups:
            checks = GroupChecks(engine, group, self.book, self.tolerance)
            found = checks.first()
            if checks.refused is not None:
                self.refused.append((group, checks.refused))
            if found is not None:
                self.offered.append(group)
                self.answers[group.name] = found
                checks.all(found)
                self._check_read(engine, group)
        self._refuse_unoffered(tasks)
        for group in self._one_a_task():
            with self.book.checking(points.MANY, group.name):
                check_many(engine, group, self.tolerance)
            of = given if isinstance(given, type(group.requests[0])) else None
            with self.book.checking(points.IMPOSSIBLE, group.name):
                check_impossible(engine, group, of, self.answers[group.name], self.tolerance)
        self.loaded = bytes_held(engine)
        with self.book.checking(points.UNLOADED):
            check_unloaded(self.held, self.loaded)
        if before is not None:
            with self.book.checking(points.INFO):
                check_info(before, info(engine))
        with self.book.checking(points.NOTES):
            check_notes(engine)
        if self.identity is not None:
            with self.book.checking(points.IDENTITY):
                asked = "identity after predict()"
                refuse_other_identity(asked, identity(engine, asked), self.identity)
        for group in self.offered:
            with suppress(NotKeptError):  # told of the two objects that are compared
                self.dated[group.name] = dated(engine, group.requests)
        self._close(engine)

    def compare_objects(self) -> None:
        """Ask two more objects, of a run of another day: its runs break off, and are resumed."""
        later = self.began + timedelta(days=400)
        with closing(Interrupted()) as runs:
            second = self._another(later)
            if second is None:
                return
            answers, prompts, got = self._second(second, runs)
            self._close(second)
            running = ProcessResources.now()
            third = self._another(later)
            if third is None:
                return
            with self.book.checking(points.DATED):
                check_dated(third, self.offered, prompts)
            for group in self.offered:
                with self.book.checking(points.RESUME, group.name):
                    if group.name not in answers or group.name not in got:
                        raise UncheckedError(self._why_not_stored(group))
                    of = answers[group.name]
                    runs.resume(third, group, got[group.name], of, self.tolerance)
            self._check_close(third, running)

    def say(self, other: Mapping[str, Any] | None, *, elsewhere: bool) -> None:
        """Check what an engine says that is not asked for answers."""
        self._say_as_another()
        with self.book.checking(points.OPTIONS):
            check_options(self.subject, self._start)
        with self.book.checking(points.ELSEWHERE):
            known = self._known_identity
            if not elsewhere:
                raise UncheckedError("elsewhere=False")
            check_elsewhere(self.subject, known)
        with self.book.checking(points.BYTES):
            check_bytes(self.subject, self._known_identity, self._start)
        with self.book.checking(points.OTHER):
            known = self._known_identity
            if other is None:
                raise UncheckedError("give other=, keys with values that change an answer")
            check_other(known, other, self._start)

    @property
    def _known_identity(self) -> dict[str, Any]:
        """The engine's identity; UncheckedError where it has none."""
        if self.identity is None:
            raise UncheckedError(NO_IDENTITY)
        return self.identity

    def _say_as_another(self) -> None:
        """Check an object of another name, role and worker, which is not asked for answers."""
        asked = "the entry under another name and role, in another worker"
        another = None
        with self.book.checking(points.MADE), calling(asked):
            another = self.subject.as_another(self.began)
        if another is None:
            return
        if self.identity is not None:
            asked = f"identity of {asked}"
            with self.book.checking(points.IDENTITY):
                refuse_other_identity(asked, identity(another, asked), self.identity)
        with self.book.checking(points.CLOSE), calling("close() before anything was asked"):
            another.close()

    def _second(
        self, engine: Engine, runs: Interrupted
    ) -> tuple[dict[str, Answers], dict[str, dict[str, str]], dict[str, list[str]]]:
        """Compare an object of another day with the first, and let its runs break off.

        Returns
        -------
        tuple
            Of each group its answers, its dated prompts, and the ids that the runs got.
        """
        answers: dict[str, Answers] = {}
        prompts: dict[str, dict[str, str]] = {}
        got: dict[str, list[str]] = {}
        if self.identity is not None:
            with self.book.checking(points.IDENTITY):
                asked = "identity of another object of the entry"
                refuse_other_identity(asked, identity(engine, asked), self.identity)
        for number, group in enumerate(self.offered):
            name = group.name
            with suppress(NotKeptError):  # told of the third object
                prompts[name] = dated(engine, group.requests)
            with self.book.checking(points.OBJECTS, name):
                if self._why_not_stored(group):
                    raise UncheckedError(self._why_not_stored(group))
                answers[name] = answered(engine, group.requests)
                same = self._found_by_the_same(group, prompts.get(name, {}))
                now = {request.id: answers[name][request.id] for request in same}
                refuse_other(
                    f"{named(group.requests)}, of another object, whose run began on another day",
                    now,
                    self.answers[name],
                    self.tolerance,
                )
            if name in answers:
                with self.book.checking(points.RESUME, name):
                    got[name] = runs.break_off(engine, group, by_error=number % 2 == 1)
        return answers, prompts, got

    def _found_by_the_same(self, group: Group, prompts: Mapping[str, str]) -> list[Request]:
        """Return the requests that the store finds by the same key on another day."""
        before = self.dated.get(group.name, {})
        return [
            request
            for request in group.requests
            if request_key(request, prompts.get(request.id))
            == request_key(request, before.get(request.id))
        ]

    def _why_not_stored(self, group: Group) -> str:
        """Return why nothing is said of answers that are stored; the empty text where it is."""
        if self.identity is None:
            return NO_IDENTITY
        if self.book.is_broken(group.name, points.AGAIN):
            return UNSTEADY
        return ""

    def _check_read(self, engine: Engine, group: Group) -> None:
        """Check that nothing of a request is left unread."""
        with self.book.checking(points.READ, group.name):
            if self.book.is_broken(group.name, points.AGAIN):
                raise UncheckedError(UNSTEADY)
            if group.talks:
                check_watched(engine, group)
            else:
                check_read(engine, group, self.answers[group.name], self.tolerance)

    def _check_close(self, engine: Engine, running: ProcessResources) -> None:
        """Close an engine twice; look at what it holds and has running then."""
        if not SEES_ALL:
            with self.book.checking(points.CLOSE):
                raise UncheckedError("this system does not tell of processes and sockets")
        with self.book.checking(points.CLOSE):
            with calling("close()"):
                engine.close()
            with calling("close() a second time"):
                engine.close()
            held = bytes_held(engine)
            if self.loaded >= LEAST and held >= self.loaded / 2:
                raise NotKeptError(
                    "close()", f"it still holds {held:,} of {self.loaded:,} bytes of arrays"
                )
            if left := left_running(running):
                raise NotKeptError("close()", f"still there: {', '.join(left)}")

    def _close(self, engine: Engine) -> None:
        with self.book.checking(points.CLOSE), calling("close()"):
            engine.close()

    def _start(
        self, changes: Mapping[str, Any] | None = None, began: datetime | None = None
    ) -> Engine:
        return self.subject.start(began or self.began, changes)

    def _another(self, began: datetime) -> Engine | None:
        """Return a new object of the entry; None where it cannot be made."""
        with self.book.checking(points.MADE), calling("another object of the entry"):
            return self._start(began=began)
        return None

    def _one_a_task(self) -> list[Group]:
        """Return the first group of each task that is offered."""
        return list({group.task: group for group in reversed(self.offered)}.values())[::-1]

    def _refuse_unoffered(self, tasks: Collection[str]) -> None:
        """Take down that a task that must be offered is not, or that none is."""
        offered = {group.task for group in self.offered}
        told = {group.task: why for group, why in self.refused}
        for task in tasks:
            if task in told and task not in offered:
                with self.book.checking(points.TASKS, task):
                    raise NotKeptError(f"{task}, which the test says that it does", told[task])
        if not tasks and told and not self.offered and not self.book.broken:
            with self.book.checking(points.TASKS):
                raise NotKeptError(f"{', '.join(told)}", next(iter(told.values())))
