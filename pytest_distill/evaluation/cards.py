"""One GPU for several workers: one at a time has models on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING, Protocol

from pytest_distill._util.locks import locked

if TYPE_CHECKING:
    from filelock import FileLock


class Loadable(Protocol):
    """A model that may be loaded, and that a test may hold."""

    name: str
    pinned: bool

    def close(self) -> None:
        """Free its memory."""


@dataclass(eq=False)
class Cards:
    """The GPUs that this process shares with other workers of the run.

    A worker takes them before a model is loaded, and gives them up, with the memory, once what it
    asked is answered; a model that a test holds keeps them until the end. They are taken before any
    lock of the store, all that the models of the project may use at once, and in one order: two
    workers that each held what the other one waits for would wait for ever.

    Parameters
    ----------
    used_by : callable
        Name of a model -> the ids of the GPUs that it uses and other workers may use too.
    models : callable
        Gives all models of the project that an engine runs.
    tell : callable
        Told for whom this process waits.
    """

    used_by: Callable[[str], Collection[str]] = lambda _name: ()
    models: Callable[[], Iterable[Loadable]] = tuple
    tell: Callable[[str], None] = lambda _line: None
    _held: list[FileLock] = field(default_factory=list, init=False)
    _depth: int = field(default=0, init=False)

    def take(self, model: Loadable, what: str) -> None:
        """Wait until the GPUs of a model are free, if it has any; `what` is what it is to do."""
        if self._held or not self.used_by(model.name):
            return
        folder = Path(gettempdir()) / f"pytest-distill-{_user()}"
        for card in sorted({card for each in self.models() for card in self.used_by(each.name)}):
            try:
                lock = locked(folder / card, f"{what}, on GPU {card}", self.tell, again=True)
            except (OSError, NotImplementedError) as error:
                self.tell(f"{what}: GPU {card} cannot be locked, others may use it too: {error}")
            else:
                self._held.append(lock)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Give the GPUs up when the outermost of such blocks ends."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._held and not self._depth:
                for model in self.models():
                    if not model.pinned:
                        model.close()
                if not any(model.pinned for model in self.models()):
                    self.give_up()

    def give_up(self) -> None:
        """Let others have the GPUs."""
        while self._held:
            self._held.pop().release()


def _user() -> object:
    """Return what tells this user's locks from those of others, who could not take them."""
    return os.getuid() if hasattr(os, "getuid") else "user"
