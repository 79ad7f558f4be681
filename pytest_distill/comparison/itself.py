"""A model beside itself: how far its answers are from those it gave to the same questions before.

Both times are alike, so that it retains all of itself but for noise: what is between the two tells
how much of a student's distance may be none.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from weakref import WeakKeyDictionary

from pytest_distill._util.format import count_text, floor_text, interval_text
from pytest_distill._util.numbers import Ratio
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.evidence import retention_evidence
from pytest_distill.engines import ModelInfo, Role
from pytest_distill.errors import ComparisonError, DistillError
from pytest_distill.evals.eval import Eval
from pytest_distill.evals.metrics import Metric
from pytest_distill.evals.metrics.own import identity_of
from pytest_distill.evaluation.evaluation import Evaluation, ReportedEval
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.evaluation.model import Model

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Itself:
    """What a model retains of itself by a metric, on the examples that it was asked twice.

    Parameters
    ----------
    model, role, eval, metric : str
        What was asked, and by what it is compared.
    n : int
        Number of examples.
    first, second : Fraction
        Their scores.
    retained : Fraction or float, optional
        The second score as a share of the first, or the other way round where lower is better; None
        where no share exists.
    lower, upper : float, optional
        Its two-sided bounds at 95 %; None where these examples give none.
    lost, won : int
        On how many examples the second answer did worse, and better.
    """

    model: str
    role: Role
    eval: str
    metric: str
    n: int
    first: Fraction
    second: Fraction
    retained: Ratio | None
    lower: float | None
    upper: float | None
    lost: int
    won: int

    @property
    def least(self) -> Ratio | None:
        """What is retained in the direction in which that is less: which came first is chance."""
        if self.retained is None or self.retained <= 0:
            return None
        return min(self.retained, 1 / self.retained)

    def __str__(self) -> str:
        """Return it as a note."""
        told = f"{self.model} asked twice on {count_text(self.n, 'example')} of {self.eval}: "
        if self.retained is None:
            told += f"{self.metric} {floor_text(self.first)}, then {floor_text(self.second)}"
        else:
            told += f"retains {floor_text(self.retained)} of itself by {self.metric}"
        if self.lower is not None or self.upper is not None:
            told += f" (95 % interval {interval_text(self.lower, self.upper)})"
        return f"{told}, {self.lost:,} lost, {self.won:,} won"


_FOUND: WeakKeyDictionary[MeasuredEvaluation, dict[int, tuple[Metric, Itself | None]]] = (
    WeakKeyDictionary()
)


def beside_itself(evaluation: Evaluation, metric: Metric) -> Itself | None:
    """Return what a model retains of itself; None where it was not asked twice, or has no score."""
    if not isinstance(evaluation, MeasuredEvaluation) or evaluation.again is None:
        return None
    known = _FOUND.setdefault(evaluation, {})
    key = identity_of(metric)
    if key not in known:
        found = None
        with suppress(DistillError):  # a gate that asks for this score is told why there is none
            found = _compared(*evaluation.again, metric)
        known[key] = (metric, found)
    return known[key][1]


def known_beside_itself(evaluation: Evaluation) -> list[Itself]:
    """Return what was found by the eval's metrics: nothing is computed, no code of users runs."""
    if not isinstance(evaluation, MeasuredEvaluation):
        return []
    known = _FOUND.get(evaluation, {})
    found = (known.get(identity_of(metric)) for metric in evaluation.eval.metrics)
    return [told[1] for told in found if told is not None and told[1] is not None]


def _compared(first: MeasuredEvaluation, second: MeasuredEvaluation, metric: Metric) -> Itself:
    times = [_Once("teacher", first), _Once("student", second)]
    comparison = Comparison(first.eval, {time.name: time for time in times}, "student", metric)
    flips = comparison.flips_by(metric)
    retained, lower, upper = None, None, None
    with suppress(ComparisonError):
        retained = comparison.exact_retained(metric)
        evidence = retention_evidence(comparison, metric)
        if evidence is not None:
            interval = evidence.interval(CONFIDENCE)
            lower, upper = map(_finite, (interval.lower, interval.upper))
    return Itself(
        model=first.info.name,
        role=first.info.role,
        eval=first.eval.name,
        metric=metric.name,
        n=len(first.eval.gold),
        first=comparison.exact_score("teacher", metric),
        second=comparison.exact_score("student", metric),
        retained=retained,
        lower=lower,
        upper=upper,
        lost=len(flips.lost),
        won=len(flips.won),
    )


def _finite(bound: float) -> float | None:
    return bound if math.isfinite(bound) else None


class _Once(Model):
    """A model as it answered one time; the bytes of both times may well be the same."""

    def __init__(self, role: Role, evaluation: MeasuredEvaluation) -> None:
        super().__init__(role, role)
        info = replace(evaluation.info, digest=None, weights_digest=None)
        self._evaluation = replace(evaluation, info=info)

    @property
    def info(self) -> ModelInfo:
        return self._evaluation.info

    def evaluate(self, on: Eval | ReportedEval) -> Evaluation:
        return self._evaluate(on)

    def _evaluate(self, on: Eval | ReportedEval) -> Evaluation:  # noqa: ARG002 (there is one)
        return self._evaluation
