"""Errors on their way from an actor to the run: what they are and say, and no frame of Ray's."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_distill import errors
from pytest_distill._util.user_code import said
from pytest_distill.errors import DistillError, ModelError, one_line


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


def of_ray(error: BaseException) -> str:
    """Return what an error of Ray's says, in one line."""
    cause = getattr(error, "cause", None)
    inner = cause if isinstance(cause, BaseException) else error
    lines = [line.strip() for line in str(inner).splitlines() if line.strip()]
    return one_line(f"{type(inner).__name__}: {lines[-1]}" if lines else type(inner).__name__)
