"""An absolute bound on one model's score."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

from pytest_distill._util.numbers import bounded
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.evidence import score_evidence
from pytest_distill.errors import ConfigError
from pytest_distill.gates import explain
from pytest_distill.gates.deciding import decide, unless_observed
from pytest_distill.gates.gate import Row
from pytest_distill.gates.subjects import MetricGate
from pytest_distill.gates.verdict import Relation, Verdict


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
