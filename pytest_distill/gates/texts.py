"""Whether the student's texts end by themselves as the teacher's do, and are no longer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from pytest_distill._util.format import ceil_text, floor_text
from pytest_distill._util.numbers import bounded
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.evidence import length_evidence
from pytest_distill.comparison.shown import example_row, lost_rows
from pytest_distill.errors import ComparisonError, ConfigError
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.metrics import Metric
from pytest_distill.evals.metrics.texts import FINISHED
from pytest_distill.evaluation.lengths import Lengths, lengths
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.gates import explain
from pytest_distill.gates.deciding import decide
from pytest_distill.gates.gate import Row
from pytest_distill.gates.quality import judge_retained
from pytest_distill.gates.subjects import AnswersGate
from pytest_distill.gates.verdict import Doubt, Outcome, Verdict
from pytest_distill.statistics.levels import Inverse

PAIR = ("teacher", "student")
TOO_LONG = 100
"""A ratio that is no limit: 120 is meant for 1.2."""
UNLIKE = Fraction(1, 20)
"""By which share the tokens of two models differ in length where that is told."""


@dataclass(frozen=True)
class Length(AnswersGate):
    """The student's texts have at most `max_ratio` times as many tokens as the teacher's.

    Student's tokens / teacher's tokens, both summed over the same examples, is compared exactly. Of
    a model that thinks every token counts, those of its thinking too.

    Parameters
    ----------
    max_ratio : float
        The ceiling, above 0 and below 100: 1.2 allows a fifth more.
    """

    name: ClassVar[str] = "length"
    asks: ClassVar[str] = (
        "Do the texts of {model} have {what} times as many tokens as the teacher's?"
    )
    counts_tokens: ClassVar[bool] = True

    max_ratio: float

    def judge(self, comparison: Comparison) -> Verdict:
        """Compare the exact ratio with the ceiling, or its bounds where a confidence is asked."""
        most = bounded(
            self.max_ratio, "max_ratio", above=0, below=TOO_LONG, what="a ratio of lengths"
        )
        confidence = comparison.confidence_level(self.confidence, default=None)
        teacher, student = self._lengths(comparison)
        if not teacher.mean:
            raise ComparisonError(
                f"tokens on '{comparison.eval}': the teacher writes none, so that no ratio exists"
            )
        found = length_evidence(comparison, student.tokens, teacher.tokens, self.slice)
        ratio = student.mean / teacher.mean
        decision = decide(found, ratio, "<=", most, confidence, comparison)
        both = dict(zip(PAIR, (teacher, student), strict=True))
        names = {role: comparison.model(role).name for role in PAIR}
        return self.verdict(
            comparison,
            decision,
            decision.headline(self.max_ratio, f"times the teacher's tokens{comparison.budget}"),
            metric=self.name,
            n=comparison.n(self.slice),
            about=explain.models(
                comparison,
                None,
                self.slice,
                PAIR,
                first={role: _told(each) for role, each in both.items()},
            ),
            facts=[f"{ceil_text(student.mean, 1)} tokens, teacher {ceil_text(teacher.mean, 1)}"],
            notes=(
                *_cut_notes(both, names, passed=decision.outcome is Outcome.PASSED),
                *_unit_notes(both, names),
                *decision.evidence.notes,
                *_power_notes(found, float(most), confidence, len(student.tokens)),
            ),
            details={"lengths": {role: _as_details(each) for role, each in both.items()}},
        )

    def lost(self, comparison: Comparison) -> list[Row]:
        """Return the examples on which the student is too long, those that cost most first."""
        teacher, student = self._lengths(comparison)
        most = Fraction(str(self.max_ratio))
        pairs = zip(teacher.tokens, student.tokens, strict=True)
        excess = [mine - most * theirs for theirs, mine in pairs]
        longest = sorted((i for i, more in enumerate(excess) if more > 0), key=lambda i: -excess[i])
        evaluations = self._evaluations(comparison)
        places = comparison.positions(self.slice)
        return [
            {
                **example_row(evaluations[0].eval.gold.examples[places[i]]),
                **{
                    e.info.name: {
                        "tokens": _number(of.tokens[i]),
                        "answer": e.answers[places[i]].predicted,
                    }
                    for e, of in zip(evaluations, (teacher, student), strict=True)
                },
            }
            for i in longest
        ]

    def _evaluations(self, comparison: Comparison) -> tuple[MeasuredEvaluation, MeasuredEvaluation]:
        refuse_without_texts(comparison, self)
        return comparison.measured_pair("teacher", "student", "lengths")

    def _lengths(self, comparison: Comparison) -> tuple[Lengths, Lengths]:
        """Return the lengths of the teacher's and of the student's texts."""
        chosen = comparison.indices(self.slice)
        teacher, student = (lengths(each, chosen) for each in self._evaluations(comparison))
        return teacher, student


def _told(of: Lengths) -> str:
    thinking = "" if of.thinking is None else f" ({ceil_text(of.thinking, 1)} of them thinking)"
    return f"{ceil_text(of.mean, 1)} tokens a text{thinking}"


def _cut_notes(
    both: Mapping[str, Lengths], names: Mapping[str, str], *, passed: bool
) -> Iterator[str]:
    """Yield how many texts were cut, which would have been longer: a doubt where that flatters."""
    teacher, student = (both[role] for role in PAIR)
    if not teacher.cut and not student.cut:
        return
    each = ", ".join(f"{names[role]} {of.cut:,} of {of.texts:,}" for role, of in both.items())
    note = f"texts that were cut, and would have been longer: {each}"
    flatters = student.cut * teacher.texts > teacher.cut * student.texts
    yield Doubt(f"suspicious: {note}") if passed and flatters else note


def _unit_notes(both: Mapping[str, Lengths], names: Mapping[str, str]) -> Iterator[str]:
    """Yield a note where a token of one model stands for more than one of the other."""
    teacher, student = (both[role] for role in PAIR)
    if not teacher.per_token or not student.per_token:
        return
    unlike = student.per_token / teacher.per_token
    if max(unlike, 1 / unlike) <= 1 + UNLIKE:
        return
    each = " and ".join(
        f"{floor_text(of.per_token, 2)} in those of {names[role]}"
        for role, of in both.items()
        if of.per_token
    )
    ratio = ceil_text(student.mean / teacher.mean * unlike)
    yield (
        f"a token stands for other numbers of characters, {each}: where the models have "
        f"different tokenizers they count in different units; the ratio of characters is {ratio}"
    )


def _power_notes(found: Inverse, most: float, confidence: float | None, n: int) -> Iterator[str]:
    least = None if confidence is None else found.least(most, confidence)
    if least is not None and least > n:
        yield (
            f"a student whose texts are as long as the teacher's begins to pass at about {least:,} "
            f"examples: {n:,} may have missed too many that are far longer"
        )


def _as_details(of: Lengths) -> dict[str, object]:
    return {
        "tokens": float(of.mean),
        "thinking_tokens": None if of.thinking is None else float(of.thinking),
        "texts": of.texts,
        "cut": of.cut,
    }


def _number(value: Fraction) -> int | float:
    return value.numerator if value.denominator == 1 else float(value)


@dataclass(frozen=True)
class Finished(AnswersGate):
    """The student finishes at least `min` times the share of texts that the teacher finishes.

    A text is finished that ended at an end token, at a stop string or with a call of a tool; one
    that was cut at ``max_new_tokens`` is not. Student's share / teacher's share is compared
    exactly.

    Parameters
    ----------
    min : float
        The floor, above 0 and at most 2: 0.98 asks for 98 % of the teacher's share.
    """

    name: ClassVar[str] = "finished"
    asks: ClassVar[str] = (
        "Does {model} finish {what} times the share of texts that the teacher finishes?"
    )

    min: float

    def judge(self, comparison: Comparison) -> Verdict:
        """Compare the exact ratio with the floor, or its bounds where a confidence is asked for."""
        refuse_without_texts(comparison, self)
        what = "of the teacher's share of finished texts"
        return judge_retained(self, comparison, FINISHED, self.min, what)

    def scored_by(self, comparison: Comparison) -> Metric:  # noqa: ARG002 (one for all)
        """Return the metric."""
        return FINISHED

    def lost(self, comparison: Comparison) -> list[Row]:
        """Return the examples that the teacher finished and the student did not."""
        return lost_rows(comparison, FINISHED, "teacher", self.slice)


def refuse_without_texts(comparison: Comparison, gate: AnswersGate) -> None:
    """Raise ConfigError where models write no texts on the eval, which could end or be long."""
    if isinstance(comparison.on, Eval) and comparison.on.task.longest is None:
        raise ConfigError(
            f"assert_{gate.name} is about texts that models write, and eval '{comparison.eval}' is "
            f"of the task {comparison.on.task.name}: ask it of one of the task generation"
        )
