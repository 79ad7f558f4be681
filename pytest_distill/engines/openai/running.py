"""Many requests on their way at once, and their answers as an ordinary iterator."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass, field
from typing import Generic, TypeVar

_WAITING_SECONDS = 1.0
"""How often it is told that answers are waited for."""

R = TypeVar("R")
A = TypeVar("A")

Ask = Callable[[R], Awaitable[A]]
"""Answers one request."""


def answers(
    opened: Callable[[], AbstractAsyncContextManager[Ask[R, A]]],
    requests: Sequence[R],
    at_once: int,
    while_waiting: Callable[[], None] = lambda: None,
) -> Iterator[A]:
    """Yield the answers to all requests, each as soon as it is there.

    At most `at_once` requests have been sent whose answer the caller has not taken and come back
    from: what is lost when the process is killed is bounded by it.

    After an error no further request is sent; what is on its way is waited for and yielded, since
    it may have been paid for, and then the error is raised. Where the caller stops early, all that
    is on its way is cancelled.

    Parameters
    ----------
    opened : callable
        Gives, in an event loop of its own, what answers one request.
    requests : sequence
        What is asked.
    at_once : int
        How many may be on their way.
    while_waiting : callable
        Called about once a second while no answer comes.
    """
    work = _Work(opened, requests, at_once)
    thread = threading.Thread(target=work.run, name="distill-requests", daemon=True)
    thread.start()
    try:
        while (done := work.next_done(while_waiting)) is not None:
            yield done.answer
            done.taken.set()
    finally:
        work.cancel()
        thread.join()
    if work.error is not None:
        raise work.error


class Signal:
    """An event that is waited for in an event loop, and set in any thread."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._loop = asyncio.get_running_loop()

    async def wait(self) -> None:
        """Wait until it is set."""
        await self._event.wait()

    def set(self) -> None:
        """Let who waits go on."""
        with suppress(RuntimeError):  # its loop has ended
            self._loop.call_soon_threadsafe(self._event.set)


@dataclass(frozen=True, slots=True)
class _Done(Generic[A]):
    """An answer, whose place is free once the caller has taken it."""

    answer: A
    taken: Signal = field(default_factory=Signal)


class _Work(Generic[R, A]):
    """What goes on in the thread of the requests."""

    def __init__(
        self,
        opened: Callable[[], AbstractAsyncContextManager[Ask[R, A]]],
        requests: Sequence[R],
        at_once: int,
    ) -> None:
        self.done: queue.SimpleQueue[_Done[A] | None] = queue.SimpleQueue()
        self.error: BaseException | None = None
        self._opened = opened
        self._waiting = iter(requests)
        self._at_once = min(at_once, len(requests))
        self._task: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._cancelled = threading.Event()

    def run(self) -> None:
        """Ask for everything; what goes wrong is kept for the caller's thread."""
        try:
            asyncio.run(self._all())
        except asyncio.CancelledError:
            pass
        except BaseException as error:  # noqa: BLE001 (raised again in the caller's thread)
            self.error = self.error or error
        finally:
            self.done.put(None)

    def next_done(self, while_waiting: Callable[[], None]) -> _Done[A] | None:
        """Return the next answer, in the caller's thread; None where there is no further one."""
        while True:
            try:
                return self.done.get(timeout=_WAITING_SECONDS)
            except queue.Empty:
                while_waiting()

    def cancel(self) -> None:
        """Give up what is on its way; nothing where all is done."""
        self._cancelled.set()
        if self._loop is not None and self._task is not None:
            with suppress(RuntimeError):  # the loop has ended
                self._loop.call_soon_threadsafe(self._task.cancel)

    async def _all(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        if self._cancelled.is_set():
            return
        async with self._opened() as ask, asyncio.TaskGroup() as group:
            for _ in range(self._at_once):
                group.create_task(self._some(ask))

    async def _some(self, ask: Ask[R, A]) -> None:
        for request in self._waiting:
            if self.error is not None:
                return
            try:
                done = _Done(await ask(request))
            except Exception as error:  # noqa: BLE001 (raised again in the caller's thread)
                self.error = self.error or error
                return
            self.done.put(done)
            await done.taken.wait()
