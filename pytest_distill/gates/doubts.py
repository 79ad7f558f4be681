"""What a reader of any verdict on an eval must know: notes, and doubts that keep it from firm.

One place adds them to whatever gate was asked. A doubt (`Doubt`) is louder than a note: no verdict
that has one is called firm, see `Verdict`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any
from weakref import WeakKeyDictionary

from pytest_distill._util.format import count_text
from pytest_distill.comparison.chance import Side, compare_with_chance, refuse_below_chance
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.itself import beside_itself
from pytest_distill.errors import ComparisonError, ConfigError, DistillError
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.metrics import Answer
from pytest_distill.evals.metrics.texts import FINISHED
from pytest_distill.evals.requests import Prediction
from pytest_distill.evaluation.answered import mixed_notes
from pytest_distill.evaluation.evaluation import Evaluation
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.model import Model
from pytest_distill.evaluation.run_model import RunModel
from pytest_distill.evaluation.sources.recorded import RecordedModel
from pytest_distill.gates.gate import Gate, listed
from pytest_distill.gates.verdict import Doubt, Verdict

ROLES = ("teacher", "student")
MOST_SHOWN = 5
SAME_LOGARITHM = 0.01
"""By how much the log-likelihoods of a text differ between two dtypes of one model, at most."""


def with_remarks(verdict: Verdict, gate: Gate, comparisons: Sequence[Comparison]) -> Verdict:
    """Return a verdict with what is to be said of its evals, gold sets and models.

    Gates that look at no answers are left alone.
    """
    if not gate.answers:
        return verdict
    found: list[str] = []
    for comparison in comparisons:
        here = _remarks(gate, comparison)
        found += here if len(comparisons) == 1 else [_of_eval(comparison, note) for note in here]
    new = [note for note in dict.fromkeys(found) if note not in verdict.notes]
    if not new:
        return verdict
    lines = [verdict.message, *(f"  note: {note}" for note in new)]
    return replace(verdict, notes=(*verdict.notes, *new), message="\n".join(lines))


def _of_eval(comparison: Comparison, note: str) -> str:
    kind = Doubt if isinstance(note, Doubt) else str
    return kind(f"{comparison.eval}: {note}")


def _remarks(gate: Gate, comparison: Comparison) -> list[str]:
    if not isinstance(comparison.on, Eval):
        return []
    found = {
        role: evaluation
        for role in dict.fromkeys((*ROLES, *gate.roles))
        if (evaluation := _known(comparison, role)) is not None
    }
    different = list({id(e): e for e in found.values()}.values())
    return [
        *_teacher_doubt(found.get("teacher")),
        *_metric_doubts(gate, comparison, different),
        *_ending_doubts(gate, comparison, found),
        *(note for pair in combinations(different, 2) for note in identical(*pair)),
        *comparison.on.notes,
        *_tie_notes(different),
        *_never_predicted(different),
        *(note for each in different for note in mixed_notes(each)),
        *_noise_notes(gate, comparison, different),
    ]


def _known(comparison: Comparison, role: str) -> MeasuredEvaluation | None:
    """Return an evaluation that the gate looked at, or that costs nothing; None where none is."""
    try:
        model = comparison.model(role)
    except ConfigError:  # there is none, or none was named
        return None
    evaluation = _answering(_made(model, comparison))
    if evaluation is not None or isinstance(model, RunModel):
        return evaluation
    with suppress(DistillError):  # no gate asked for it
        evaluation = _answering(comparison.within(model.evaluate(comparison.whole)))
        if evaluation is not None:
            _facts(evaluation)  # whether its answers can be read
        return evaluation
    return None


def _answering(evaluation: Evaluation | None) -> MeasuredEvaluation | None:
    return (
        evaluation
        if isinstance(evaluation, MeasuredEvaluation) and evaluation.predictions
        else None
    )


def _made(model: Model, comparison: Comparison) -> Evaluation | None:
    made = next((e for e in model.evaluations if e.eval is comparison.whole), None)
    with suppress(ComparisonError):  # it has no answers within the budget
        return None if made is None else comparison.within(made)
    return None


def _teacher_doubt(teacher: MeasuredEvaluation | None) -> Iterator[str]:
    if teacher is not None:
        refuse_below_chance(teacher)
        yield from _unlike_a_teacher(teacher)


def _unlike_a_teacher(teacher: MeasuredEvaluation) -> Iterator[str]:
    found = compare_with_chance(teacher)
    if found is not None and found.side is not Side.ABOVE:
        who = "" if teacher.info.name == "teacher" else f" {teacher.info.name}"
        yield Doubt(f"suspicious: the teacher{who} is not shown to be above chance ({found.shown})")


def late_doubts(models: Iterable[Model]) -> dict[str, str]:
    """Return, by eval, what is doubted of a teacher now that may not have been known before.

    A gate on the student alone may be asked before the teacher is evaluated.
    """
    found = {}
    for model in models:
        for evaluation in model.evaluations if model.role == "teacher" else ():
            answering = _answering(evaluation)
            with suppress(DistillError):  # unreadable answers: a gate that asked for them said why
                for note in _unlike_a_teacher(answering) if answering is not None else ():
                    found[evaluation.eval.name] = note
    return found


def identical(one: MeasuredEvaluation, other: MeasuredEvaluation) -> Iterator[str]:
    """Yield a doubt where two models answered every example alike.

    That is judged, since a flawless student exists on a small gold set, but it is also what one
    model under two names looks like, in another dtype or with a bit flipped.
    """
    names = f"{one.info.name} and {other.info.name}"
    pairs = [*zip(one.answers, other.answers, strict=True)]
    rated = one.eval.task.only_rates
    if all(_said(a, rated) == _said(b, rated) for a, b in pairs):
        yield Doubt(f"suspicious: {names} gave identical answers to every example")
    elif rated and all(_rated_alike(a.prediction, b.prediction) for a, b in pairs):
        yield Doubt(
            f"suspicious: the log-likelihoods of {names} are within {SAME_LOGARITHM:.0%} of each "
            "other on every example"
        )


def _said(answer: Answer[Any], rated: bool) -> object:
    if rated:
        return answer.prediction.loglikelihoods
    return [(said.predicted, said.calls) for said in answer.samples or (answer,)]


def _rated_alike(one: Prediction, other: Prediction) -> bool:
    return one.tokens == other.tokens and all(
        math.isclose(a, b, rel_tol=SAME_LOGARITHM)
        for a, b in zip(one.loglikelihoods or (), other.loglikelihoods or (), strict=True)
    )


def _metric_doubts(
    gate: Gate, comparison: Comparison, evaluations: Sequence[MeasuredEvaluation]
) -> Iterator[str]:
    """Yield what the metric that a gate looked at says of the answers that it scored."""
    metric = gate.scored_by(comparison)
    if metric is None:
        return
    for evaluation in evaluations:
        yield from map(Doubt, metric.doubts(evaluation.info.name, evaluation.single_answers))


def _ending_doubts(
    gate: Gate, comparison: Comparison, found: Mapping[str, MeasuredEvaluation]
) -> Iterator[str]:
    """Yield what the texts of a file say of the limit that they were recorded with.

    Of what was asked here the limit is known. Where texts are longer it was a higher one; where a
    file does not say why they ended, it may have been a lower one.
    """
    by_ending = gate.scored_by(comparison) is FINISHED
    if not by_ending and not gate.counts_tokens:
        return
    for role, evaluation in found.items():
        most = evaluation.eval.task.longest
        if most is None or not isinstance(comparison.model(role), RecordedModel):
            continue
        every = [text for texts in evaluation.by_example for text in texts]
        long = sum((text.tokens or 0) > most for text in every)
        if long:
            yield Doubt(
                f"suspicious: {evaluation.source} has {count_text(long, 'text')} of more tokens "
                f"than max_new_tokens, {most:,}: recorded with a higher limit, so that what the "
                "eval says is not what was asked"
            )
        silent = sum(text.finish is None for text in every) if by_ending else 0
        if silent:
            yield Doubt(
                f"suspicious: {evaluation.source} does not say why {count_text(silent, 'text')} "
                f"ended: taken for finished, having fewer tokens than max_new_tokens, {most:,}; "
                "not so if recorded with a lower limit"
            )


def _tie_notes(evaluations: Sequence[MeasuredEvaluation]) -> Iterator[str]:
    for evaluation in evaluations:
        facts = _facts(evaluation)
        if facts.ties:
            first = "the first label in sorted order" if facts.labelled else "the first choice"
            stated = "the 'prediction' beside them"
            if not facts.stated_ties:
                where = first
            elif facts.stated_ties == facts.ties:
                where = stated
            else:
                where = f"{stated}, else to {first}"
            yield (
                f"{evaluation.info.name}: {facts.ties:,} of {evaluation.n:,} answers are ties, "
                f"which go to {where}"
            )


def _never_predicted(evaluations: Sequence[MeasuredEvaluation]) -> Iterator[str]:
    """Yield a note on gold labels that no model predicts: a name that none of them knows."""
    classified = [e for e in evaluations if _facts(e).labelled]
    if not classified:
        return
    said = set().union(*(_facts(e).said for e in classified))
    gold = _facts(classified[0]).gold
    never = {label: n for label, n in gold.items() if label not in said}
    if never:
        shown = [f"{label!r} ({n:,})" for label, n in sorted(never.items())]
        names = " and ".join(e.info.name for e in classified)
        yield f"gold labels that {names} never predict: {listed(shown, MOST_SHOWN)}"


def _noise_notes(
    gate: Gate, comparison: Comparison, evaluations: Iterable[MeasuredEvaluation]
) -> Iterator[str]:
    """Yield how far every model that a gate looked at is from itself, where that is known.

    Where the gate asks for less than that, a further note says so.
    """
    try:
        metric = gate.scored_by(comparison)
    except DistillError:  # the gate itself has said so
        return
    if metric is None:
        return
    for evaluation in evaluations:
        for other in evaluation.eval.metrics:  # for the report, which computes nothing
            beside_itself(evaluation, other)
        found = beside_itself(evaluation, metric)
        if found is not None:
            told = (str(found), gate.beyond_noise(found))
            yield from (note for note in told if note is not None)


@dataclass(frozen=True, slots=True)
class _Facts:
    """What is counted of a model's answers once, for every verdict that is about them."""

    ties: int
    stated_ties: int
    labelled: bool
    gold: Counter[str]
    said: frozenset[str]


_FACTS: WeakKeyDictionary[MeasuredEvaluation, _Facts] = WeakKeyDictionary()


def _facts(evaluation: MeasuredEvaluation) -> _Facts:
    if evaluation not in _FACTS:
        answers = evaluation.answers
        labelled = evaluation.eval.task.guess == "label"
        _FACTS[evaluation] = _Facts(
            sum(answer.tied for answer in answers),
            sum(a.tied and a.prediction.prediction is not None for a in answers),
            labelled,
            Counter(answer.targets[0] for answer in answers) if labelled else Counter(),
            frozenset(answer.predicted for answer in answers) if labelled else frozenset(),
        )
    return _FACTS[evaluation]
