"""The port's contract, as one call that a test of an engine makes."""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pytest_distill.engines import Engine
from pytest_distill.engines.lookup import DEFAULT, engine_class
from pytest_distill.errors import DistillError
from pytest_distill.evals.request_keys import request_key
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.testing import points
from pytest_distill.testing.answering import UNSTEADY, Answering, check_impossible
from pytest_distill.testing.answers import (
    NUMBERS,
    Answers,
    answered,
    close,
    named,
    refuse_other,
    shown,
    sound,
)
from pytest_distill.testing.asked import Group, groups_of
from pytest_distill.testing.held import LEAST, Running, bytes_held, left_running
from pytest_distill.testing.identity import (
    NO_IDENTITY,
    check_dated,
    check_elsewhere,
    check_info,
    check_other,
    check_unloaded,
    dated,
    identity,
    info,
    refuse_other_identity,
)
from pytest_distill.testing.options import check_options
from pytest_distill.testing.results import (
    Book,
    ContractReport,
    NotKeptError,
    UncheckedError,
    calling,
)
from pytest_distill.testing.storing import Interrupted
from pytest_distill.testing.subject import NAME, Subject

Reference = Mapping[str, Any] | Callable[[Sequence[Request]], Iterable[Prediction]]


def engine_contract(
    engine: Any,
    model: Mapping[str, Any],
    *,
    tasks: Sequence[str] | None = None,
    requests: Sequence[Request] | None = None,
    reference: Reference | None = None,
    other: Mapping[str, Any] | None = None,
    impossible: Request | None = None,
    tolerance: float = 1e-3,
    elsewhere: bool = True,
) -> ContractReport:
    """Check that an engine keeps the contract of the port: call it in a test of the engine.

    Parameters
    ----------
    engine : class or str
        The engine's class, its dotted path, or the name of a built-in one.
    model : mapping
        A model's entry, as under ``models:`` in ``distill.yaml``, without ``engine``. Relative
        paths start from the current folder. Its answers must not be costly: each request is asked
        about a dozen times, of three objects of the engine.
    tasks : sequence of str, optional
        The tasks that the engine does. By default each is tried, and one that it refuses by a
        ModelError is not offered; at least one must be.
    requests : sequence of Request, optional
        What is asked, each with an id of its own; by default some short requests for each task.
    reference : mapping or callable, optional
        What log-likelihoods and probabilities are compared with: another entry (by default of the
        engine ``transformers``), or what gives the predictions of requests. By default
        ``transformers`` with the same path, where that is a checkpoint.
    other : mapping, optional
        Keys of the entry with other values, which may change an answer: identity must be another.
    impossible : Request, optional
        A request that the model cannot answer; by default one with a long text.
    tolerance : float
        By how much log-likelihoods and probabilities may differ where they should be the same,
        relative where they are above 1.
    elsewhere : bool
        Whether another process is started, to see whether identity is the same there.

    Returns
    -------
    ContractReport
        What was checked, and what could not be and why: that is no pass. ``print`` shows it.

    Raises
    ------
    AssertionError
        With every point that is not kept: what was asked, what came, and what the port says.
    ConfigError
        Where the entry or an argument is wrong.
    """
    __tracebackhide__ = True
    subject = Subject(engine, model)
    groups = groups_of(requests, tasks)
    contract = _Contract(subject, tolerance)
    stated = tasks is not None or requests is not None
    contract.ask(groups, [group.task for group in groups] if stated else [], impossible)
    contract.compare_objects()
    contract.say(other, elsewhere=elsewhere)
    contract.hold_against(_reference(subject, reference))
    return contract.book.report(subject.name)


@dataclass
class _Contract:
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
            checks = Answering(engine, group, self.book, self.tolerance)
            found = checks.first()
            if checks.refused is not None:
                self.refused.append((group, checks.refused))
            if found is not None:
                self.offered.append(group)
                self.answers[group.name] = found
                checks.all(found)
        self._refuse_unoffered(tasks)
        for group in self._one_a_task():
            of = given if isinstance(given, type(group.requests[0])) else None
            with self.book.checking(points.IMPOSSIBLE, group.name):
                check_impossible(engine, group, of, self.answers[group.name])
        self.loaded = bytes_held(engine)
        with self.book.checking(points.UNLOADED):
            check_unloaded(self.held, self.loaded)
        if before is not None:
            with self.book.checking(points.INFO):
                check_info(before, info(engine))
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
            second = self._start(later)
            answers, prompts, got = self._second(second, runs)
            self._close(second)
            running = Running.now()
            third = self._start(later)
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
        with self.book.checking(points.OPTIONS):
            check_options(self.subject, lambda changes: self._start(changes=changes))
        with self.book.checking(points.ELSEWHERE):
            if self.identity is None:
                raise UncheckedError(NO_IDENTITY)
            if not elsewhere:
                raise UncheckedError("elsewhere=False")
            check_elsewhere(self.subject, self.identity)
        with self.book.checking(points.OTHER):
            if self.identity is None:
                raise UncheckedError(NO_IDENTITY)
            if other is None:
                raise UncheckedError("give other=, keys with values that change an answer")
            engine = self._start(changes=other)
            check_other(engine, self.identity, other)
            engine.close()

    def hold_against(self, reference: Reference | None) -> None:
        """Compare numbers with those of a reference."""
        groups = [group for group in self.offered if self._has_numbers(group)]
        if reference is None or not groups:
            with self.book.checking(points.REFERENCE):
                raise UncheckedError(
                    "none of its answers has log-likelihoods or probabilities"
                    if not groups
                    else "give reference=, an entry or what gives predictions"
                )
            return
        with ExitStack() as stack:
            predict = reference
            if isinstance(predict, Mapping):
                entry = {"engine": DEFAULT, **predict}
                subject = Subject(entry.pop("engine"), entry)
                predict = stack.enter_context(closing(subject.start(self.began))).predict
            for group in groups:
                with self.book.checking(points.REFERENCE, group.name):
                    self._compare(group, predict)

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

    def _check_close(self, engine: Engine, running: Running) -> None:
        """Close an engine twice; look at what it holds and has running then."""
        with self.book.checking(points.CLOSE):
            with calling("close()"):
                engine.close()
            with calling("close() a second time"):
                engine.close()
            gc.collect()
            held = bytes_held(engine)
            if self.loaded >= LEAST and held >= self.loaded / 2:
                raise NotKeptError(
                    "close()", f"it still holds {held:,} of {self.loaded:,} bytes of arrays"
                )
            if left := left_running(running):
                raise NotKeptError("close()", f"still running: {', '.join(left)}")

    def _close(self, engine: Engine) -> None:
        with self.book.checking(points.CLOSE), calling("close()"):
            engine.close()

    def _start(
        self, began: datetime | None = None, changes: Mapping[str, Any] | None = None
    ) -> Engine:
        return self.subject.start(began or self.began, changes)

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

    def _has_numbers(self, group: Group) -> bool:
        return any(
            getattr(each, name) is not None
            for each in self.answers[group.name].values()
            for name in NUMBERS
        )

    def _compare(self, group: Group, predict: Callable[[Sequence[Request]], Any]) -> None:
        """Compare the numbers of one group; a reference that cannot do it says nothing."""
        try:
            came = sound(list(predict(list(group.requests))), group.requests)
        except DistillError as error:
            raise UncheckedError(f"the reference cannot do it: {error}") from None
        except NotKeptError as error:
            raise UncheckedError(f"the reference is not sound: {error}") from None
        compared = 0
        by_id = {each.id: each for each in came}
        for id, own in self.answers[group.name].items():
            of = by_id.get(id)
            if of is None or of.text != own.text:
                continue  # of other tokens the numbers are others
            for name in NUMBERS:
                a, b = getattr(own, name), getattr(of, name)
                if a is None or b is None:
                    continue
                compared += 1
                if not close(a, b, self.tolerance):
                    raise NotKeptError(
                        f"{group.task} of '{id}'", f"{name} {shown(a)}, the reference {shown(b)}"
                    )
        if not compared:
            raise UncheckedError("the reference has no such numbers of the same answers")


def _reference(subject: Subject, given: Reference | None) -> Reference | None:
    """Return what numbers are compared with: transformers where it can load the same path."""
    path = subject.entry.spec(NAME, Path.cwd()).path
    if given is not None or subject.kind is engine_class(DEFAULT, {}, "engine_contract"):
        return given
    return {"path": path} if path and Path(path, "config.json").is_file() else None
