"""Whether the student is no worse than the one that was accepted last."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import ClassVar, Literal

from pytest_distill._util.format import ceil_text, count_text, floor_text, score_text
from pytest_distill._util.numbers import bounded, exact
from pytest_distill.comparison.baseline.accepted import NoBaselineError
from pytest_distill.comparison.baseline.change import Change
from pytest_distill.comparison.baseline.file import SAVE, AcceptedModel
from pytest_distill.comparison.baseline.held import Held, counterpart, gold_change, held
from pytest_distill.comparison.comparison import Comparison
from pytest_distill.comparison.itself import Itself
from pytest_distill.errors import ComparisonError, ConfigError, one_line, some_of
from pytest_distill.evals.metrics import Metric
from pytest_distill.evaluation.measured import MeasuredEvaluation
from pytest_distill.gates import explain
from pytest_distill.gates.arguments import check_option
from pytest_distill.gates.deciding import Decision, decide
from pytest_distill.gates.gate import Row
from pytest_distill.gates.subjects import MetricGate
from pytest_distill.gates.verdict import Doubt, Outcome, Verdict


@dataclass(frozen=True)
class NotWorse(MetricGate):
    """The student is worse than the accepted one by at most `max_drop`.

    The accepted one is the student of the same name in the baseline, or the only one in it where
    there is only one now. Both are scored on the examples that both runs have and label alike, and
    their exact difference decides. Without a baseline the gate does not run.

    Parameters
    ----------
    than : {"baseline"}
        What the student is held against: the run that ``baseline:`` or ``--distill-baseline`` name.
    max_drop : float
        How much worse it may be, in units of the metric, at least 0.
    confidence : float, optional
        By default as the marker or ``distill.yaml`` says, else None: the observed difference
        decides. With a number `max_drop` must be above 0, and the bound of the paired difference
        decides: no sample shows that a student is no worse at all.
    """

    name: ClassVar[str] = "not_worse"
    asks: ClassVar[str] = "Is the gain in {metric} of {model} over the accepted one {what}?"

    than: Literal["baseline"] = "baseline"
    max_drop: float = 0.0

    def lost(self, comparison: Comparison) -> list[Row]:
        """Return the examples on which the accepted student did better."""
        metric = comparison.metric(self.metric)
        found, model = self._held(comparison, metric)
        examples, name = found.on.gold.examples, comparison.model("student").name
        return [
            {
                "id": examples[place].id,
                "fields": dict(examples[place].fields),
                f"{model.name} (baseline)": {"score": then},
                name: {"score": now},
            }
            for place, then, now in found.worse()
        ]

    def beyond_noise(self, itself: Itself) -> str | None:
        """Return a note where a smaller drop is allowed than the student has beside itself."""
        drop = abs(itself.first - itself.second)
        if itself.role != "student" or drop <= exact(self.max_drop, "max_drop"):
            return None
        return (
            f"max_drop {float(self.max_drop):g} lies below how far {itself.model} is from itself, "
            f"{ceil_text(drop)} in {itself.metric} on {itself.n:,} examples: by noise alone it "
            "would be worse than itself"
        )

    def judge(self, comparison: Comparison) -> Verdict:
        """Compare the exact paired difference with the limit, or its bound with a confidence."""
        check_option(self.than, "than", ["baseline"])
        if comparison.at_tokens is not None:
            raise ConfigError(
                f"at_tokens={comparison.at_tokens}: a baseline keeps the answers without a budget; "
                "make it an eval of its own, with that max_new_tokens"
            )
        metric = comparison.metric(self.metric)
        width = metric.range[1] - metric.range[0]
        what = f"a drop in {metric.name}"
        most = bounded(self.max_drop, "max_drop", least=0, below=width, what=what)
        confidence = comparison.confidence_level(self.confidence, default=None)
        if confidence is not None and not most:
            raise ConfigError(
                f"confidence={confidence:g} needs max_drop above 0: that a student is no worse at "
                "all is shown by no number of examples, and an equal one would be INCONCLUSIVE; "
                "say how much worse would do, or ask with confidence=None"
            )
        student = comparison.exact_score("student", metric, self.slice)
        try:
            found, model = self._held(comparison, metric)
        except NoBaselineError as error:
            if comparison.accepted.required:
                raise ConfigError(str(error)) from None
            return self._not_run(comparison, metric, most, confidence, error)
        change = found.change()
        decision = decide(change.evidence, change.gain, ">=", -most, confidence, comparison)
        limit = f"-{self.max_drop}" if most else 0
        counted = _counted(change)
        return self.verdict(
            comparison,
            decision,
            decision.headline(limit, "gained over the baseline", metric.name),
            metric=metric.name,
            n=change.n,
            about=[
                *explain.models(comparison, metric, self.slice, ("student",)),
                *self._both(comparison, metric, change),
            ],
            facts=counted,
            notes=(
                *self._notes(comparison, found, model, student),
                *explain.notes(comparison, metric, ("student",)),
                *decision.evidence.notes,
            ),
            details=_details(found, model, change),
            basis=[*counted, *explain.basis(decision.evidence)],
        )

    def _held(self, comparison: Comparison, metric: Metric) -> tuple[Held, AcceptedModel]:
        accepted = comparison.accepted
        kept = accepted.file
        student = comparison.model("student")
        now = [name for name, model in comparison.models.items() if model.role == "student"]
        model = counterpart(kept, student.name, "student", now)
        if model is None:
            there = some_of([one_line(name) for name in kept.students()]) or "none"
            raise ConfigError(
                f"{accepted.shown}: the baseline has no student '{student.name}', but {there}; "
                f"save a new one: {SAVE}"
            )
        evaluation = comparison.evaluation("student")
        if not isinstance(evaluation, MeasuredEvaluation):
            raise ComparisonError(
                f"eval '{comparison.eval}' has reported scores: no example can be held against "
                "the baseline"
            )
        gold = gold_change(accepted, evaluation.eval)
        if gold is None:
            raise ConfigError(
                f"{accepted.shown}: the baseline has no eval '{comparison.eval}', but "
                f"{some_of([one_line(name) for name in kept.evals])}; save a new one: {SAVE}"
            )
        chosen = None if self.slice is None else comparison.positions(self.slice)
        return held(accepted, gold, evaluation, model.name, metric, chosen), model

    def _not_run(
        self,
        comparison: Comparison,
        metric: Metric,
        most: Fraction,
        confidence: float | None,
        error: NoBaselineError,
    ) -> Verdict:
        """Return the verdict that there is none yet, which does not keep the student back."""
        decision = Decision(math.nan, ">=", -most, Outcome.NOT_RUN, confidence)
        told = self.verdict(
            comparison,
            decision,
            f"assert a baseline of {metric.name}",
            metric=metric.name,
            n=comparison.n(self.slice),
            notes=(str(error),),
        )
        return replace(told, excused="no baseline yet")

    def _both(self, comparison: Comparison, metric: Metric, change: Change) -> Iterator[str]:
        before, now = (
            score_text(score, higher_is_better=metric.higher_is_better)
            for score in (change.before, change.now)
        )
        kept = comparison.accepted.file
        commit = f", commit {kept.commit[:12]}" if kept.commit else ""
        yield (
            f"  on {count_text(change.n, 'example')} of both: {metric.name} {now}, "
            f"{before} in the baseline ({comparison.accepted.shown}, {kept.made:%Y-%m-%d}{commit})"
        )

    def _notes(
        self, comparison: Comparison, found: Held, model: AcceptedModel, score: Fraction
    ) -> Iterator[str]:
        student, gold = comparison.model("student"), found.gold
        if model.name != student.name:
            yield f"the baseline's student is called '{one_line(model.name)}'"
        if model.digest is not None and model.digest == student.info.digest:
            yield "the student is the same checkpoint as in the baseline"
        if told := found.in_words:
            left = ", and are alone compared" if found.pairing.common else ""
            text = f"{told}{left}; on all of them the student scores {floor_text(score)}"
            yield Doubt(text) if found.few else text
        if not gold.same_settings:
            yield f"the settings of eval '{comparison.eval}' have changed since the baseline"


def _counted(change: Change) -> list[str]:
    if change.wins is None or change.losses is None:
        return []
    if not change.wins and not change.losses:
        return ["identical on every example"]
    return [f"{change.wins:,} better, {change.losses:,} worse"]


def _details(found: Held, model: AcceptedModel, change: Change) -> dict[str, object]:
    pairing = found.pairing
    of_all = (
        {}
        if found.chosen is not None
        else {
            "added": pairing.added,
            "gone": pairing.gone,
            "relabelled": pairing.relabelled,
        }
    )
    return {
        "baseline_model": model.name,
        "before": float(change.before),
        "now": float(change.now),
        "better": change.wins,
        "worse": change.losses,
        "common": pairing.common,
        **of_all,  # what is gone of a slice isn't known: texts and fields of then are not kept
    }
