"""Equality as mathematics, decided by math-verify in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pytest_distill._util.apart import SECONDS, Apart, FailedApartError, LimitExceededError
from pytest_distill._util.packages import Package
from pytest_distill.errors import ConfigError
from pytest_distill.evals.metrics.base import Answer, MeanMetric
from pytest_distill.evals.normalisation import composed

_APART = Apart("pytest_distill.evals.mathematics:ask")
_MATH_VERIFY = Package("math_verify", "math-verify", "math")
_FOUND: dict[tuple[str, ...], bool | None] = {}
"""What was asked in this run -> the answer; None where it took too long."""


def math_equal(answer: Answer) -> float:
    r"""Return 1.0 where the answer equals an accepted answer as mathematics, else 0.0.

    By math-verify: numbers in whatever form, LaTeX (``\frac{1}{2}`` is 0.5), terms that simplify to
    each other, sets, intervals, matrices. In a longer text it takes the ``\boxed{...}`` one, what
    follows "the answer is", else the last that it can read. The same text is equal without it. An
    answer that takes longer than `SECONDS` of processor time to compare is wrong.

    References
    ----------
    Kydlíček, H. Math-Verify: https://github.com/huggingface/Math-Verify.
    """
    accepted = _texts(answer)
    predicted = composed(answer.predicted).strip()
    for text in accepted:
        if not answer.against_sample and not _ask("is_mathematics", text):
            raise answer.example.gold_error(_unreadable(text))
    if not predicted or predicted in accepted:
        return float(predicted in accepted)
    return float(any(_ask("equals", text, predicted) for text in accepted))


@dataclass(frozen=True)
class MathEqual(MeanMetric):
    """`math_equal`, and how many answers could not be compared."""

    def doubts(self, model: str, answers: Sequence[Answer[Any]]) -> Iterator[str]:
        """Yield how many of a model's answers took too long to compare."""
        late = sum(map(_was_too_long, answers))
        if late:
            yield (
                f"suspicious: {late:,} answer{'' if late == 1 else 's'} of {model} took longer "
                f"than {SECONDS} s to compare and count{'s' if late == 1 else ''} as wrong "
                f"({self.name})"
            )


def _texts(answer: Answer) -> list[str]:
    return [composed(text).strip() for text in answer.targets]


def _was_too_long(answer: Answer) -> bool:
    """Return whether an answer counts as wrong, since no comparison of it said that it is right."""
    predicted = composed(answer.predicted).strip()
    asked = [_FOUND.get(("equals", text, predicted), False) for text in _texts(answer)]
    return None in asked and True not in asked


def _ask(*question: str) -> bool | None:
    """Return what math-verify says, once for each pair of texts; None where it takes too long."""
    if question not in _FOUND:
        try:
            _FOUND[question] = bool(_APART(*question))
        except LimitExceededError:
            _FOUND[question] = None
        except FailedApartError as error:
            needs = _MATH_VERIFY.lacking("metric 'math_equal'")
            raise ConfigError(f"{needs}; its process says: {error}") from None
    return _FOUND[question]


def _unreadable(text: str) -> str:
    """Return what is wrong with an accepted answer of which nothing can be read."""
    shown = f"the accepted answer {text!r:.60}"
    if _FOUND["is_mathematics", text] is None:
        return f"{shown} takes longer than {SECONDS} s to read for math_equal"
    return (
        f"math-verify reads nothing mathematical in {shown}: write a number or LaTeX, or take "
        "exact_match for answers in words"
    )


MATH_EQUAL = MathEqual("math_equal", math_equal, binary=True, package=_MATH_VERIFY)
