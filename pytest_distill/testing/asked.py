"""What an engine is asked where the user has no requests of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pytest_distill.errors import ConfigError, refuse_unknown
from pytest_distill.evals.requests import Request
from pytest_distill.evals.tasks.classification import ClassificationRequest
from pytest_distill.evals.tasks.decoding import Conversation, Decoding, GenerationRequest
from pytest_distill.evals.tasks.multiple_choice import ChoiceRequest
from pytest_distill.evals.tasks.perplexity import PerplexityRequest

IDS = ("7", "07", "a b", "É")
"""Ids that are others once they are stripped, folded or read as numbers."""
TWIN = "twin"
TEXTS = (
    "good",
    "A stitch in time saves nine.",
    "one, two, three, four, five",
    "The capital of France is Paris",
)
CHOICES = ((" bad", " good"), (" ten", " a dozen", " nine"), (" six", " five."), (".", "?"))
LABELS = ("negative", "positive")
"""For models that have no outputs of their own."""
MANY = 41
"""More than are in one batch of many an engine, and a number that no batch divides."""
LONG = "a word and another one " * 120
"""Longer than the context of many a small model; see `engine_contract`, `impossible`."""


@dataclass(frozen=True, slots=True)
class Group:
    """Requests of one kind, which one call of an engine gets.

    Parameters
    ----------
    name : str
        What they are called in reports.
    requests : tuple of Request
        At least one; the last one asks the same as the first.
    """

    name: str
    requests: tuple[Request, ...]
    own: bool = True
    """Whether the texts are ours."""

    @property
    def task(self) -> str:
        """The task that asks them."""
        return self.requests[0].task

    @property
    def variants(self) -> tuple[Request, ...]:
        """Many requests that ask something else each; none where the texts are the user's."""
        return tuple(_varied(self.requests[0], n) for n in range(MANY)) if self.own else ()

    @property
    def talks(self) -> bool:
        """Whether conversations are asked."""
        return any(getattr(request, "conversation", None) is not None for request in self.requests)

    @property
    def sampled(self) -> bool:
        """Whether answers are drawn."""
        first = self.requests[0]
        return isinstance(first, GenerationRequest) and first.decoding.do_sample


def groups_of(requests: Sequence[Request] | None, tasks: Sequence[str] | None) -> list[Group]:
    """Return what is asked: the user's requests by kind, else some of each task.

    Raises
    ------
    ConfigError
        Where a task is not known, or nothing is asked.
    """
    if requests is None:
        return _of_tasks(tasks)
    by_kind: dict[type[Request], list[Request]] = {}
    for request in requests:
        if not isinstance(request, Request):
            raise ConfigError(f"engine_contract: requests: {request!r} is no request")
        by_kind.setdefault(type(request), []).append(request)
    ids = [request.id for request in requests]
    if len({*ids}) < len(ids) or not ids:
        raise ConfigError("engine_contract: requests: must have some, each with an id of its own")
    return [
        _group(kind.task, of, own=False)
        for kind, of in by_kind.items()
        if not tasks or kind.task in tasks
    ]


def _of_tasks(tasks: Sequence[str] | None) -> list[Group]:
    decoding = Decoding(max_new_tokens=8)
    drawn = Decoding(max_new_tokens=8, do_sample=True, seed=11)
    talks = [Conversation([{"role": "user", "content": text}]) for text in TEXTS]
    pairs = list(zip(IDS, TEXTS, strict=True))
    built = [
        _group(
            "classification",
            [ClassificationRequest(id, text, labels=LABELS) for id, text in pairs],
        ),
        _group(
            "multiple_choice",
            [
                ChoiceRequest(id, text, choices)
                for (id, text), choices in zip(pairs, CHOICES, strict=True)
            ],
        ),
        _group("perplexity", [PerplexityRequest(id, text) for id, text in pairs]),
        _group("generation", [GenerationRequest(id, t, decoding=decoding) for id, t in pairs]),
        _group(
            "generation, sampled",
            [
                GenerationRequest(id, text, decoding=replace(drawn, seed=11 + number))
                for number, (id, text) in enumerate(pairs)
            ],
        ),
        _group(
            "generation, chat",
            [GenerationRequest(id, text, chat=True, decoding=decoding) for id, text in pairs],
        ),
        _group(
            "generation, conversation",
            [
                GenerationRequest(id, "", decoding=decoding, conversation=talk)
                for id, talk in zip(IDS, talks, strict=True)
            ],
        ),
    ]
    known = {group.task for group in built}
    for task in tasks or ():
        refuse_unknown(task, known, f"engine_contract: tasks: no task '{task}'")
    return [group for group in built if tasks is None or group.task in tasks]


def _group(name: str, requests: Sequence[Request], *, own: bool = True) -> Group:
    """Return a group whose last request asks the same as its first one."""
    twin, ids = TWIN, {request.id for request in requests}
    while twin in ids:
        twin += "'"
    return Group(name, (*requests, replace(requests[0], id=twin)), own)


def _varied(of: Request, number: int) -> Request:
    of = replace(of, id=f"n{number}")
    if isinstance(of, ClassificationRequest | PerplexityRequest):
        return replace(of, text=f"{of.text} {number}")
    if isinstance(of, ChoiceRequest):
        return replace(of, context=f"{of.context} {number}")
    if isinstance(of, GenerationRequest):
        return replace(of, prompt=f"{of.prompt} {number}")
    return of


def too_long(group: Group) -> Request | None:
    """Return a request that asks for more than many models read; None where none is known."""
    first = replace(group.requests[0], id="too long")
    if isinstance(first, ClassificationRequest):
        return replace(first, text=LONG)
    if isinstance(first, ChoiceRequest):
        return replace(first, context=LONG)
    if isinstance(first, GenerationRequest) and first.conversation is None:
        return replace(first, prompt=LONG)
    return None  # a text for perplexity is read in windows
