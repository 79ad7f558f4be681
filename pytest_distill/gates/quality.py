"""How good a model's answers are: its score, and how much of the teacher's a student kept."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass, replace
from typing import ClassVar

from pytest_distill._util.numbers import bounded, retained_floor
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.evidence import above_chance, retention_evidence, score_evidence
from pytest_distill.comparison.side_by_side import Slice
from pytest_distill.errors import ConfigError
from pytest_distill.evals.metrics import Metric
from pytest_distill.gates import explain
from pytest_distill.gates.deciding import Decision, decide, unless_observed
from pytest_distill.gates.gate import Row
from pytest_distill.gates.subjects import AnswersGate, KeepsAShare, MetricGate
from pytest_distill.gates.verdict import Outcome, Relation, Verdict, as_float


@dataclass(frozen=True)
class QualityRetained(KeepsAShare, MetricGate):
    """The student kept at least `min` of the teacher's quality.

    Student score / teacher score, or teacher / student where lower is better, is compared exactly.

    Parameters
    ----------
    min : float
        The floor, above 0 and at most 2: 0.95 asks for 95 % of the teacher's quality.
    """

    name: ClassVar[str] = "quality_retained"
    asks: ClassVar[str] = "Did {model} keep {what} of the teacher's quality?"
    retention_floor: ClassVar[bool] = True

    min: float

    def judge(self, comparison: Comparison) -> Verdict:
        """Compare the exact ratio with the floor, or its bounds where a confidence is asked for."""
        metric = comparison.metric(self.metric)
        return judge_retained(self, comparison, metric, self.min, "quality retained", metric.name)


def judge_retained(
    gate: AnswersGate,
    comparison: Comparison,
    metric: Metric,
    least: float,
    what: str,
    *beside: str,
) -> Verdict:
    """Return the verdict on the share of the teacher's score that the student has.

    Parameters
    ----------
    gate : AnswersGate
        Says which examples are looked at, and how sure the verdict must be.
    comparison : Comparison
        What is judged.
    metric : Metric
        By what it is compared.
    least : float
        The floor, as the gate's `min` says it.
    what, *beside : str
        What the number is called, see `Decision.headline`.
    """
    floor = retained_floor(least, "min")
    confidence = comparison.confidence_level(gate.confidence, default=None)
    retained = comparison.exact_retained(metric, slice=gate.slice)
    ratio = retention_evidence(comparison, metric, gate.slice)
    decision = decide(ratio, retained, ">=", floor, confidence, comparison)
    decision = _with_flips(comparison, metric, gate.slice, decision)
    notes = (
        *explain.notes(comparison, metric, ("teacher", "student")),
        *explain.ratio_note(metric),
        *decision.evidence.notes,
        *(
            explain.power_notes(comparison, metric, ratio, floor, confidence, gate.slice)
            if decision.outcome is not Outcome.FAILED  # there they explain nothing
            else ()
        ),
    )
    return gate.verdict(
        comparison,
        decision,
        decision.headline(least, f"{what}{comparison.budget}", *beside),
        metric=metric.name,
        n=comparison.n(gate.slice),
        about=explain.models(comparison, metric, gate.slice, ("teacher", "student")),
        notes=notes,
        below=explain.slices(comparison, metric) if gate.slice is None else (),
    )


def _with_flips(
    comparison: Comparison, metric: Metric, slice: Slice | None, decision: Decision
) -> Decision:
    """Return the decision with flips and what was retained above chance in its evidence."""
    skill = above_chance(comparison, metric, slice)
    evidence = replace(
        decision.evidence, above_chance=None if skill is None else as_float(skill, ">=")
    )
    if evidence.interval is not None:
        flips = comparison.flips_by(metric, slice)
        evidence = replace(evidence, lost=len(flips.lost), won=len(flips.won))
    return replace(decision, evidence=evidence)


@dataclass(frozen=True)
class Score(MetricGate):
    """A model's score is at least `min`, or at most `max` where lower is better.

    Parameters
    ----------
    min, max : float, optional
        Just one of them: the one that the metric's direction asks for. Within the metric's range,
        and such that a score can be beyond it.
    model : str
        Name or role of the model.
    """

    name: ClassVar[str] = "score"
    asks: ClassVar[str] = "Is the {metric} of {model} {what}?"

    min: float | None = None
    _: KW_ONLY
    max: float | None = None
    model: str = "student"

    @property
    def roles(self) -> tuple[str, ...]:
        """The model that it is about."""
        return (self.model,)

    def lost(self, comparison: Comparison) -> list[Row]:  # noqa: ARG002
        """Return nothing: no other model's answers are looked at."""
        return []

    def judge(self, comparison: Comparison) -> Verdict:
        """Compare the exact score with the limit, or its bound where a confidence is asked for."""
        confidence = comparison.confidence_level(self.confidence, default=None)
        metric = comparison.metric(self.metric)
        needed, other = ("min", "max") if metric.higher_is_better else ("max", "min")
        if getattr(self, needed) is None or getattr(self, other) is not None:
            better = "higher" if metric.higher_is_better else "lower"
            raise ConfigError(f"{better} {metric.name} is better: give {needed}=, not {other}=")
        low, high = metric.range
        value, what = getattr(self, needed), f"a score of {metric.name}"
        relation: Relation = ">=" if metric.higher_is_better else "<="
        if metric.higher_is_better:
            limit = bounded(value, needed, above=low, most=high, what=what)
        else:
            limit = bounded(value, needed, least=low, below=high, what=what)
        model = comparison.model(self.model).name
        found, unknown = unless_observed(
            confidence, lambda: score_evidence(comparison, self.model, metric, self.slice)
        )
        score = comparison.exact_score(self.model, metric, self.slice)
        decision = decide(found, score, relation, limit, confidence, comparison)
        return self.verdict(
            comparison,
            decision,
            decision.headline(value, f"{metric.name} of {model}{comparison.budget}"),
            metric=metric.name,
            n=comparison.n(self.slice),
            about=explain.models(comparison, metric, self.slice, (model,)),
            notes=(
                *explain.notes(comparison, metric, (self.model,)),
                *unknown,
                *decision.evidence.notes,
            ),
            model=model,
        )
