"""Whose an answer is: what it says of the model behind a name, and whether it was seen before."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from pytest_distill.engines.openai.calls import Call, Send
from pytest_distill.engines.openai.options import OpenAIOptions
from pytest_distill.errors import ModelError, one_line
from pytest_distill.evals.requests import Prediction, Request

LONGEST = 200
"""Characters of a name that a server gives; more is no name."""

_MOST_FOR_CHANCE = 4
_SHARE = 0.75

RequestT = TypeVar("RequestT", bound=Request)


def signed(
    ask: Callable[[Send, RequestT], Awaitable[Prediction]], send: Send, who: str, to: OpenAIOptions
) -> Callable[[RequestT], Awaitable[Prediction]]:
    """Return what asks for a prediction, and signs it with what its answers say of the model.

    Parameters
    ----------
    ask : callable
        Makes a prediction of the answers to one or several calls.
    send : callable
        Sends a call.
    who : str
        The model and where it is asked, for messages.
    to : OpenAIOptions
        What the model is called, and which fingerprint every answer must have.
    """

    async def asked(request: RequestT) -> Prediction:
        heard: list[Mapping[str, Any]] = []

        async def heard_of(call: Call) -> Mapping[str, Any]:
            answer = await send(call)
            if call.aside:
                return answer
            refuse_other(answer, call, who, to.pin)
            heard.append(answer)
            return answer

        prediction = await ask(heard_of, request)
        return replace(
            prediction,
            fingerprint=_joined(fingerprint_of(answer) for answer in heard),
            answered_as=_joined(_other_name(answer, to.model) for answer in heard),
        )

    return asked


def refuse_other(answer: Mapping[str, Any], call: Call, who: str, pin: str | None) -> None:
    """Raise ModelError where an answer has not the fingerprint that is asked for."""
    if pin is None:
        return
    met = fingerprint_of(answer)
    if met != _name(pin):
        what = "no system_fingerprint" if met is None else f"system_fingerprint {met}"
        remedy = (
            "this server gives none: remove pin"
            if met is None
            else "what answers there has changed: if that is meant, correct pin, and every example "
            "is asked anew"
        )
        raise ModelError(
            f"{who}: example '{call.id}': the answer has {what}, and distill.yaml has pin: {pin}; "
            f"{remedy}"
        )


def fingerprint_of(answer: Mapping[str, Any]) -> str | None:
    """Return the ``system_fingerprint`` of an answer; None where it has none."""
    return _name(answer.get("system_fingerprint"))


def _other_name(answer: Mapping[str, Any], asked_for: str) -> str | None:
    """Return what the server calls the model that answered, where that is another name."""
    said = _name(answer.get("model"))
    return None if said == asked_for else said


def _name(value: object) -> str | None:
    if not isinstance(value, str) or not value.strip():
        return None
    return one_line(value.strip())[:LONGEST]


def _joined(names: Any) -> str | None:
    """Return the names that differ, in their order, as one; None where none was given."""
    return " + ".join(dict.fromkeys(name for name in names if name is not None)) or None


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
