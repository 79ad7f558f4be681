"""Who answered, as far as a server says it: the fingerprints of an evaluation's answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from pytest_distill.errors import some_of
from pytest_distill.evals.requests import Prediction
from pytest_distill.evaluation.measured import MeasuredEvaluation

NONE = "none"
"""What answers without a fingerprint are counted as."""


def fingerprints_of(evaluation: MeasuredEvaluation) -> dict[str, int]:
    """Return how many answers there are of each fingerprint; nothing where none has one."""
    counts = Counter(answer.fingerprint or NONE for answer in _answers(evaluation))
    return {} if counts.keys() <= {NONE} else dict(counts.most_common())


def answered_notes(evaluation: MeasuredEvaluation) -> Iterator[str]:
    """Yield what a reader must know of who answered: by what a change there would show."""
    found, name = fingerprints_of(evaluation), evaluation.info.name
    if not found and evaluation.elsewhere:
        yield (
            f"{name}: no answer has a system_fingerprint, so that a change of what answers there "
            "does not show"
        )
    elif len(found) == 1:
        yield f"{name}: every answer has the system_fingerprint {next(iter(found))}"
    yield from mixed_notes(evaluation)


def mixed_notes(evaluation: MeasuredEvaluation) -> Iterator[str]:
    """Yield notes where answers may be of several models, or of another one than was asked for."""
    found, name = fingerprints_of(evaluation), evaluation.info.name
    if len(found) > 1:
        yield (
            f"{name}: its answers differ in their system_fingerprint, {_counted(found)}: what "
            "answers there changed meanwhile, so that they may be of several models; 'pin:' of "
            "the model refuses all but one"
        )
    others = Counter(a.answered_as for a in _answers(evaluation) if a.answered_as is not None)
    if others:
        yield f"{name}: the server says that another name answered: {_counted(others)}"


def _answers(evaluation: MeasuredEvaluation) -> Iterator[Prediction]:
    for each in (evaluation, *evaluation.budgets.values()):
        for samples in each.by_example:
            yield from samples


def _counted(counts: Mapping[str, int]) -> str:
    return some_of([f"{name} ({n:,})" for name, n in counts.items()])
