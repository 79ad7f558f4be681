"""The errors that a user can mend.

Each message says what is wrong, where (file, line or key, example id) and what to do. The plugin
prints them without frames of this package. Any other exception is a defect, traceback and all.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Sequence


class DistillError(Exception):
    """Base class of every error that is the user's to mend."""

    __module__ = "pytest_distill"

    def __str__(self) -> str:
        return printable("\n".join(map(_shortened, super().__str__().split("\n"))))


class ConfigError(DistillError):
    """Something in ``distill.yaml``, a marker or an argument is wrong."""

    __module__ = "pytest_distill"


class GoldSetError(DistillError):
    """The gold set cannot be read, or an example in it is wrong."""

    __module__ = "pytest_distill"


class ModelError(DistillError):
    """A model cannot be loaded or cannot do what the task asks."""

    __module__ = "pytest_distill"


class UnsoundAnswersError(ModelError):
    """What a model answered in this run cannot be believed, and is not kept."""

    __module__ = "pytest_distill"


class EvaluationError(DistillError):
    """Predictions or scores are missing, surplus, not finite or out of range."""

    __module__ = "pytest_distill"


class ComparisonError(DistillError):
    """Two evaluations cannot be compared, or their ratio does not exist."""

    __module__ = "pytest_distill"


class StoreWarning(UserWarning):
    """The store of predictions was set aside or cannot be used; nothing is lost but time."""

    __module__ = "pytest_distill"


class ModelWarning(UserWarning):
    """A model could not be freed. Its predictions and the verdicts on them stand."""

    __module__ = "pytest_distill"


_COMMAND = re.compile(r"(?<=#)#(?=\[)|^(?P<blanks> *):(?=:)", re.MULTILINE)
"""What a line of a log begins with that is a command to GitHub Actions; ``##[`` may stand in it."""


MOST_CHARACTERS = 1_000
"""Of a line of a message: a label or an id may be a text of any length."""
MOST_KNOWN = 20
"""Of the names that might have been meant."""


def _shortened(text: str, most: int = MOST_CHARACTERS) -> str:
    """Return `text`, its middle left out where it has more than `most` characters."""
    half = most // 2
    return text if len(text) <= most else f"{text[:half]} [...] {text[-half:]}"


def printable(text: str) -> str:
    """Return `text` without commands to the terminal or to a CI service: those are escaped."""
    shown = "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)
    return _COMMAND.sub(
        lambda found: f"{found[1]}\\x3a" if found[1] is not None else "\\x23", shown
    )


def one_line(text: str) -> str:
    """Return `text` with new lines escaped too: no name makes a line of a report of its own."""
    return printable(text).replace("\n", "\\n")


def name_problem(name: str, *, of_a_file: bool) -> str | None:
    """Return why something cannot be called `name`; None where it can.

    Parameters
    ----------
    name : str
        What stands in reports, and may be compared with node ids.
    of_a_file : bool
        Whether files are named after it.
    """
    if not name or name != name.strip():
        return "must not be empty, nor begin or end with a blank"
    if not name.isprintable():
        return "has a character that cannot be printed"
    if name.startswith("::"):
        return "begins with '::', as a part of a node id does"
    if of_a_file and (name.startswith(".") or "/" in name or "\\" in name):
        return "becomes the name of a file: it must not begin with '.', nor hold '/' or '\\'"
    return None


def _brief(name: str) -> str:
    """Return a name among others: in one line, and not the whole of a long one."""
    return _shortened(name, 100).replace("\n", "\\n")


def some_of(names: Sequence[str], most: int = 5) -> str:
    """Return the first names, and how many more there are."""
    return ", ".join(_brief(name) for name in names[:most]) + and_more(len(names) - most)


def and_more(rest: int) -> str:
    """Return what to say behind those that are named of how many are not; nothing if none."""
    return f" and {rest:,} more" if rest > 0 else ""


def did_you_mean(word: str, known: Iterable[str], *, listed: bool = True) -> str:
    """Return what to say after an unknown `word`: the nearest known one.

    Where none is near, which ones are known; nothing where these are not to be `listed`.
    """
    names = sorted(map(str, known))
    near = difflib.get_close_matches(word, names, n=1)
    if near:
        return f"did you mean '{_brief(near[0])}'?"
    if not listed:
        return ""
    return f"known: {some_of(names, MOST_KNOWN)}" if names else "none is defined"


def refuse_unknown(
    name: str,
    known: Collection[str],
    what: str,
    error: Callable[[str], DistillError] = ConfigError,
) -> None:
    """Raise an error that says `what` is wrong and what was meant, where a name is not known."""
    if name not in known:
        raise error(f"{what}; {did_you_mean(name, known)}")


def few(names: Sequence[str]) -> str:
    """Return the first three of some names, and how many more there are."""
    return some_of(names, most=3)
