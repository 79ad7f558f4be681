"""An absolute bound on one model's score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pytest_distill._util.numbers import bounded
from pytest_distill.comparison.comparison import Comparison, Confidence, Slice
from pytest_distill.comparison.evidence import score_evidence
from pytest_distill.errors import ConfigError
from pytest_distill.evals.metrics import Metric
from pytest_distill.gates import explain
from pytest_distill.gates.deciding import decide, deciding_number, unless_observed
from pytest_distill.gates.verdict import Relation, Verdict, as_float


@dataclass(frozen=True)
class Score:
    """A model's score is at least `min`, or at most `max` where lower is better.

    Parameters
    ----------
    min, max : float, optional
        Just one of them: the one that the metric's direction asks for. Within the metric's range,
        and such that a score can be beyond it.
    metric : str or Metric, optional
        The eval's headline metric by default.
    model : str
        Name or role; the student by default.
    slice : str or mapping, optional
        Look only at these examples.
    confidence : float, optional
        How sure the verdict must be, e.g. 0.95. None lets the observed score decide.
    """

    name: ClassVar[str] = "score"

    @property
    def looks_at(self) -> tuple[str, ...]:
        """The model that it is about, beside teacher and student."""
        return (self.model,)

    min: float | None = None
    max: float | None = None
    metric: str | Metric | None = None
    model: str = "student"
    slice: Slice | None = None
    confidence: Confidence = "default"

    def lost(self, comparison: Comparison) -> list[dict[str, object]]:  # noqa: ARG002 (a Gate)
        """Return nothing: nobody else's answers are looked at."""
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
        if metric.higher_is_better:
            bound = bounded(value, needed, above=low, most=high, what=what)
        else:
            bound = bounded(value, needed, least=low, below=high, what=what)
        relation: Relation = ">=" if metric.higher_is_better else "<="
        score = comparison.exact_score(self.model, metric, self.slice)
        model = comparison.model(self.model).name
        found, unknown = unless_observed(
            confidence, lambda: score_evidence(comparison, self.model, metric, self.slice)
        )
        outcome, evidence = decide(
            found,
            bound,
            confidence,
            holds=score >= bound if relation == ">=" else score <= bound,
            comparison=comparison,
        )
        number, rests_on = deciding_number(score, relation, outcome, evidence, confidence)
        notes = (
            *explain.notes(comparison, metric, (self.model,)),
            *unknown,
            *(evidence.interval.notes if evidence.interval else ()),
        )
        headline = (
            f"assert {number} {relation} {value} {metric.name} of {model}"
            f"{f' ({rests_on})' if rests_on else ''}"
        )
        return Verdict(
            gate=self.name,
            eval=comparison.eval,
            metric=metric.name,
            model=model,
            observed=as_float(score, relation),
            required=float(bound),
            relation=relation,
            outcome=outcome,
            confidence=confidence,
            n=comparison.n(self.slice),
            slice=explain.slice_name(self.slice),
            notes=notes,
            message="\n".join(
                [
                    headline,
                    *explain.models(comparison, metric, self.slice, (model,)),
                    *explain.basis_lines(evidence),
                    *explain.note_lines(notes),
                ]
            ),
            evidence=evidence,
            basis="; ".join(explain.basis(evidence)),
        )
