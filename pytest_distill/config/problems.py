"""What pydantic finds wrong with an entry, in words that fit behind a key."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pytest_distill._util.keys import known_keys, unknown_key
from pytest_distill._util.strict import NOT_BLANK

_OURS = re.compile(r" or instance of \w+$| after validation, not \d+$")
"""Nobody writes an object of ours into a file, and what is given is told behind it."""

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class _Problem:
    """Something that is wrong with a value.

    Parameters
    ----------
    at : tuple
        Where the value stands in the entry.
    said, given : str
        What it should be, and what it is.
    advice : str
        What to write, where that is known.
    other_type : bool
        Whether it can't have been meant to be of this type, where several are right.
    """

    at: Place
    said: str
    given: str
    advice: str
    other_type: bool


def problems(
    error: ValidationError,
    kind: type[BaseModel],
    entry: Any,
    advise: Callable[[ErrorDetails, Place], str] = lambda *_: "",
) -> Iterator[tuple[Place, str]]:
    """Yield everything that is wrong with an entry: where in it, and a sentence.

    Where a value may be of several types, pydantic tells why it is of none, a type each. The types
    that it can't have been meant to be are left out, unless all are so.

    Parameters
    ----------
    error : ValidationError
        What pydantic found.
    kind : type
        What the entry should have become.
    entry : mapping
        What is written.
    advise : callable
        Told an error and where it is: what to write in place of the value, where that is known.
    """
    found: dict[Place, dict[str | int | None, list[_Problem]]] = {}
    for each in error.errors():
        at, choice, member = _place(entry, each)
        said, given = _sentence(each, kind, in_choice=member is not None)
        other = each["type"].endswith("_type") or each["type"] == "literal_error"
        problem = _Problem(at, said, given, advise(each, at), other and at == choice)
        found.setdefault(choice, {}).setdefault(member, []).append(problem)
    for members in found.values():
        meant = [of for of in members.values() if not all(problem.other_type for problem in of)]
        here: dict[Place, list[_Problem]] = {}
        for problem in chain(*(meant or members.values())):
            here.setdefault(problem.at, []).append(problem)
        yield from ((at, _together(of)) for at, of in here.items())


def _place(entry: Any, error: ErrorDetails) -> tuple[Place, Place, str | int | None]:
    """Return where an error is, and of what may be of several types where that is, and which type.

    pydantic's path has a type's name behind the place of such a value.
    """
    path: list[str | int] = []
    choice: tuple[Place, str | int] | None = None
    lacking = len(error["loc"]) - 1 if error["type"] == "missing" else None
    for place, part in enumerate(error["loc"]):
        if isinstance(entry, dict) and (part in entry or place == lacking):
            path.append(part)
            entry = entry.get(part)
        elif isinstance(entry, list) and isinstance(part, int) and part < len(entry):
            path.append(part)
            entry = entry[part]
        else:
            choice = choice or (tuple(path), part)
    return tuple(path), *(choice or (tuple(path), None))


def _sentence(error: ErrorDetails, kind: type[BaseModel], *, in_choice: bool) -> tuple[str, str]:
    """Return what a value should be, in words that fit behind a key, and what it is."""
    loc = error["loc"]
    match error["type"]:
        case "extra_forbidden":
            return unknown_key(str(loc[-1]), known_keys(kind, loc)), ""
        case "missing":
            return "is missing", ""
        case "value_error":
            return str(error["ctx"]["error"]), ""
        case "string_pattern_mismatch" if error["ctx"]["pattern"] == NOT_BLANK:
            return "must not be empty", ""
        case "string_too_short" if not error["input"]:
            return "must not be empty", ""
    message = error["msg"].removeprefix("Input ").replace("valid dictionary", "mapping")
    message = _OURS.sub("", message)
    if in_choice and error["type"] == "model_type":
        message += f" with {', '.join(known_keys(kind, (*loc, '')))}"
    return f"{message[0].lower()}{message[1:]}", f", not {error['input']!r}"


def _together(problems: Sequence[_Problem]) -> str:
    """Return a sentence of all that is wrong with one value; of what to do alone where known."""
    for problem in problems:
        if problem.advice:
            return f"{problem.said}{problem.given}; {problem.advice}"
    common = "should be "
    words = [*dict.fromkeys(problem.said for problem in problems)]
    if all(word.startswith(common) for word in words):
        words = [words[0], *(word.removeprefix(common) for word in words[1:])]
    return f"{' or '.join(words)}{problems[0].given}"
