"""Divergence of a student's distributions from its teacher's, example by example.

Over labels and choices from the predictions that there are. Over tokens both models are run
together once; what stays is a few numbers an example.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any, TypedDict

import numpy as np

from pytest_distill.engines import Captured, Distributional, TokenLikeness, file_digest
from pytest_distill.errors import ComparisonError, EvaluationError, ModelError, some_of
from pytest_distill.evals.distributions import divergence, total_variation
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.request_keys import request_key
from pytest_distill.evals.requests import GoldText
from pytest_distill.evaluation.described_model import dated
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.model import Model
from pytest_distill.evaluation.run_model import RunModel, together
from pytest_distill.evaluation.sources.captured import read_captured
from pytest_distill.evaluation.sources.recorded import RecordedModel
from pytest_distill.statistics.results import Floats

REVISION = 1
"""Raised when the numbers of this module change, so that nothing older is believed."""

Bounds = tuple[Floats, Floats]


@dataclass(frozen=True, eq=False)
class Likeness:
    """How alike two models are on the examples of an eval, in the order of the gold set.

    Parameters
    ----------
    unit : {"example", "token"}
        What each distribution is about.
    units : ndarray, shape (n,)
        How many distributions of an example were compared: 1, or its tokens.
    agreed : ndarray, shape (n,)
        How many of them have the same most likely label or token.
    divergence : tuple of ndarray, shape (n,), optional
        Bounds of the sum of KL(teacher || student) in nats, the same twice where they are known
        exactly. Infinite where the student rules out what the teacher does not. None where a model
        told its labels and no probabilities.
    variation : tuple of ndarray, shape (n,), optional
        The same of the total variation.
    mass : ndarray, shape (n,)
        How much of the teacher's probability is known: `units` where all is.
    missing : str
        Why there is no divergence.
    notes : tuple of str
        What a reader must know of how the numbers came about.
    """

    unit: str
    units: Floats
    agreed: Floats
    divergence: Bounds | None
    variation: Bounds | None
    mass: Floats
    missing: str = ""
    notes: tuple[str, ...] = ()

    @property
    def exact(self) -> bool:
        """Whether all of the teacher's probability is known."""
        return bool((self.mass == self.units).all())


def refuse_untold_answers(on: Eval) -> None:
    """Raise ComparisonError where nobody knows whether two models answer the same."""
    if not on.task.tells_answers:
        raise ComparisonError(
            f"eval '{on.name}' is of the task {on.task.name}, which scores "
            + ("a text that is rated" if on.task.only_rates else "what it takes out of an answer")
            + ": whether two models answer the same is not known; ask it of another eval"
        )


def label_likeness(teacher: MeasuredEvaluation, student: MeasuredEvaluation) -> Likeness:
    """Return how alike two models are over labels or choices.

    Raises
    ------
    ComparisonError
        Where they have other labels, or the task has none.
    EvaluationError
        Where the probabilities of an example are none.
    """
    refuse_untold_answers(teacher.eval)
    both = teacher.answers, student.answers
    agreed = [float(a.predicted == b.predicted) for a, b in zip(*both, strict=True)]
    ones = np.ones(len(agreed))
    pairs: list[tuple[Sequence[float], Sequence[float]]] = []
    for place, example in enumerate(teacher.eval.gold):
        theirs, mine = (_distribution(of, place) for of in (teacher, student))
        bare = [of.info.name for of, d in ((teacher, theirs), (student, mine)) if d is None]
        if theirs is None or mine is None:
            missing = (
                f"model '{bare[0]}' has no probabilities for example '{example.id}', only an "
                "answer; record probabilities (or loglikelihoods), or gate the agreement alone"
            )
            return Likeness("example", ones, np.array(agreed), None, None, ones, missing)
        if theirs.keys() != mine.keys():
            raise ComparisonError(
                f"example '{example.id}': '{teacher.info.name}' has the labels "
                f"{_names(theirs)} and '{student.info.name}' {_names(mine)}: distributions are "
                "compared over the same labels; set labels: in the eval, or correct id2label"
            )
        pairs.append((list(theirs.values()), [mine[label] for label in theirs]))
    kl, tv = _by_size(pairs, divergence), _by_size(pairs, total_variation)
    return Likeness("example", ones, np.array(agreed), (kl, kl), (tv, tv), ones)


def token_likeness(teacher: Model, student: Model, on: Eval) -> Likeness:
    """Return how alike two models are over tokens; from the store where they were compared before.

    Raises
    ------
    ModelError
        Where the two cannot be compared token by token.
    """
    key = ("token likeness", teacher, on)
    if key not in student.likenesses:
        student.likenesses[key] = _token_likeness(teacher, student, on)
    found: Likeness = student.likenesses[key]
    return found


def _token_likeness(teacher: Model, student: Model, on: Eval) -> Likeness:
    if not isinstance(student, RunModel):
        raise ModelError(
            f"model '{student.name}' does not run here, and eval '{on.name}' is compared token by "
            "token: only the teacher's log-probabilities can be recorded"
        )
    texts = [on.task.gold_text(example) for example in on.gold]
    about = _about(teacher, student, texts, on)
    value: _Stored = student.figure(about, lambda: _measured(teacher, student, texts, on)).value
    rows = np.array(value["rows"], dtype=np.float64)  # None, an infinite one, becomes NaN
    rows = np.where(np.isnan(rows), np.inf, rows)
    units, agreed, low, high, least, most, mass = rows.T
    if not units.sum():
        raise EvaluationError(f"eval '{on.name}': no token to compare the models on")
    notes = tuple(value["notes"])
    return Likeness("token", units, agreed, (low, high), (least, most), mass, notes=notes)


def _about(
    teacher: Model, student: RunModel, texts: Sequence[GoldText], on: Eval
) -> dict[str, Any] | None:
    """Return all that the figures depend on; None where one model cannot say what it is."""
    theirs: Mapping[str, Any] | None = None
    if isinstance(teacher, RecordedModel):
        theirs = {"captured": file_digest(teacher.file(on.name))}
    elif isinstance(teacher, RunModel):
        theirs = teacher.identity
    if theirs is None or student.identity is None:
        return None
    digest = hashlib.sha256()
    for text in texts:
        digest.update(request_key(text.request))
        digest.update(json.dumps([text.id, text.target]).encode())
    return {
        "figure": "token likeness",
        "revision": REVISION,
        "teacher": dict(theirs),
        "student": dict(student.identity),
        "texts": digest.hexdigest(),
        **dated([teacher, student], [text.request for text in texts]),
    }


class _Stored(TypedDict):
    """What the store keeps of a comparison: seven numbers an example, an infinite one as None."""

    rows: list[list[float | None]]
    notes: list[str]


def _measured(teacher: Model, student: RunModel, texts: Sequence[GoldText], on: Eval) -> _Stored:
    """Run the models that run here over all texts, and return what was found."""
    captured: dict[str, Captured] | None = None
    if isinstance(teacher, RecordedModel):
        captured = read_captured(teacher.file(on.name), on)
    held = [student, teacher] if isinstance(teacher, RunModel) else [student]
    found: dict[str, TokenLikeness] = {}
    with (
        together(held) as engines,
        student.progress(
            f"{student.name} beside {teacher.name} on {on.name}", len(texts)
        ) as advance,
    ):
        mine = engines[0]
        if not isinstance(mine, Distributional):
            raise ModelError(
                f"the engine of model '{student.name}' gives answers and no distributions: models "
                "that run with transformers can be compared token by token"
            )
        theirs = captured if captured is not None else engines[1]
        for likeness in mine.token_likeness(theirs, texts):
            found[likeness.id] = likeness
            advance(1, "")
    lacking = [text.id for text in texts if text.id not in found]
    if lacking:
        raise EvaluationError(
            f"the engine of model '{student.name}' compared nothing for example '{lacking[0]}'"
        )
    rows = [_row(found[text.id]) for text in texts]
    notes = dict.fromkeys(likeness.note for likeness in found.values() if likeness.note)
    return {"rows": rows, "notes": list(notes)}


def _row(likeness: TokenLikeness) -> list[float | None]:
    numbers = [float(value) for value in astuple(likeness)[1:-1]]
    if any(math.isnan(value) for value in numbers):
        raise EvaluationError(f"example '{likeness.id}': {likeness} has a number that is none")
    return [value if math.isfinite(value) else None for value in numbers]


def _distribution(of: MeasuredEvaluation, place: int) -> Mapping[str, float] | None:
    """Return label -> probability; None where only an answer is known."""
    try:
        return of.eval.task.distribution(of.eval.gold.examples[place], of.predictions[place])
    except EvaluationError as error:
        raise EvaluationError(f"{of.source}: {error}") from None


def _by_size(
    pairs: Sequence[tuple[Sequence[float], Sequence[float]]],
    measure: Callable[[Any, Any], Floats],
) -> Floats:
    """Return a measure of every pair of distributions; those with as many labels go at once."""
    places: defaultdict[int, list[int]] = defaultdict(list)
    for place, (of_teacher, _) in enumerate(pairs):
        places[len(of_teacher)].append(place)
    found = np.zeros(len(pairs))
    for chosen in places.values():
        sides = (np.array([pairs[i][side] for i in chosen]) for side in (0, 1))
        found[chosen] = measure(*sides)
    return found


def _names(labels: Mapping[str, float]) -> str:
    return some_of([f"'{label}'" for label in labels])
