"""One HTTP request for one example, and what came back."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pytest_distill.errors import ModelError

_TOO_LARGE = 413


@dataclass(frozen=True, slots=True)
class Call:
    """What is sent for one example.

    Parameters
    ----------
    id : str
        The example's id, for messages.
    path : str
        What follows the base URL, as ``chat/completions``.
    body : mapping
        The JSON of the request, without what every request of the model has.
    most : int
        At most how many tokens are written for it.
    aside : bool
        Whether the answer is none of the model's: a text's tokens. It has no fingerprint, and is
        not billed.
    """

    id: str
    path: str
    body: Mapping[str, Any]
    most: int = 0
    aside: bool = False


Send = Callable[[Call], Awaitable[Mapping[str, Any]]]
"""Sends one call, tries again where that may help, and returns the JSON of its answer."""


class CallRefusedError(ModelError):
    """A server refused a call by a status of 4xx: the same call is refused again.

    Parameters
    ----------
    message : str
        What is told the user.
    status : int
        Of HTTP.
    said : str
        What the server said.
    """

    def __init__(self, message: str, status: int, said: str) -> None:
        super().__init__(message)
        self.status, self.said = status, said

    @property
    def is_too_long(self) -> bool:
        """Whether the prompt may be longer than the model's context."""
        return self.status == _TOO_LARGE or "context" in self.said.lower()
