"""What came of the points: kept, broken, or not checked and why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from pytest_distill._util.user_code import said
from pytest_distill.errors import printable
from pytest_distill.testing.points import ORDER, TASKS, Point

KeyT = TypeVar("KeyT")
ResultT = TypeVar("ResultT", "Kept", "Unchecked")


class NotKeptError(Exception):
    """A point is not kept: what was asked, and what came."""

    def __init__(self, asked: str, came: str) -> None:
        super().__init__(f"{asked}: {came}")
        self.asked = asked
        self.came = came


class UncheckedError(Exception):
    """A point cannot be checked: why."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A point that an engine keeps.

    Parameters
    ----------
    point : str
        What it is called.
    of : tuple of str
        The kinds of requests that it was checked on; empty where it is about none.
    """

    point: str
    of: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return it in one line."""
        return f"{self.point}: {'; '.join(self.of)}" if self.of else self.point


@dataclass(frozen=True, slots=True)
class Unchecked:
    """A point that could not be checked, which is no pass.

    Parameters
    ----------
    point : str
        What it is called.
    why : str
        Why it was not checked.
    of : tuple of str
        The kinds of requests; empty where it is about none.
    """

    point: str
    why: str
    of: tuple[str, ...] = ()

    @property
    def what(self) -> str:
        """The point, with the kinds of requests in brackets."""
        return f"{self.point} ({'; '.join(self.of)})" if self.of else self.point

    def __str__(self) -> str:
        """Return it in one line."""
        return f"{self.what}: {self.why}"


@dataclass(frozen=True, slots=True)
class ContractReport:
    """What was checked of an engine, and what could not be.

    Parameters
    ----------
    engine : str
        The engine.
    kept : tuple of Kept
        The points that it keeps.
    unchecked : tuple of Unchecked
        The points that could not be checked, or not on all kinds of requests.
    """

    engine: str
    kept: tuple[Kept, ...]
    unchecked: tuple[Unchecked, ...]

    def __str__(self) -> str:
        """Return it as text, a point a line; kinds of requests where not all were looked at."""
        offered = next((each.of for each in self.kept if each.point == TASKS.name), ())
        kept = [
            Kept(e.point) if e.of == offered and e.point != TASKS.name else e for e in self.kept
        ]
        lines = [f"engine {self.engine}", "kept", *(f"  {each}" for each in kept)]
        why: dict[str, list[str]] = {}
        for lack in self.unchecked:
            why.setdefault(lack.why, []).append(lack.what)
        lines += ["not checked"] if why else []
        lines += [f"  {', '.join(what)}: {reason}" for reason, what in why.items()]
        return printable("\n".join(lines))


@dataclass(frozen=True, slots=True)
class Broken:
    """A point that is not kept."""

    point: Point
    of: str
    error: NotKeptError

    def __str__(self) -> str:
        where = f" ({self.of})" if self.of else ""
        return (
            f"- {self.point.name}{where}\n"
            f"  asked:    {self.error.asked}\n"
            f"  came:     {self.error.came}\n"
            f"  the port: {self.point.says}"
        )


@dataclass
class Book:
    """Takes down what comes of each check."""

    kept: dict[Point, list[str]] = field(default_factory=dict)
    broken: list[Broken] = field(default_factory=list)
    unchecked: dict[tuple[Point, str], list[str]] = field(default_factory=dict)

    def checking(self, point: Point, of: str = "") -> AbstractContextManager[None, bool]:
        """Take down what the block comes to: it raises where the point is not kept."""
        return _Check(self, point, of)

    def is_broken(self, of: str, *points: Point) -> bool:
        """Return whether one of some points is not kept by a kind of requests."""
        return any(each.of == of and each.point in points for each in self.broken)

    def report(self, engine: str) -> ContractReport:
        """Return what was found; AssertionError where a point is not kept."""
        __tracebackhide__ = True
        kept = [Kept(p.name, tuple(of)) for p, of in self.kept.items()]
        if self.broken:
            odd = {each.point for each in self.broken}
            count, checked = len(odd), len(odd | self.kept.keys())
            raise AssertionError(
                printable(
                    "\n".join(
                        [
                            f"engine {engine} does not keep the port's contract: {count} "
                            f"point{'s' if count > 1 else ''} of {checked} checked",
                            *map(str, self.broken),
                        ]
                    )
                )
            )
        lacks = [Unchecked(p.name, why, tuple(of)) for (p, why), of in self.unchecked.items()]
        return ContractReport(engine, _ordered(kept), _ordered(lacks))


@dataclass
class _Check(AbstractContextManager[None, bool]):
    """One check: what is raised in it is told, and ends there."""

    book: Book
    point: Point
    of: str

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        if isinstance(error, NotKeptError):
            self.book.broken.append(Broken(self.point, self.of, error))
        elif isinstance(error, UncheckedError):
            _add(self.book.unchecked, (self.point, str(error)), self.of)
        elif error is None:
            _add(self.book.kept, self.point, self.of)
        return isinstance(error, NotKeptError | UncheckedError)


def _ordered(found: list[ResultT]) -> tuple[ResultT, ...]:
    return tuple(sorted(found, key=lambda each: ORDER[each.point]))


def _add(book: dict[KeyT, list[str]], key: KeyT, of: str) -> None:
    kinds = book.setdefault(key, [])
    if of and of not in kinds:
        kinds.append(of)


@contextmanager
def calling(asked: str) -> Iterator[None]:
    """Take whatever an engine raises in the block for what came in place of an answer."""
    try:
        yield
    except (NotKeptError, UncheckedError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        raise NotKeptError(asked, said(error)) from error
