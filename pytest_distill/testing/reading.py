"""Checks that an engine reads all of a request, not the fields alone that it knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pytest_distill.engines import Engine
from pytest_distill.engines.unread import refuse_unread, watched
from pytest_distill.errors import ModelError
from pytest_distill.evals.requests import Request
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evals.tasks.decoding import Conversation, GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.testing.answers import Answers, answered, named, refuse_other
from pytest_distill.testing.asked import Group
from pytest_distill.testing.results import NotKeptError, UncheckedError

_PAIR = "Nobody has said so before."


def check_read(engine: Engine, group: Group, before: Answers, tolerance: float) -> None:
    """Ask the same in another form, or something more, as far as the requests have a form for it.

    Raises
    ------
    NotKeptError
        Where the answers show that a field is not read.
    UncheckedError
        Where the engine refuses the other form, or there is none.
    """
    requests = [request for request in group.requests if request.id in before]
    pairs = {r.id: pair for r in requests if (pair := _with_pair(r)) is not None}
    if pairs:
        _refuse_equal(pairs, _asked_otherwise(engine, pairs), before)
        return
    others = {r.id: other for r in requests if (other := _other_form(r)) is not None}
    if not others:
        raise UncheckedError("these requests have no other form")
    now = _asked_otherwise(engine, others)
    refuse_other(f"{_form(next(iter(others.values())))} of the same", now, before, tolerance)


def check_watched(engine: Engine, group: Group) -> None:
    """Ask conversations that know whether anybody looked into them."""
    requests = watched(group.requests)
    answered(engine, requests)
    try:
        refuse_unread(requests, "it")
    except ModelError as error:
        raise NotKeptError(named(requests), str(error)) from None


def _asked_otherwise(engine: Engine, requests: Mapping[str, Request]) -> Answers:
    try:
        return answered(engine, [*requests.values()])
    except NotKeptError as error:
        if isinstance(error.__cause__, ModelError):
            form = _form(next(iter(requests.values())))
            raise UncheckedError(f"{form} is refused: {error.__cause__}") from None
        raise


def _other_form(of: Request) -> Request | None:
    """Return a request that asks the same in other fields; None where there is none."""
    if isinstance(of, ChoiceRequest) and not of.contexts:
        return replace(of, context="", contexts=(of.context,) * len(of.continuations))
    if isinstance(of, GenerationRequest) and of.chat and of.conversation is None:
        talk = Conversation([{"role": "user", "content": of.prompt}])
        return replace(of, prompt="", chat=False, conversation=talk)
    return None


def _with_pair(of: Request) -> Request | None:
    """Return a request about a pair of texts, the first of which is that of a request."""
    if isinstance(of, ClassificationRequest) and of.text_pair is None:
        return replace(of, text_pair=_PAIR)
    return None


def _form(request: Request) -> str:
    """Return what a request has, for a message."""
    if isinstance(request, ChoiceRequest):
        return "contexts in place of context"
    if isinstance(request, GenerationRequest):
        return "a conversation in place of chat"
    return "text_pair"


def _refuse_equal(pairs: Mapping[str, Request], now: Answers, before: Answers) -> None:
    if all(now[id].probabilities is None for id in pairs):
        raise UncheckedError("labels alone do not tell whether text_pair is read")
    if all(now[id].probabilities == before[id].probabilities for id in pairs):
        raise NotKeptError(
            f"{named([*pairs.values()])}, with a text_pair", "the same probabilities as without"
        )
