"""Answers that were seen before: a server, or what stands before it, may send one again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

_MOST_FOR_CHANCE = 4
_SHARE = 0.75


class Seen:
    """The ids of all answers so far.

    Every request has a connection of its own, so that what a server sends twice never stands where
    the answer to the next request is expected. What is left is a server, or a cache before it,
    that answers a request with what it answered another one: its `id` was seen before.

    Some servers give every answer the same id, or count from 0 in each of their processes. Their
    ids say nothing: two different answers had the same one.
    """

    def __init__(self) -> None:
        self._questions: dict[int, int] = {}
        self._answers: set[int] = set()
        self._count = self._again = 0
        self._meaningless = False

    def is_of_another(self, answer: Mapping[str, Any], question: bytes) -> bool:
        """Whether an answer was the answer to another question before.

        Parameters
        ----------
        answer : mapping
            The JSON of the answer.
        question : bytes
            What was asked; who asks the same again may get the same answer from a cache.
        """
        named = answer.get("id")
        if self._meaningless or not isinstance(named, str | int) or named == "":
            return False
        self._count += 1
        name, asked = _digest(named), _digest(question)
        whole = _digest([name, answer.get("choices")])
        known = self._questions.setdefault(name, asked)
        if known == asked:
            self._answers.add(whole)
            return False
        if whole not in self._answers:
            self._meaningless = True
        self._again += 1
        if self._again >= _MOST_FOR_CHANCE and self._again >= _SHARE * self._count:
            self._meaningless = True
        return not self._meaningless


def _digest(value: Any) -> int:
    """Return 64 bits that tell values apart."""
    raw = value if isinstance(value, bytes) else repr(value).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(raw, digest_size=8).digest(), "big")
