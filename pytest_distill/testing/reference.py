"""Numbers of an engine, held against those of a reference."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from pytest_distill.engines.lookup import DEFAULT, engine_class
from pytest_distill.errors import DistillError
from pytest_distill.evals.requests import Prediction, Request
from pytest_distill.evals.tasks.perplexity import PerplexityRequest
from pytest_distill.testing import points
from pytest_distill.testing.answers import NUMBERS, Answers, close, shown, sound
from pytest_distill.testing.asked import Group
from pytest_distill.testing.results import Book, NotKeptError, UncheckedError
from pytest_distill.testing.subject import Subject

Predict = Callable[[Sequence[Request]], Iterable[Prediction]]
Reference = Mapping[str, Any] | Predict
"""An entry, or what gives the predictions of requests."""


def reference_of(subject: Subject, given: Reference | None) -> Reference | None:
    """Return what numbers are compared with: transformers where it can load the same path."""
    path = subject.spec.path
    if given is not None or subject.kind is engine_class(DEFAULT, {}, "engine_contract"):
        return given
    return {"path": path} if path and Path(path, "config.json").is_file() else None


def check_reference(
    book: Book, answers: Mapping[Group, Answers], reference: Reference | None, tolerance: float
) -> None:
    """Compare the log-likelihoods and probabilities of all answers that have some."""
    with_numbers = {group: of for group, of in answers.items() if _has_numbers(of)}
    if reference is None or not with_numbers:
        with book.checking(points.REFERENCE):
            raise UncheckedError(
                "give reference=, an entry or what gives predictions"
                if with_numbers
                else "none of its answers has log-likelihoods or probabilities"
            )
        return
    with _predicting(reference) as predict:
        for group, of in with_numbers.items():
            with book.checking(points.REFERENCE, group.name):
                _compare(group, of, predict, tolerance)


@contextmanager
def _predicting(reference: Reference) -> Iterator[Predict]:
    """Give what predicts: of an entry a new engine's, which is closed when the block ends."""
    if not isinstance(reference, Mapping):
        yield reference
        return
    entry = {"engine": DEFAULT, **reference}
    engine = Subject(entry.pop("engine"), entry).start(datetime.now())
    with closing(engine):
        yield engine.predict


def _has_numbers(answers: Answers) -> bool:
    return any(getattr(each, name) is not None for each in answers.values() for name in NUMBERS)


def _compare(group: Group, answers: Answers, predict: Predict, tolerance: float) -> None:
    """Compare the numbers of one group; a reference that cannot do it says nothing."""
    try:
        came = sound(list(predict(list(group.requests))), group.requests)
    except DistillError as error:
        raise UncheckedError(f"the reference cannot do it: {error}") from None
    except NotKeptError as error:
        raise UncheckedError(f"the reference is not sound: {error}") from None
    by_id = {each.id: each for each in came}
    compared = 0
    for id, own in answers.items():
        of = by_id.get(id)
        if of is None or of.text != own.text:
            continue  # of other tokens the numbers are others
        for name in NUMBERS:
            a, b = getattr(own, name), getattr(of, name)
            if a is None or b is None:
                continue
            compared += 1
            if not close(a, b, tolerance):
                raise NotKeptError(
                    f"{group.task} of '{id}'", f"{name} {shown(a)}, the reference {shown(b)}"
                )
        counted = None not in (own.tokens, of.tokens)
        if group.task == PerplexityRequest.task and counted and own.tokens != of.tokens:
            raise NotKeptError(
                f"{group.task} of '{id}'", f"tokens {own.tokens}, the reference {of.tokens}"
            )
    if not compared:
        raise UncheckedError("the reference has no such numbers of the same answers")
